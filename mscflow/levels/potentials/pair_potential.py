"""Sums of pair potentials, one smooth function of the distance for each pair of elements.

Cubic B-splines on even knots that end with zero value, slope and curvature; below the first knot they go on
as straight lines. Energies are linear in the coefficients, so that least squares can fit them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from scipy.interpolate import BSpline

from mscflow.levels.potentials.neighbours import close_pairs

DEGREE = 3


@dataclass(frozen=True)
class SplineBasis:
    """Cubic B-splines that vanish smoothly at the last knot.

    Parameters
    ----------
    first, last
        Distances between which they live / Å.
    size
        Number of functions.
    """

    first: float
    last: float
    size: int

    @property
    def spacing(self) -> float:
        """Distance of two knots / Å."""
        return (self.last - self.first) / self.size

    def __call__(self, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values and slopes / Å⁻¹ of the functions, shape (n_distances, size) each."""
        inside = np.clip(distances, self.first, self.last)
        values, slopes = self._spline(inside), self._slope(inside)
        return values + slopes * (distances - inside)[:, None], slopes

    def curvatures(self, distances: np.ndarray) -> np.ndarray:
        """Return second derivatives / Å⁻² between the knots, shape (n_distances, size)."""
        return np.asarray(self._spline.derivative(2)(distances))

    @cached_property
    def _spline(self) -> BSpline:
        knots = self.first + self.spacing * np.arange(-DEGREE, self.size + DEGREE + 1)
        everything = np.eye(self.size + DEGREE)
        return BSpline(knots, everything[:, : self.size], DEGREE)

    @cached_property
    def _slope(self) -> BSpline:
        return self._spline.derivative()


@dataclass(frozen=True)
class PairPotential:
    """Pair potentials by element.

    Parameters
    ----------
    basis
        The functions.
    elements
        Atomic numbers, ascending.
    coefficients
        Coefficients / eV of each pair in the order of `pairs`, shape (n_pairs, basis.size).
    """

    basis: SplineBasis
    elements: tuple[int, ...]
    coefficients: np.ndarray

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of atomic numbers, the smaller one first."""
        return list(combinations_with_replacement(self.elements, 2))

    def energy_and_forces(self, numbers: np.ndarray, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy / eV and the forces / eV/Å, shape (n_atoms, 3).

        Parameters
        ----------
        numbers
            Atomic numbers, shape (n_atoms,); atoms of elements without potentials do not count.
        positions
            Coordinates / Å, shape (n_atoms, 3).
        """
        known = np.isin(numbers, self.elements)
        if not known.all():
            forces = np.zeros_like(positions)
            energy, forces[known] = self.energy_and_forces(numbers[known], positions[known])
            return energy, forces
        i, j, distances, units = neighbours(positions, self.basis.last)
        values, slopes = self.basis(distances)
        coefficients = self.coefficients[pair_index(numbers, self.elements)[i, j]]
        push = -np.einsum("pm,pm->p", slopes, coefficients)[:, None] * units
        forces = np.zeros_like(positions)
        np.add.at(forces, j, push)
        np.add.at(forces, i, -push)
        return float(np.einsum("pm,pm->", values, coefficients)), forces

    def save(self, path: Path) -> None:
        """Write the potentials to an ``.npz`` file."""
        basis = np.array([self.basis.first, self.basis.last])
        np.savez(path, range=basis, elements=np.array(self.elements), coefficients=self.coefficients)

    @classmethod
    def load(cls, path: Path) -> PairPotential:
        """Read an ``.npz`` file; it holds numbers only, so that reading it runs no code."""
        with np.load(path, allow_pickle=False) as found:
            coefficients = found["coefficients"]
            first, last = (float(x) for x in found["range"])
            elements = tuple(int(number) for number in found["elements"])
        return cls(SplineBasis(first, last, coefficients.shape[1]), elements, coefficients)


def neighbours(positions: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return atoms i < j nearer than `cutoff` / Å, their distances / Å, and unit vectors from i to j."""
    i, j = close_pairs(positions, cutoff).T
    vectors = positions[j] - positions[i]
    distances = np.linalg.norm(vectors, axis=1)
    return i, j, distances, vectors / distances[:, None]


def n_pairs(elements: Sequence[int]) -> int:
    """Return the number of pairs of elements, each with itself included."""
    return len(elements) * (len(elements) + 1) // 2


def pair_index(numbers: np.ndarray, elements: Sequence[int]) -> np.ndarray:
    """Return which pair of elements two atoms are, shape (n_atoms, n_atoms)."""
    of_element = np.zeros((len(elements), len(elements)), dtype=int)
    for index, (a, b) in enumerate(combinations_with_replacement(range(len(elements)), 2)):
        of_element[a, b] = of_element[b, a] = index
    rows = np.searchsorted(elements, numbers)
    return of_element[rows[:, None], rows[None]]


class PairCalculator(Calculator):
    """Pair potentials as an ASE calculator."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, potential: PairPotential) -> None:
        super().__init__()
        self.potential = potential

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: Any = all_changes,
    ) -> None:
        """Compute energy and forces."""
        super().calculate(atoms, properties, system_changes)
        energy, forces = self.potential.energy_and_forces(self.atoms.numbers, self.atoms.positions)
        self.results = {"energy": energy, "forces": forces}
