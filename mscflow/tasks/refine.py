"""Refine a cluster with density functional theory: single point or a given number of steps."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mscflow.clock import Clock, out_of_time
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.levels import Level, PySCF, parse_level
from mscflow.optimize.lbfgs import Curvature, Minimiser, State
from mscflow.optimize.model_hessian import model_hessian
from mscflow.optimize.rigid import InternalSurface, held_whole
from mscflow.optimize.state_file import load, load_more, save
from mscflow.tasks.document import TaskDocument, input_hash
from mscflow.tasks.electronic import ElectronicStructure, electronic_structure, spin_warnings
from mscflow.tasks.relax import bond_warnings

if TYPE_CHECKING:
    from mscflow.levels.dft.calculator import PySCFCalculator
    from mscflow.levels.dft.scf import GroundState


LOOSE_TOL = 1e-6
LOOSE_ABOVE = 0.25
"""Threshold of the SCF / Eh as long as the largest force is above this / eV/Å, then falling with its square:
errors of forces (0.007 eV/Å at 1e-6 Eh) are of first order in those of the orbitals."""


class ScfRecord(BaseModel):
    """What one self-consistent field calculation needed.

    Attributes
    ----------
    guess
        Initial density.
    cycles
        Number of cycles, all stages together.
    converged
        Whether the final stage converged.
    stages
        One line per stage: grid, threshold, cycles, time / s.
    energy
        Total electronic energy / eV (with dispersion where the level has it).
    """

    model_config = ConfigDict(extra="forbid")

    guess: str
    cycles: int
    converged: bool
    stages: list[str]
    energy: float


class Refinement(TaskDocument):
    """A DFT energy, with geometry steps where asked for.

    Attributes
    ----------
    energy
        Total energy / eV.
    converged
        Whether every SCF converged (and the geometry, if `n_steps` > 0).
    n_steps
        Geometry steps taken.
    max_force
        Largest force on an atom, without net force and torque / eV/Å; None for a single point.
    energies
        Total energy of each geometry computed / eV.
    dispersion_energy
        Part of the energy that is dispersion / eV.
    homo, lumo, gap
        Orbital energies and their difference / eV.
    n_basis
        Number of basis functions.
    route
        How it was computed, one of those in `mscflow.levels.dft.cost`, e.g. ``density fitting in memory``.
    scf
        One record per geometry.
    electronic
        Charges, spins, bond orders and orbitals of the last geometry; None in documents older than they.
    """

    energy: float
    converged: bool
    n_steps: int = 0
    max_force: float | None = None
    energies: list[float] = Field(default_factory=list)
    dispersion_energy: float = 0.0
    homo: float
    lumo: float
    gap: float
    n_basis: int
    route: str
    scf: list[ScfRecord]
    electronic: ElectronicStructure | None = None


def refine(
    cluster: Cluster,
    level: str | Level = "pbe-d3bj/def2-svp",
    n_steps: int = 0,
    fmax: float = 0.05,
    state_file: str | Path | None = None,
    hessian: str | Level | None = "mace:msc-small",
) -> Refinement:
    """Compute a DFT energy, or take a few geometry steps.

    Parameters
    ----------
    cluster
        The structure.
    level
        A PySCF level, or its text form.
    n_steps
        Largest number of geometry steps (`mscflow.optimize`); 0 is a single point without gradient.
    fmax
        Threshold of the largest force on an atom at which the steps end / eV/Å.
    state_file
        Where the state is kept after every step, and beside it (``.scf.npz``) the density of the SCF that is
        going on; where they exist the refinement goes on from them.
    hessian
        Cheap level whose Hessian tells the first steps how stiff the cluster is in which direction; where it
        cannot represent the cluster or was not made for it, or is None, a model of its bonds and angles does.

    Returns
    -------
    Refinement
        Energy / eV, orbital energies / eV, and what the SCF needed.

    Raises
    ------
    InputError
        If the level is not a DFT level or cannot represent the cluster, a number is out of range, or the
        state file belongs to another structure, level or Hessian.
    CalculationError
        If an SCF does not converge.
    OutOfTimeError
        If there is a state file and the process will be ended soon; see `mscflow.clock`.
    """
    from mscflow.levels.dft.calculator import PySCFCalculator
    from mscflow.levels.surface import CalculatorSurface

    level = require_dft(level)
    if n_steps < 0:
        raise InputError(f"n_steps must not be negative, not {n_steps}")
    if not fmax > 0:
        raise InputError(f"fmax must be positive (eV/Å), not {fmax}")
    warnings = level.require(cluster)
    cheap = parse_level(hessian) if n_steps and hessian is not None else None
    estimate = level.estimate(cluster)  # before the calculation takes its memory
    started = time.perf_counter()
    path = None if state_file is None else Path(state_file)
    scf_file = None if path is None else path.with_suffix(".scf.npz")
    calculator = PySCFCalculator(cluster, level, keep=scf_file)
    atoms = cluster.to_ase()
    atoms.calc = calculator
    earlier: list[ScfRecord] = []
    max_force = None
    steps_taken = 0
    if n_steps:
        surface = InternalSurface(CalculatorSurface(cluster, calculator))
        minimiser = Minimiser(surface, cluster.numbers, curvature=_curvature(cluster, cheap))
        fingerprint = input_hash("refine", cluster, level, hessian=hessian_hash(n_steps, hessian))
        state, earlier = _steps(minimiser, cluster, calculator, n_steps, fmax, path, fingerprint)
        steps_taken = state.n_calls - 1
        max_force = state.max_force
        if max_force > fmax:
            warnings.append(
                f"geometry not converged: {max_force:.3f} eV/Å after {n_steps} steps, asked for {fmax}"
            )
        atoms.positions = state.positions  # not the last geometry computed, if that step went up
    calculator.conv_tol = None
    if calculator.states and calculator.is_loose:
        calculator.forget()
    energy = float(atoms.get_potential_energy())
    refined = cluster.replace(positions=atoms.get_positions())
    if n_steps:
        warnings += bond_warnings(cluster, refined)
    last = calculator.states[-1]
    homo, lumo = last.frontier
    electronic = electronic_structure(refined, level, last.mf)
    warnings += spin_warnings(refined, electronic)
    records = [*earlier, *map(record, calculator.states)]
    warnings += _stability_warnings(records)
    if scf_file is not None:
        scf_file.unlink(missing_ok=True)
    return Refinement(
        input_hash=refinement_input(cluster, level, n_steps, fmax, hessian),
        cluster=refined,
        level=level,
        level_text=level.text,
        level_hash=level.hash,
        level_description=level.description,
        energy=energy,
        converged=max_force is None or max_force <= fmax,
        n_steps=steps_taken,
        max_force=max_force,
        energies=[made.energy for made in records],
        dispersion_energy=last.dispersion_energy,
        homo=homo,
        lumo=lumo,
        gap=lumo - homo,
        n_basis=estimate.n_basis,
        route=last.route or estimate.route,
        scf=records,
        electronic=electronic,
        wall_time_s=time.perf_counter() - started,
        warnings=warnings,
    )


def _curvature(cluster: Cluster, cheap: Level | None) -> Curvature:
    """Return what makes the Hessian of a cheap level, or else a model of bonds and angles.

    The whole is held: the grid of a density functional calculation does not turn with the molecule, and its
    share of the gradient is left out, so that the whole seems to gain a little energy by moving, on a surface
    so flat that steps would follow it for ever. `InternalSurface` takes that out of the forces.
    """
    from mscflow.levels.curvature import curvature

    found = None if cheap is None else curvature(cluster, cheap)
    at = found or (lambda positions: model_hessian(positions, cluster.numbers))
    return lambda positions: held_whole(at(positions), positions)


def _steps(
    minimiser: Minimiser,
    cluster: Cluster,
    calculator: PySCFCalculator,
    n_steps: int,
    fmax: float,
    path: Path | None,
    fingerprint: str,
) -> tuple[State, list[ScfRecord]]:
    """Take geometry steps; return the last state and the records of the SCFs before an interruption."""
    earlier: list[ScfRecord] = []
    clock = Clock()

    def keep() -> None:
        if path is None:
            return
        records = [*earlier, *map(record, calculator.states)]
        text = json.dumps([made.model_dump() for made in records])
        density = calculator.states[-1].density if calculator.states else calculator.density
        more = {"records": np.array(text), **({} if density is None else {"density": density})}
        save(path, state, 0, None, fingerprint, more)

    if path is not None and path.exists():
        state = load(path, fingerprint)[0]
        more = load_more(path)
        earlier = [ScfRecord.model_validate(made) for made in json.loads(str(more["records"]))]
        calculator.density = more["density"]
    else:
        state = minimiser.start(cluster.positions)
        keep()
    while state.max_force > fmax and state.n_calls <= n_steps:
        loose = LOOSE_TOL * min(state.max_force / LOOSE_ABOVE, 1.0) ** 2
        calculator.conv_tol = loose if loose > calculator.level.conv_tol else None
        if path is not None and clock.is_over():
            raise out_of_time(
                f"refinement of {cluster.name or cluster.formula} with {calculator.level}", path
            )
        minimiser.step(state)
        keep()
    return state, earlier


def _stability_warnings(records: list[ScfRecord]) -> list[str]:
    """Return a warning where an open shell is not in its lowest solution."""
    from mscflow.levels.dft.ladder import UNSTABLE

    lines = [line for made in records for line in made.stages if line.startswith(UNSTABLE)]
    return [f"the spins may be arranged in another way at lower energy ({lines[0]})"] if lines else []


def refinement_input(
    cluster: Cluster, level: Level, n_steps: int, fmax: float, hessian: str | Level | None
) -> str:
    """Return the `input_hash` of a refinement."""
    cheap = hessian_hash(n_steps, hessian)
    return input_hash("refine", cluster, level, n_steps=n_steps, fmax=fmax, hessian=cheap)


def hessian_hash(n_steps: int, hessian: str | Level | None) -> str | None:
    """Return the hash of the level whose Hessian the steps begin with; None where there are no steps."""
    return parse_level(hessian).hash if n_steps and hessian is not None else None


def require_dft(level: str | Level) -> PySCF:
    """Return a level that is density functional theory.

    Raises
    ------
    InputError
        If it is not.
    """
    parsed = parse_level(level)
    if not isinstance(parsed, PySCF):
        raise InputError(f"a DFT level such as 'pbe-d3bj/def2-svp' is needed here, not {parsed.text!r}")
    return parsed


def record(state: GroundState) -> ScfRecord:
    """Return what a ground state needed."""
    return ScfRecord(
        guess=state.guess, cycles=state.cycles, converged=True, stages=state.stages, energy=state.energy
    )
