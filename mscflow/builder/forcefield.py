"""A small force field that turns a bond graph into coordinates: springs, and contacts that must not be.

It knows ideal distances only. What it makes is a starting geometry for a level of theory, never a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from mscflow.processor import one_thread

SKIN = 1.0
"""Pairs are listed up to this far beyond the largest contact distance / Å."""

STEPS_PER_LIST = 40
"""Steps between two lists of neighbours."""


@dataclass
class ForceField:
    """Harmonic springs between given pairs, one-sided repulsion between all others.

    Parameters
    ----------
    radii
        Contact radius of each atom / Å, shape (n_atoms,); two atoms that share no spring repel each other
        where they are nearer than the sum.
    pairs
        Pairs of atoms with a spring, shape (n_springs, 2).
    lengths, strengths
        Rest length / Å and relative strength of each spring, shape (n_springs,).
    fixed
        Atoms that do not move.
    repulsion
        Relative strength of the contacts.
    """

    radii: np.ndarray
    pairs: np.ndarray
    lengths: np.ndarray
    strengths: np.ndarray
    fixed: Sequence[int] = ()
    repulsion: float = 0.5
    _excluded: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Remember which pairs have springs."""
        self._excluded = np.sort(self._codes(np.asarray(self.pairs, dtype=int)))

    def relax(self, positions: np.ndarray, n_steps: int = 400, tolerance: float = 1e-4) -> np.ndarray:
        """Return coordinates / Å of a nearby minimum, shape (n_atoms, 3).

        Parameters
        ----------
        positions
            Start, shape (n_atoms, 3).
        n_steps
            Limit of L-BFGS steps.
        tolerance
            Largest remaining displacement between two lists of neighbours / Å.
        """
        mobile = np.setdiff1d(np.arange(len(positions)), np.asarray(self.fixed, dtype=int))
        current = np.array(positions, dtype=float)
        for _ in range(max(1, n_steps // STEPS_PER_LIST)):
            contacts = self._contacts(current)
            with one_thread():
                found = minimize(
                    self._mobile_energy,
                    current[mobile].ravel(),
                    args=(current, mobile, contacts),
                    jac=True,
                    method="L-BFGS-B",
                    options={"maxiter": STEPS_PER_LIST, "maxcor": 20},
                )
            moved = found.x.reshape(-1, 3) - current[mobile]
            current[mobile] += moved
            if np.abs(moved).max(initial=0.0) < tolerance:
                break
        return current

    def energy(self, positions: np.ndarray) -> float:
        """Return the energy in units of strength times Å²; zero where every wish is met."""
        return self._energy(positions, self._contacts(positions))[0]

    def _mobile_energy(
        self, x: np.ndarray, positions: np.ndarray, mobile: np.ndarray, contacts: np.ndarray
    ) -> tuple[float, np.ndarray]:
        full = positions.copy()
        full[mobile] = x.reshape(-1, 3)
        energy, gradient = self._energy(full, contacts)
        return energy, gradient[mobile].ravel()

    def _energy(self, positions: np.ndarray, contacts: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.zeros_like(positions)
        total = _add_springs(positions, self.pairs, self.lengths, self.strengths, gradient, one_sided=False)
        reach = self.radii[contacts].sum(axis=1)
        strength = np.full(len(contacts), self.repulsion)
        total += _add_springs(positions, contacts, reach, strength, gradient, one_sided=True)
        return total, gradient

    def _contacts(self, positions: np.ndarray) -> np.ndarray:
        reach = 2 * self.radii.max() + SKIN
        pairs = cKDTree(positions).query_pairs(reach, output_type="ndarray")
        distance = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
        near = distance < self.radii[pairs].sum(axis=1) + SKIN
        pairs = pairs[near & ~np.isin(pairs, np.asarray(self.fixed, dtype=int)).all(axis=1)]
        free = ~np.isin(self._codes(pairs), self._excluded)
        order = np.argsort(self._codes(pairs[free]))
        return pairs[free][order]

    def _codes(self, pairs: np.ndarray) -> np.ndarray:
        pairs = pairs.reshape(-1, 2)
        return pairs.min(axis=1) * len(self.radii) + pairs.max(axis=1)


def _add_springs(
    positions: np.ndarray,
    pairs: np.ndarray,
    lengths: np.ndarray,
    strengths: np.ndarray,
    gradient: np.ndarray,
    *,
    one_sided: bool,
) -> float:
    """Add the gradient of springs to `gradient` and return their energy."""
    if not len(pairs):
        return 0.0
    i, j = pairs.T
    vector = positions[i] - positions[j]
    distance = np.maximum(np.linalg.norm(vector, axis=1), 1e-6)
    stretch = distance - lengths
    if one_sided:
        stretch = np.minimum(stretch, 0.0)
    force = (2 * strengths * stretch / distance)[:, None] * vector
    np.add.at(gradient, i, force)
    np.add.at(gradient, j, -force)
    return float((strengths * stretch**2).sum())
