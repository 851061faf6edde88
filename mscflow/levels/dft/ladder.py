"""How a field converges: a ladder of methods, each of which begins at the best orbitals of those before it.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from pyscf.scf.addons import smearing

from mscflow.cluster import Cluster
from mscflow.errors import CalculationError
from mscflow.levels.dft.scf_checkpoint import ORBITALS

Keep: TypeAlias = Callable[[dict[str, Any]], None]

COARSE_CONV_TOL = 1e-5
"""Threshold of a first stage / Eh: far from the solution it matters as little as the grid."""

ORBITAL_TOL = 0.3
"""Threshold of the orbital gradient in units of PySCF's own, the square root of that of the energy. Errors of
forces are of first order in it: 5e-6 instead of 3e-5 Eh/bohr, for a cycle at most."""

MAX_CYCLE, FADED_CYCLES = 50, 30
"""Cycles of a rung, and of the first one, at most: fields that this one can converge take some 20."""

STRAYED = 20.0
"""The first rung ends when its orbital gradient is so many times the smallest: other orbitals are filled."""

SMEARING = 0.01
"""Width of fractional occupations around the Fermi level / Eh."""

FADED, NEWTON, HELD, SMEARED = RUNGS = (
    "DIIS with a level shift that fades",
    "second order",
    "level shift 0.3 Eh and damping",
    f"occupations smeared by {SMEARING} Eh, then DIIS",
)
"""What is tried in turn when a stage does not converge."""

SHIFT, FADING = 1.0, 0.03
"""Level shift of the first cycles / Eh; it fades with the orbital gradient per square root of the number of
pairs, from `FADING` on. Without it the densities of large cores swing by hundreds of hartree at first."""

SMALLEST_SHIFT = 0.01

STABILITY_TOL = 1e-3
"""Accuracy of the lowest eigenvalue of the stability analysis / Eh: its sign is what matters."""

STABLE_TOL = 1e-5
"""A solution found by stability analysis is another one if it is lower by more than this / Eh: grids are not
round, and half-filled shells turn against them for less."""

FOLLOWED = 3
"""How often an instability is followed to a lower solution."""

UNSTABLE = "stability: not stable"
"""How the line begins that says so."""


@dataclass
class Ladder:
    """The rungs by which a field converges, stage after stage.

    Parameters
    ----------
    mf
        The mean field.
    cluster
        What errors name.
    keep
        Takes the variables of PySCF's loop after every cycle.
    cycles
        Number of cycles so far.
    lines
        What was done so far, a line per rung.
    rung
        The rung that worked last, which is tried first.
    """

    mf: Any
    cluster: Cluster
    keep: Keep | None = None
    cycles: int = 0
    lines: list[str] = field(default_factory=list)
    rung: str = FADED

    def converge(self, density: np.ndarray, conv_tol: float, label: str) -> np.ndarray:
        """Try rungs until the field is self-consistent; return its density.

        Parameters
        ----------
        density
            Density to begin with, of the shape that the mean field has.
        conv_tol
            Threshold / Eh.
        label
            Name of the stage.

        Raises
        ------
        CalculationError
            If no rung converges.
        """
        mf = self.mf
        watch = Watch(mf, self.keep)
        if mf.mo_coeff is not None:
            watch.orbitals = mf.mo_coeff, mf.mo_occ
        for rung in (self.rung, *(other for other in RUNGS if other != self.rung)):
            started, before = time.perf_counter(), watch.cycles
            run(mf, density, conv_tol, rung, watch)
            n_cycles, outcome = watch.cycles - before, "" if mf.converged else ", not converged"
            self.cycles += n_cycles
            self.lines.append(
                f"{label}, {rung}: {n_cycles} cycles to {conv_tol:g} Eh{outcome}, E = {mf.e_tot:.6f} Eh, "
                f"{time.perf_counter() - started:.1f} s"
            )
            density = mf.make_rdm1() if mf.converged else mf.make_rdm1(*watch.orbitals)
            if mf.converged:
                self.rung = rung
                return density
        cluster = self.cluster
        raise CalculationError(
            f"the SCF of {cluster.name or cluster.formula} (charge {cluster.charge}, multiplicity "
            f"{cluster.multiplicity}) did not converge in {self.cycles} cycles ({'; '.join(self.lines)}): "
            "check the structure, charge and multiplicity; relax it with gfn2-xtb first, or use a hybrid "
            "functional"
        )

    def stabilise(self, conv_tol: float) -> None:
        """Follow an open shell to a solution that no rotation of its orbitals lowers.

        The last line says whether it is one; where the lower one does not converge, the solution before it
        stays. Seeger & Pople, J. Chem. Phys. 1977, 66, 3045; real orbitals, spins as they are.
        """
        mf = self.mf
        for n_followed in range(FOLLOWED + 1):
            started, energy = time.perf_counter(), mf.e_tot
            orbitals, _, is_stable, _ = mf.stability(
                verbose=0, return_status=True, nroots=1, tol=STABILITY_TOL
            )
            if is_stable:
                self.lines.append(f"stability: stable, {time.perf_counter() - started:.1f} s")
                return
            if n_followed == FOLLOWED:
                self.lines.append(f"{UNSTABLE} after {FOLLOWED} lower solutions")
                return
            state = {name: getattr(mf, name) for name in ORBITALS}
            mf.mo_coeff = orbitals
            try:
                self.converge(mf.make_rdm1(), conv_tol, "lower solution")
            except CalculationError:
                self._back(state, f"{UNSTABLE}, the lower solution did not converge")
                return
            if mf.e_tot > energy:
                self._back(state, "stability: no lower solution found")
                return
            if mf.e_tot > energy - STABLE_TOL:
                self.lines.append(f"stability: stable within {STABLE_TOL:g} Eh")
                return
            self.lines.append(f"stability: lower by {energy - mf.e_tot:.6f} Eh")

    def _back(self, state: dict[str, Any], line: str) -> None:
        """Go back to the solution before an instability was followed, and say why."""
        for name, value in state.items():
            setattr(self.mf, name, value)
        self.mf.converged = True
        self.lines.append(line)


class _StrayedError(Exception):
    """Raised within PySCF's loop to end it."""


@dataclass
class Watch:
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
    keep: Keep | None = None
    fades: bool = False
    cycles: int = 0
    orbitals: tuple[Any, ...] = ()
    _smallest: float = np.inf

    def __call__(self, variables: dict[str, Any]) -> None:
        """Take the variables of the loop."""
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


def run(mf: Any, density: np.ndarray, conv_tol: float, rung: str, watch: Watch) -> None:
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
    mf.callback = None
