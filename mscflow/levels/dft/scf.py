"""How a ground state is reached: a first density of ions, coarse then fine grids, a ladder of fallbacks.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import Bohr, Hartree
from pyscf import dft, sgx
from pyscf.pbc import dft as pbc_dft
from pyscf.scf.addons import smearing

from mscflow.cluster import Cluster
from mscflow.errors import CalculationError
from mscflow.levels.dft.cost import FITTED, REPEATED, SINGLE, matrices_gib, require_memory
from mscflow.levels.dft.coulomb import StoredIntegrals
from mscflow.levels.dft.dispersion import dispersion
from mscflow.levels.dft.gradient import gradient
from mscflow.levels.dft.guess import initial_density
from mscflow.levels.dft.integration import BoxNumInt
from mscflow.levels.dft.molecule import build
from mscflow.levels.dft.multigrid import MoleculeNumInt
from mscflow.levels.dft.scf_checkpoint import ORBITALS, ScfCheckpoint, spin_densities
from mscflow.levels.memory import GIB, memory_limit
from mscflow.levels.pyscf import SOLVENTS, PySCF

COARSE_GRID = 0
COARSE_CONV_TOL = 1e-5
"""First stage: far from the solution neither the grid nor the threshold / Eh matters."""

ORBITAL_TOL = 0.3
"""Threshold of the orbital gradient in units of PySCF's own, the square root of that of the energy. Errors of
forces are of first order in it: 5e-6 instead of 3e-5 Eh/bohr, for a cycle at most."""

ROUTES = {np.float64: FITTED, np.float32: SINGLE, None: REPEATED}
"""Route by the precision in which integrals are kept."""

VALUE_SHARE = 0.4
"""Part of the memory for basis functions on the grid, where the rest of the calculation leaves it."""

MAX_CYCLE, FADED_CYCLES = 50, 30
"""Cycles of a rung, and of the first one, at most: fields that this one can converge take some 20."""

STRAYED = 20.0
"""The first rung ends when its orbital gradient is so many times the smallest: other orbitals are filled."""

PREVIOUS = "previous geometry"
"""Name of the guess where the density of a similar geometry is given."""

SMEARING = 0.01
"""Width of fractional occupations around the Fermi level / Eh."""

FADED, NEWTON, HELD, SMEARED = RUNGS = (
    "DIIS with a level shift that fades",
    "second order",
    "level shift 0.3 Eh and damping",
    f"occupations smeared by {SMEARING} Eh, then DIIS",
)
"""What is tried in turn when a stage does not converge."""

SHIFT = 1.0
FADING = 0.03
"""Level shift of the first cycles / Eh; it fades with the orbital gradient per square root of the number of
pairs, from `FADING` on. Without it the densities of large cores swing by hundreds of hartree at first."""

SMALLEST_SHIFT = 0.01

STABILITY_TOL = 1e-3
"""Accuracy of the lowest eigenvalue of the stability analysis / Eh: its sign is what matters."""

STABLE_TOL = 1e-5
"""Another solution found by stability analysis counts if it is lower by more than this / Eh."""


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

    @property
    def route(self) -> str | None:
        """The route of a pure functional, which is known only with the pairs of functions near each other."""
        fitting = getattr(self.mf, "with_df", None)
        return ROUTES[fitting.dtype] if isinstance(fitting, StoredIntegrals) else None

    @property
    def frontier(self) -> tuple[float, float]:
        """Energies of the highest occupied and lowest unoccupied orbital / eV, of either spin."""
        energies, occupations = np.ravel(self.mf.mo_energy), np.ravel(self.mf.mo_occ)
        occupied, empty = energies[occupations > 0], energies[occupations == 0]
        lumo = float(empty.min()) if len(empty) else np.nan
        return float(occupied.max()) * Hartree, lumo * Hartree


def mean_field(cluster: Cluster, level: PySCF, grid: int | None = None) -> Any:
    """Return PySCF's mean-field object for a cluster at a level, nothing computed yet.

    Parameters
    ----------
    cluster, level
        What is to be computed.
    grid
        Grid level instead of the level's.

    Raises
    ------
    InputError
        If no route fits into memory.
    """
    route = require_memory(cluster, level)
    mol = build(cluster, level)
    is_open = cluster.multiplicity > 1
    if level.is_periodic:
        mf = (pbc_dft.UKS if is_open else pbc_dft.RKS)(mol, xc=level.xc)
        mf.chkfile = None
        mf._numint = MoleculeNumInt(mol)
        return mf
    mf = (dft.UKS if is_open else dft.RKS)(mol, xc=level.xc)
    mf.chkfile = None
    if level.exchange == "seminumerical":
        mf = sgx.sgx_fit(mf, auxbasis=level.auxiliary_basis, pjs=True)
    else:
        mf = mf.density_fit(auxbasis=level.auxiliary_basis, only_dfj=not level.is_hybrid)
    mf.get_hcore = cache(mf.get_hcore)  # not once per stage
    limit, taken = memory_limit(), route.memory_gib
    if not level.is_hybrid:
        taken = matrices_gib(mol.nao)
        mf.with_df = StoredIntegrals(mol, level.auxiliary_basis, max(limit - taken, 0.0))
        mf.direct_scf = False  # whole densities are wanted, not their changes
        taken += mf.with_df.stored_gib
    mf._numint = BoxNumInt(min(VALUE_SHARE * limit, limit - taken) * GIB / 1e6)
    mf.grids.level = level.grid if grid is None else grid
    if route.route == FITTED and level.is_hybrid:
        mf.with_df.build()
    if level.solvent is not None:
        mf = mf.PCM()
        mf.with_solvent.method = "C-PCM"
        mf.with_solvent.eps = SOLVENTS[level.solvent]
        mf.with_solvent.verbose = 0
    return mf


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
    mf.callback = checkpoint
    if checkpoint is not None and (kept := checkpoint.density()) is not None:
        density, guess = kept, f"checkpoint after {checkpoint.cycles} cycles"
    if density is None:
        density, guess = initial_density(cluster, level, mf.mol)
        mf.level_shift = SHIFT
    stages = [f"guess: {guess}, {time.perf_counter() - started:.1f} s"]
    density = density if cluster.multiplicity > 1 else density.sum(axis=0)
    cycles, rung = 0, FADED
    for label, stage_grid, stage_tol in _stages(level, mf, conv_tol, is_near=guess == PREVIOUS):
        if stage_grid is not None:
            mf.grids.level = stage_grid
            mf.grids.reset().build(with_non0tab=False, sort_grids=False)  # the boxes sort it
            mf._numint.rough = stage_tol > conv_tol
        density, n, lines, rung = _converge(mf, density, stage_tol, label, cluster, rung)
        cycles += n
        stages += lines
    if cluster.multiplicity > 1 and guess != PREVIOUS:
        n, lines = _stabilise(mf, conv_tol, cluster, rung)
        cycles += n
        stages += lines
    return {"guess": guess, "stages": stages, "cycles": cycles}


def forces(state: GroundState) -> np.ndarray:
    """Return the forces of a ground state / eV/Å, shape (n_atoms, 3), dispersion included."""
    if state.level.is_periodic or state.level.is_hybrid or state.level.solvent is not None:
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


def _converge(
    mf: Any, density: np.ndarray, conv_tol: float, label: str, cluster: Cluster, first: str
) -> tuple[np.ndarray, int, list[str], str]:
    """Try rungs, the given one first, until the field is self-consistent.

    Every rung begins at the orbitals nearest to a solution that those before it have seen.

    Returns
    -------
    tuple
        Density, number of cycles, a line per rung, and the last rung.
    """
    lines: list[str] = []
    watch = _Watch(mf, keep=mf.callback)
    if mf.mo_coeff is not None:
        watch.orbitals = mf.mo_coeff, mf.mo_occ
    for rung in (first, *(other for other in RUNGS if other != first)):
        started, before = time.perf_counter(), watch.cycles
        _run(mf, density, conv_tol, rung, watch)
        outcome = "" if mf.converged else ", not converged"
        lines.append(
            f"{label}, {rung}: {watch.cycles - before} cycles to {conv_tol:g} Eh{outcome}, "
            f"E = {mf.e_tot:.6f} Eh, {time.perf_counter() - started:.1f} s"
        )
        if mf.converged:
            return mf.make_rdm1(), watch.cycles, lines, rung
        density = mf.make_rdm1(*watch.orbitals)
    raise CalculationError(
        f"the SCF of {cluster.name or cluster.formula} (charge {cluster.charge}, multiplicity "
        f"{cluster.multiplicity}) did not converge in {watch.cycles} cycles ({'; '.join(lines)}): check the "
        "structure, charge and multiplicity; relax it with gfn2-xtb first, or use a hybrid functional"
    )


class _StrayedError(Exception):
    """Raised within PySCF's loop to end it."""


