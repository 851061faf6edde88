"""Energy surfaces of levels of theory for minimisation: through ASE, or a lean MACE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mscflow.levels.potentials.mace_lean import LeanMACE

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mscflow.cluster import Cluster


class CalculatorSurface:
    """The surface of an ASE calculator.

    Parameters
    ----------
    cluster
        Elements, charge and multiplicity.
    calculator
        The calculator.
    """

    anchor: np.ndarray | None = None

    def __init__(self, cluster: Cluster, calculator: Calculator) -> None:
        self._atoms = cluster.to_ase()
        self._atoms.calc = calculator

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Return energy / eV and forces / eV/Å."""
        self._atoms.positions = positions
        forces = self._atoms.get_forces()
        return float(self._atoms.get_potential_energy()), forces


class LeanSurface:
    """The surface of a MACE model without detours; see `mscflow.levels.potentials.mace_lean`."""

    def __init__(self, evaluator: LeanMACE) -> None:
        self._evaluator = evaluator

    @property
    def anchor(self) -> np.ndarray | None:
        """Coordinates at which the neighbours were listed."""
        return self._evaluator.anchor

    @anchor.setter
    def anchor(self, positions: np.ndarray | None) -> None:
        if positions is not None:
            self._evaluator.list_neighbours(positions)

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Return energy / eV and forces / eV/Å."""
        energies, forces = self._evaluator(positions)
        return float(energies[0]), forces

    def features(self, positions: np.ndarray) -> np.ndarray:
        """Return the features of the network, shape (n_atoms, n_features); after a call they cost nothing."""
        return self._evaluator.features(positions)


class LeanBatch:
    """Several molecules at a time on the surface of a MACE model."""

    def __init__(self, evaluator: LeanMACE) -> None:
        self._evaluator = evaluator

    def __call__(self, positions: Sequence[np.ndarray]) -> list[tuple[float, np.ndarray]]:
        """Return energy / eV and forces / eV/Å of each molecule at its coordinates / Å."""
        energies, forces = self._evaluator(np.concatenate(positions))
        ends = np.cumsum(self._evaluator.sizes)[:-1]
        return [(float(e), f) for e, f in zip(energies, np.split(forces, ends), strict=True)]
