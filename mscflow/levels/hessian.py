"""Second derivatives of the energy: from the network itself, or from differences of forces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mscflow.errors import CalculationError, InputError
from mscflow.levels.corrected import CorrectedXTB
from mscflow.levels.mace import MACE
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

    Raises
    ------
    InputError
        If the method is unknown or not available for the level, or the displacement is not positive.
    CalculationError
        If energy, forces or Hessian are not finite.
    """
    if method not in (None, "analytic", "finite differences"):
        raise InputError(f"unknown method {method!r}: analytic or finite differences")
    if method == "analytic" and not isinstance(level, MACE):
        raise InputError(f"{level.text} has no analytic Hessian here: use finite differences")
    if not 0 < displacement < 1:
        raise InputError(f"displacement must be between 0 and 1 Å, not {displacement}")
    if method is None:
        method = "analytic" if isinstance(level, MACE) else "finite differences"
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
        matrix, dipoles = _differences(cluster, atoms.calc, displacement, tight_binding, progress)
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


def _differences(
    cluster: Cluster,
    calculator: Calculator,
    displacement: float,
    tight_binding: Calculator | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return central differences of forces, and of the dipole moments of tight binding."""
    atoms = cluster.to_ase()
    atoms.calc = calculator
    if tight_binding is not None:
        tight_binding.set(accuracy=XTB_ACCURACY)
    size = 3 * len(cluster)
    matrix = np.empty((size, size))
    dipoles = None if tight_binding is None else np.empty((size, 3))
    for row in range(size):
        atom, axis = divmod(row, 3)
        sides = []
        for sign in (1, -1):
            atoms.positions = cluster.positions
            atoms.positions[atom, axis] += sign * displacement
            forces = atoms.get_forces()
            sides.append((forces, tight_binding.get_dipole_moment(atoms) if tight_binding else 0.0))
        matrix[row] = -(sides[0][0] - sides[1][0]).ravel() / (2 * displacement)
        if dipoles is not None:
            dipoles[row] = (sides[0][1] - sides[1][1]) / (2 * displacement)
        if progress is not None:
            progress(2 * (row + 1), 2 * size)
    return matrix, None if dipoles is None else dipoles.reshape(-1, 3, 3)