@dataclass
class _Watch:
    """What PySCF's loop calls after every cycle: the level shift fades, density and best orbitals are kept.

    Parameters
    ----------
    mf
        The mean field.
    keep
        Takes the loop's local variables, too.
    fades
        Whether the level shift follows the gradient, and the loop ends where that has grown much.
    cycles
        Cycles so far.
    orbitals
        Coefficients and occupations of the smallest gradient so far; nothing before the first cycle.
    """

    mf: Any
    keep: Callable[[dict[str, Any]], None] | None
    fades: bool = False
    cycles: int = 0
    orbitals: tuple[Any, ...] = ()
    _smallest: float = np.inf

    def __call__(self, variables: dict[str, Any]) -> None:
        self.cycles += 1
        gradient, occupations = variables["norm_gorb"], variables["mo_occ"]
        if gradient < self._smallest and np.array_equal(occupations, np.round(occupations)):
            self._smallest, self.orbitals = gradient, (variables["mo_coeff"], occupations)
        if self.fades:
            distance = gradient / np.sqrt(sum(self.mf.mol.nelec) / 2) / FADING
            shift = SHIFT * min(distance, 1.0) ** 1.5
            self.mf.level_shift = shift if shift > SMALLEST_SHIFT else 0.0
            if gradient > STRAYED * self._smallest:
                self.mf.e_tot = variables["e_tot"]
                raise _StrayedError
        if self.keep is not None:
            self.keep(variables)


