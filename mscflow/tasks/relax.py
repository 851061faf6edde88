"""Relax a cluster at any level of theory."""

from __future__ import annotations

import time

import numpy as np
from pydantic import Field

from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.levels import Level, parse_level
from mscflow.tasks.document import TaskDocument, input_hash
from mscflow.topology import topology

MAX_STEP = 0.1
N_NAMED = 5
"""Atoms named in a warning."""


class Relaxation(TaskDocument):
    """A relaxed structure.

    Attributes
    ----------
    energy
        Energy of the last structure / eV.
    converged
        Whether the largest force fell below `fmax`.
    n_force_calls
        Number of energy and gradient evaluations.
    max_force
        Largest force on an atom in the last structure / eV/Å.
    fmax
        Threshold asked for / eV/Å.
    energies
        Energy of each step / eV.
    max_forces
        Largest force on an atom at each step / eV/Å.
    optimizer
        How the steps were chosen.
    extrapolation
        How far the surroundings of each atom are from what the level was made on: above 1 is outside.
        Empty where the level has no such measure.
    """

    energy: float
    converged: bool
    n_force_calls: int
    max_force: float
    fmax: float
    energies: list[float] = Field(default_factory=list)
    max_forces: list[float] = Field(default_factory=list)
    optimizer: str = "ASE LBFGS"
    extrapolation: list[float] = Field(default_factory=list)


def relax(
    cluster: Cluster, level: str | Level = "mace:msc-small", fmax: float = 0.02, max_steps: int = 1000
) -> Relaxation:
    """Relax all atoms of a cluster with ASE's L-BFGS.

    Parameters
    ----------
    cluster
        Start structure.
    level
        Level of theory, or its text form.
    fmax
        Convergence threshold for the largest force on an atom / eV/Å.
    max_steps
        Steps after which the relaxation ends unconverged (with a warning).

    Returns
    -------
    Relaxation
        Energy / eV, structure and course of the relaxation.

    Raises
    ------
    InputError
        If `fmax` or `max_steps` is not positive, or the level cannot represent the cluster.
    CalculationError
        If energy or forces are not finite.
    """
    from ase.optimize import LBFGS

    if not fmax > 0:
        raise InputError(f"fmax must be positive (eV/Å), not {fmax}")
    if max_steps < 1:
        raise InputError(f"max_steps must be at least 1, not {max_steps}")
    level = parse_level(level)
    warnings = level.require(cluster)
    started = time.perf_counter()
    atoms = cluster.to_ase()
    atoms.calc = level.calculator(cluster)
    energies: list[float] = []
    max_forces: list[float] = []
    for _ in LBFGS(atoms, logfile=None, maxstep=MAX_STEP).irun(fmax=fmax, steps=max_steps):
        energies.append(float(atoms.get_potential_energy()))
        max_forces.append(float(np.linalg.norm(atoms.get_forces(), axis=1).max()))
        if not np.isfinite(energies[-1] + max_forces[-1]):
            raise CalculationError(
                f"{level} gives energy {energies[-1]} eV and force {max_forces[-1]} eV/Å after "
                f"{len(energies)} steps for {cluster.name or cluster.formula}: check the start structure"
            )
    converged = max_forces[-1] < fmax
    if not converged:
        warnings.append(f"not converged: {max_forces[-1]:.3f} eV/Å after {max_steps} steps, asked for {fmax}")
    relaxed = cluster.replace(positions=atoms.get_positions())
    warnings += bond_changes(cluster, relaxed)
    extrapolation = level.extrapolation(relaxed)
    warnings += outside(relaxed, level, extrapolation)
    return Relaxation(
        input_hash=input_hash("relax", cluster, level, fmax=fmax, max_steps=max_steps),
        cluster=relaxed,
        level=level,
        level_text=level.text,
        level_description=level.description,
        energy=energies[-1],
        converged=converged,
        n_force_calls=len(energies),
        max_force=max_forces[-1],
        fmax=fmax,
        energies=energies,
        max_forces=max_forces,
        extrapolation=[] if extrapolation is None else np.round(extrapolation, 2).tolist(),
        wall_time_s=time.perf_counter() - started,
        warnings=warnings,
    )


def outside(cluster: Cluster, level: Level, extrapolation: np.ndarray | None) -> list[str]:
    """Return a warning that names the atoms whose surroundings the level was not made on."""
    if extrapolation is None or not (extrapolation > 1).any():
        return []
    worst = np.argsort(-extrapolation)[: int((extrapolation > 1).sum())]
    named = ", ".join(f"{cluster.symbols[i]}{i}" for i in worst[:N_NAMED])
    more = ", ..." if len(worst) > N_NAMED else ""
    return [
        f"{len(worst)} of {len(cluster)} atoms are outside of what {level} was trained on ({named}{more}; "
        f"up to {extrapolation.max():.1f} times the limit): check with another level"
    ]


def bond_changes(before: Cluster, after: Cluster) -> list[str]:
    """Return warnings for broken core bonds and lost ligands; changed binding modes are no damage."""
    old, new = topology(before), topology(after)
    anions = set(old.core_anions)
    core = {frozenset(edge) for edge in old.graph.edges if anions & set(edge)}
    kept = {frozenset(edge) for edge in new.graph.edges}
    broken = [
        "–".join(f"{before.symbols[i]}{i}" for i in sorted(edge)) for edge in sorted(core - kept, key=sorted)
    ]
    warnings = [f"core bonds broken: {', '.join(broken)}"] if broken else []
    lost = {f.atoms for f in new.fragments if not f.metals} & {lig.atoms for lig in old.ligands}
    if lost and old.metals:
        warnings.append(f"{len(lost)} ligand(s) left the cluster")
    if {f.atoms for f in old.fragments} != {f.atoms for f in new.fragments}:
        warnings.append("ligands reacted: bonds inside ligands were formed or broken")
    return warnings
