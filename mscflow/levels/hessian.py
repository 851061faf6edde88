"""Second derivatives of the energy: from the network itself, or from differences of forces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mscflow.errors import CalculationError, InputError
from mscflow.levels.corrected import CorrectedXTB
from mscflow.levels.hessian_checkpoint import HessianCheckpoint
from mscflow.levels.mace import MACE
from mscflow.levels.pyscf import PySCF
from mscflow.levels.xtb import XTB

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mscflow.cluster import Cluster
    from mscflow.levels.base import Level

HessianMethod = Literal["analytic", "finite differences"]

DISPLACEMENT = 0.005
"""Default displacement of finite differences / Å. Measured on H2O, CO2 and CH4 at GFN2-xTB: 0.01 Å changes
the frequencies by less than 1 cm⁻¹ and doubles what is left in translations and rotations."""

XTB_ACCURACY = 0.01
"""Threshold of xTB's self-consistency for differences of forces, in units of tblite's default. Measured on
CO2, ±0.005 Å: the asymmetry of the Hessian falls from 0.045 to 0.0006 eV/Å²; 0.001 gains nothing more."""

DFT_ACCURACY, FINEST = 0.01, 1e-12
"""Threshold of the SCF for differences of forces in units of the level's, and the smallest / Eh. Measured on
H2O, PBE/def2-SVP, ±0.005 Å: the asymmetry of the Hessian falls from 0.014 to 0.0055 eV/Å²; the rest is that
of the grid, and 0.001 gains nothing more."""


@dataclass(frozen=True)
class SecondDerivatives:
    """Hessian of a cluster, with what came on the way.

    Parameters
    ----------
    hessian
        Second derivatives of the energy / eV/Å², shape (3 n_atoms, 3 n_atoms), symmetric.
    energy
        Energy of the undisplaced structure / eV.
    forces
        Forces on the undisplaced structure / eV/Å, shape (n_atoms, 3).
    dipole_derivatives
        Derivatives of the dipole moment / e, shape (n_atoms, 3, 3): atom, axis of motion, component; None
        where the level has no dipole.
    asymmetry
        Largest difference between an element of the Hessian as computed and its mirror image / eV/Å²:
        the noise of finite differences.
    n_force_calls
        Number of energy and gradient evaluations.
    method
        How it was computed.
    """

    hessian: np.ndarray
    energy: float
    forces: np.ndarray
    dipole_derivatives: np.ndarray | None
    asymmetry: float
    n_force_calls: int
    method: HessianMethod


def hessian(
    cluster: Cluster,
    level: Level,
    method: HessianMethod | None = None,
    displacement: float = DISPLACEMENT,
    progress: Callable[[int, int], None] | None = None,
    state_file: Path | None = None,
) -> SecondDerivatives:
    """Compute the Hessian of a cluster.

    Parameters
    ----------
    cluster
        The structure.
    level
        Level of theory.
    method
        ``"analytic"`` differentiates a MACE network twice (mace-torch's `get_hessian`, 16 rows at a time).
        ``"finite differences"`` takes 6N force calls, ± `displacement` along every axis of every atom, one
        after the other; xTB, with or without pairs, gives dipole derivatives on the way. By default MACE is
        differentiated and the rest is displaced. Measured on In4P(O2CH)9 with msc-small, one thread of a busy
        machine: 14 s analytic, 25 s displaced; zero-point energies agree within 0.01 meV.
    displacement
        Displacement / Å.
    progress
        Called with the number of force calls done, and of all.
    state_file
        Where finished differences are kept; where the file exists, those in it are not computed again.

    Raises
    ------
    InputError
        If the method is unknown or not available for the level, the displacement is not positive, or the
        state file belongs to another calculation.
    CalculationError
        If energy, forces or Hessian are not finite.
    OutOfTimeError
        If there is a state file and the process will be ended soon; see `mscflow.clock`.
    """
    if method not in (None, "analytic", "finite differences"):
        raise InputError(f"unknown method {method!r}: analytic or finite differences")
    if method == "analytic" and not isinstance(level, MACE):
        raise InputError(f"{level.text} has no analytic Hessian here: use finite differences")
    if not 0 < displacement < 1:
        raise InputError(f"displacement must be between 0 and 1 Å, not {displacement}")
    if method is None:
        method = "analytic" if isinstance(level, MACE) else "finite differences"
    checkpoint = None
    if state_file is not None and method == "finite differences":
        checkpoint = HessianCheckpoint(
            state_file,
            f"{cluster.hash} {level.hash} {displacement}",
            f"vibrations of {cluster.name or cluster.formula} with {level}",
        )
    atoms = cluster.to_ase()
    atoms.calc = level.calculator(cluster)
    energy, forces = float(atoms.get_potential_energy()), atoms.get_forces()
    size = 3 * len(cluster)
    dipoles = None
    if method == "analytic":
        matrix = np.asarray(atoms.calc.get_hessian(atoms), dtype=float).reshape(size, size)
        n_force_calls = 1
    else:
        tight_binding = _tight_binding(level, atoms.calc)
        _sharpen(level, atoms.calc, tight_binding)
        rows = _differences(cluster, atoms.calc, displacement, tight_binding, progress, checkpoint)
        matrix = rows[:, :size]
        dipoles = None if tight_binding is None else rows[:, size:].reshape(-1, 3, 3)
        n_force_calls = 1 + 2 * size
    if not np.isfinite(matrix).all() or not np.isfinite(forces).all():
        raise CalculationError(
            f"{level} gives forces or a Hessian that are not finite for {cluster.name or cluster.formula}"
        )
    return SecondDerivatives(
        hessian=0.5 * (matrix + matrix.T),
        energy=energy,
        forces=forces,
        dipole_derivatives=dipoles,
        asymmetry=float(np.abs(matrix - matrix.T).max()),
        n_force_calls=n_force_calls,
        method=method,
    )


def _tight_binding(level: Level, calculator: Calculator) -> Calculator | None:
    """Return the part of a level's calculator that is xTB: its accuracy can be set, and it has a dipole."""
    if isinstance(level, CorrectedXTB):
        return calculator.mixer.calcs[0]  # the pair potentials have no charges
    return calculator if isinstance(level, XTB) else None


def _sharpen(level: Level, calculator: Calculator, tight_binding: Calculator | None) -> None:
    """Let self-consistency be as accurate as differences of forces need it."""
    if tight_binding is not None:
        tight_binding.set(accuracy=XTB_ACCURACY)
    if isinstance(level, PySCF):
        calculator.conv_tol = min(level.conv_tol, max(DFT_ACCURACY * level.conv_tol, FINEST))


def _differences(
    cluster: Cluster,
    calculator: Calculator,
    displacement: float,
    tight_binding: Calculator | None,
    progress: Callable[[int, int], None] | None,
    checkpoint: HessianCheckpoint | None,
) -> np.ndarray:
    """Return central differences of forces, and in three more columns those of tight binding's dipole."""
    atoms = cluster.to_ase()
    atoms.calc = calculator
    size = 3 * len(cluster)
    rows = np.zeros((size, size + 3))
    first = 0
    if checkpoint is not None and checkpoint.rows is not None:
        first = len(checkpoint.rows)
        rows[:first] = checkpoint.rows
    for row in range(first, size):
        atom, axis = divmod(row, 3)
        for sign in (1, -1):
            atoms.positions = cluster.positions
            atoms.positions[atom, axis] += sign * displacement
            rows[row, :size] -= sign * atoms.get_forces().ravel() / (2 * displacement)
            if tight_binding is not None:
                rows[row, size:] += sign * tight_binding.get_dipole_moment(atoms) / (2 * displacement)
        if progress is not None:
            progress(2 * (row + 1), 2 * size)
        if checkpoint is not None:
            checkpoint(rows[: row + 1])
    return rows