def _run(mf: Any, density: np.ndarray, conv_tol: float, rung: str, watch: _Watch) -> None:
    """Run one rung and leave its orbitals in `mf`."""
    watch.fades = rung == FADED
    held = 0.3 if rung == HELD else 0.0
    mf.callback, mf.diis_damp = watch, held
    if not watch.fades:
        mf.level_shift = held
    mf.conv_tol = conv_tol
    mf.conv_tol_grad = ORBITAL_TOL * np.sqrt(conv_tol) if conv_tol < COARSE_CONV_TOL else None
    mf.max_cycle = FADED_CYCLES if watch.fades else MAX_CYCLE
    if rung == SMEARED:
        smeared = smearing(mf, sigma=SMEARING, method="fermi")
        smeared.kernel(dm0=density)
        density = smeared.make_rdm1()
    if rung == NEWTON:
        solver = mf.newton()
        solver.kernel(*watch.orbitals, dm0=density)  # the density counts where there are no orbitals
        for name in (*ORBITALS, "converged"):
            setattr(mf, name, getattr(solver, name))
    else:
        try:
            mf.kernel(dm0=density)
        except _StrayedError:
            mf.converged = False
    mf.callback = watch.keep


def _stabilise(mf: Any, conv_tol: float, cluster: Cluster, rung: str) -> tuple[int, list[str]]:
    """Follow an open shell to a solution that no rotation of its orbitals lowers.

    Seeger & Pople, J. Chem. Phys. 1977, 66, 3045; real orbitals, spins as they are.
    """
    started, energy = time.perf_counter(), mf.e_tot
    orbitals, _, is_stable, _ = mf.stability(verbose=0, return_status=True, nroots=1, tol=STABILITY_TOL)
    if is_stable:
        return 0, [f"stability: stable, {time.perf_counter() - started:.1f} s"]
    state = {name: getattr(mf, name) for name in ORBITALS}
    mf.mo_coeff = orbitals
    _, n, lines, _ = _converge(mf, mf.make_rdm1(), conv_tol, "lower solution", cluster, rung)
    if mf.e_tot > energy - STABLE_TOL:
        for name, value in state.items():
            setattr(mf, name, value)
        return n, [*lines, "stability: no lower solution found"]
    return n, [*lines, f"stability: lower by {energy - mf.e_tot:.6f} Eh"]
