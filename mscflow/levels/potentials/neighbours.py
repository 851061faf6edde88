"""Neighbours within a cutoff, on a grid of atoms × slots that stays valid while atoms move a little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class NeighbourGrid:
    """Pairs of n atoms, and where each pair lies on a grid of n atoms × d slots.

    Parameters
    ----------
    pairs
        Atoms i < j of each pair, shape (n_pairs, 2).
    slots
        Flat indices of the slots where the pair is seen from i and from j, shape (n_pairs, 2).
    pair
        Index of the pair in each slot, shape (n, d); n_pairs where the slot is unused.
    neighbour
        Index of the neighbour in each slot, shape (n, d); the atom itself where it is unused.
    positions
        Coordinates the grid was made for / Å, shape (n, 3).
    skin
        Length by which the pairs exceed the cutoff / Å.
    """

    pairs: np.ndarray
    slots: np.ndarray
    pair: np.ndarray
    neighbour: np.ndarray
    positions: np.ndarray
    skin: float

    def is_valid(self, positions: np.ndarray) -> bool:
        """Return whether no pair can have come within the cutoff that is not in the grid."""
        moved = positions - self.positions
        return bool(np.einsum("ij,ij->i", moved, moved).max() < (0.5 * self.skin) ** 2)


def close_pairs(positions: np.ndarray, reach: float) -> np.ndarray:
    """Return atoms i < j nearer than `reach` / Å, shape (n_pairs, 2), sorted by i, then by j."""
    pairs = np.sort(cKDTree(positions).query_pairs(reach, output_type="ndarray").reshape(-1, 2), axis=1)
    return np.asarray(pairs[np.lexsort(pairs.T[::-1])])


def neighbour_grid(
    positions: np.ndarray, cutoff: float, skin: float, molecule: np.ndarray | None = None
) -> NeighbourGrid:
    """Return the neighbours of the atoms of one or more separate molecules.

    Parameters
    ----------
    positions
        Coordinates / Å, shape (n, 3).
    cutoff
        Distance within which all neighbours are found, as long as `NeighbourGrid.is_valid` / Å.
    skin
        Additional distance / Å.
    molecule
        Number of the molecule of each atom, shape (n,); atoms of different molecules are never neighbours.
    """
    n = len(positions)
    apart = positions
    if molecule is not None:
        centre = np.stack([positions[molecule == m].mean(axis=0) for m in range(molecule.max() + 1)])
        apart = positions - centre[molecule]
        apart[:, 0] += molecule * (2 * np.abs(apart).max() + 2 * (cutoff + skin))
    pairs = close_pairs(apart, cutoff + skin)
    n_pairs = len(pairs)
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.argsort(i * n + j)
    count = np.bincount(i, minlength=n)
    width = max(1, int(count.max(initial=0)))
    first = np.cumsum(count) - count
    slots = np.empty(2 * n_pairs, dtype=int)
    slots[order] = i[order] * width + np.arange(2 * n_pairs) - first[i[order]]
    neighbour = np.repeat(np.arange(n), width)
    pair = np.full(n * width, n_pairs)
    neighbour[slots], pair[slots] = j, np.tile(np.arange(n_pairs), 2)
    return NeighbourGrid(
        pairs,
        slots.reshape(2, n_pairs).T,
        pair.reshape(n, width),
        neighbour.reshape(n, width),
        positions.copy(),
        skin,
    )
