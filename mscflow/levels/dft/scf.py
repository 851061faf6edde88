"""How a ground state is reached: a first density of ions, a coarse grid, then the fine one.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import Bohr, Hartree

from mscflow.cluster import Cluster
from mscflow.levels.dft.dispersion import dispersion
from mscflow.levels.dft.gradient import gradient
from mscflow.levels.dft.guess import initial_density
from mscflow.levels.dft.ladder import COARSE_CONV_TOL, SHIFT, Ladder
from mscflow.levels.dft.mean_field import mean_field, route_of
from mscflow.levels.dft.scf_checkpoint import ScfCheckpoint, spin_densities
from mscflow.levels.pyscf import PySCF

COARSE_GRID = 0
"""Grid level of the first stage."""

PREVIOUS = "previous geometry"
"""Name of the guess where the density of a similar geometry is given."""


@dataclass
class GroundState:
    """A converged self-consistent field.

    Attributes
    ----------
    cluster, level
        What was computed.
    mf
        PySCF's mean-field object, converged.
    guess
        Name of the first density.
    stages
        One line per stage.
    cycles
        Number of cycles of all stages.
    energy
        Total energy with dispersion / eV.
    dispersion_energy
        Part of the energy that is dispersion / eV.
    dispersion_forces
        Forces of the dispersion energy / eV/Å, shape (n_atoms, 3).
    """

    cluster: Cluster
    level: PySCF
    mf: Any
    guess: str
    stages: list[str]
    cycles: int
    energy: float
    dispersion_energy: float = 0.0
    dispersion_forces: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def density(self) -> np.ndarray:
        """Spin densities, shape (2, n_basis, n_basis): a first density for a similar geometry."""
        return spin_densities(self.mf.make_rdm1())

    def release(self) -> None:
        """Free integrals and function values on the grid; what needs them later computes them again."""
        if self.level.exchange == "fitted":  # the other one keeps none
            self.mf.with_df.reset(self.mf.mol)
        self.mf._numint.forget()

    @property
    def route(self) -> str | None:
        """The route of a pure functional, which is known only with the pairs of functions near each other."""
        return route_of(self.mf)

    @property
    def frontier(self) -> tuple[float, float]:
        """Energies of the highest occupied and lowest unoccupied orbital / eV, of either spin."""
        energies, occupations = np.ravel(self.mf.mo_energy), np.ravel(self.mf.mo_occ)
        occupied, empty = energies[occupations > 0], energies[occupations == 0]
        lumo = float(empty.min()) if len(empty) else np.nan
        return float(occupied.max()) * Hartree, lumo * Hartree


def ground_state(
    cluster: Cluster,
    level: PySCF,
    density: np.ndarray | None = None,
    grid: int | None = None,
    keep: Path | None = None,
    conv_tol: float | None = None,
) -> GroundState:
    """Return the converged ground state of a cluster.

    Parameters
    ----------
    cluster, level
        What is to be computed.
    density
        Spin densities to start from, shape (2, n_basis, n_basis); by default those of the ions.
    grid
        Grid level instead of the level's.
    keep
        File in which the density is kept; where it holds one of this calculation, it begins there.
    conv_tol
        Threshold / Eh instead of the level's.

    Raises
    ------
    CalculationError
        If no rung of the ladder converges.
    """
    mf = mean_field(cluster, level, grid)
    conv_tol = conv_tol or level.conv_tol
    fingerprint = f"{cluster.hash} {level.hash} {grid} {conv_tol}"
    checkpoint = None if keep is None else ScfCheckpoint(keep, fingerprint)
    facts = None if checkpoint is None else checkpoint.restore(mf)
    if facts is None:
        facts = _solve(mf, cluster, level, density, checkpoint, conv_tol)
        if checkpoint is not None:
            checkpoint.finish(mf, facts)
    elif level.exchange == "seminumerical":
        mf.build()  # the grids of exchange, which the SCF would have made
    energy_d3, forces_d3 = dispersion(cluster, level)
    return GroundState(
        cluster, level, mf, **facts,
        energy=float(mf.e_tot) * Hartree + energy_d3,
        dispersion_energy=energy_d3, dispersion_forces=forces_d3,
    )  # fmt: skip


def _solve(
    mf: Any,
    cluster: Cluster,
    level: PySCF,
    density: np.ndarray | None,
    checkpoint: ScfCheckpoint | None,
    conv_tol: float,
) -> dict[str, Any]:
    """Converge a mean field stage by stage; return the guess, a line per stage, and the number of cycles."""
    started = time.perf_counter()
    guess = PREVIOUS
    if checkpoint is not None and (kept := checkpoint.density()) is not None:
        density, guess = kept, f"checkpoint after {checkpoint.cycles} cycles"
    if density is None:
        density, guess = initial_density(cluster, level, mf.mol)
        mf.level_shift = SHIFT
    first = f"guess: {guess}, {time.perf_counter() - started:.1f} s"
    density = density if cluster.multiplicity > 1 else density.sum(axis=0)
    ladder = Ladder(mf, cluster, keep=checkpoint)
    for label, stage_grid, stage_tol in _stages(level, mf, conv_tol, is_near=guess == PREVIOUS):
        if stage_grid is not None:
            mf.grids.level = stage_grid
            mf.grids.reset().build(with_non0tab=False, sort_grids=False)  # the boxes sort it
            mf._numint.rough = stage_tol > conv_tol
        density = ladder.converge(density, stage_tol, label)
    if cluster.multiplicity > 1 and guess != PREVIOUS:
        ladder.stabilise(conv_tol)
    return {"guess": guess, "stages": [first, *ladder.lines], "cycles": ladder.cycles}


def forces(state: GroundState) -> np.ndarray:
    """Return the forces of a ground state / eV/Å, shape (n_atoms, 3), dispersion included."""
    if state.level.is_periodic or state.level.is_hybrid:
        method = state.mf.nuc_grad_method()
        method.verbose = 0
        found = method.kernel()
    else:
        found = gradient(state.mf)
    return -found * Hartree / Bohr + state.dispersion_forces


def _stages(level: PySCF, mf: Any, conv_tol: float, is_near: bool) -> list[tuple[str, int | None, float]]:
    """Return label, grid level and threshold / Eh of each stage; a near density needs no coarse one."""
    if level.is_periodic:
        return [(f"multigrid, {level.ke_cutoff:g} Eh", None, conv_tol)]
    final = mf.grids.level
    fine = (f"grid {final}", final, conv_tol)
    if is_near or final <= COARSE_GRID:
        return [fine]
    return [(f"grid {COARSE_GRID}", COARSE_GRID, COARSE_CONV_TOL), fine]
