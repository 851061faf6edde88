"""Neighbours within a cutoff, in rows and blocks of rows; they stay valid while atoms move a little."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one width.

    Parameters
    ----------
    rows
        The rows.
    slots
        Their slots: of the first row, of the second, and so on.
    width
        Slots of each row.
    """

    rows: slice
    slots: slice
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of slots in each."""
        return self.rows.stop - self.rows.start, self.width


@dataclass(frozen=True)
class Neighbours:
    """Pairs of n atoms, and the two slots of each: in the rows of its atoms, which hold their neighbours.

    The rows are in the order of their number of neighbours, so that those of a block leave few slots unused.

    Parameters
    ----------
    pairs
        Atoms i < j of each pair, near pairs first, shape (n_pairs, 2).
    n_near
        Number of near pairs.
    slots
        The slots where the pair is seen from i and from j, shape (n_pairs, 2).
    pair
        Index of the pair in each slot, shape (n_slots,); n_pairs where the slot is unused.
    neighbour
        Index of the neighbour in each slot, shape (n_slots,); the atom itself where it is unused.
    atoms
        Atom of each row, shape (n,).
    blocks
        All rows, in blocks.
    positions
        Coordinates at which the neighbours were listed / Å, shape (n, 3).
    skin
        Length by which the pairs exceed the cutoff / Å.
    """

    pairs: np.ndarray
    n_near: int
    slots: np.ndarray
    pair: np.ndarray
    neighbour: np.ndarray
    atoms: np.ndarray
    blocks: tuple[Block, ...]
    positions: np.ndarray
    skin: float

    def are_valid(self, positions: np.ndarray) -> bool:
        """Return whether no pair can have come within the cutoff that is not listed."""
        moved = positions - self.positions
        return bool(np.einsum("ij,ij->i", moved, moved).max() < (0.5 * self.skin) ** 2)


def close_pairs(positions: np.ndarray, reach: float) -> np.ndarray:
    """Return atoms i < j nearer than `reach` / Å, shape (n_pairs, 2), sorted by i, then by j."""
    pairs = np.sort(cKDTree(positions).query_pairs(reach, output_type="ndarray").reshape(-1, 2), axis=1)
    return np.asarray(pairs[np.lexsort(pairs.T[::-1])])


def neighbours(
    positions: np.ndarray,
    cutoff: float,
    skin: float,
    molecule: np.ndarray | None = None,
    near: float = 0.0,
    block_slots: int = 10**9,
) -> Neighbours:
    """Return the neighbours of the atoms of one or more separate molecules.

    Parameters
    ----------
    positions
        Coordinates / Å, shape (n, 3).
    cutoff
        Distance within which all neighbours are found, as long as `Neighbours.are_valid` / Å.
    skin
        Additional distance / Å.
    molecule
        Number of the molecule of each atom, shape (n,); atoms of different molecules are never neighbours.
    near
        Distance below which a pair is near / Å.
    block_slots
        Slots of a block at most; a row is never divided.
    """
    n = len(positions)
    apart = positions
    if molecule is not None:
        centre = np.stack([positions[molecule == m].mean(axis=0) for m in range(molecule.max() + 1)])
        apart = positions - centre[molecule]
        apart[:, 0] += molecule * (2 * np.abs(apart).max() + 2 * (cutoff + skin))
    pairs = close_pairs(apart, cutoff + skin)
    n_pairs = len(pairs)
    vectors = apart[pairs[:, 0]] - apart[pairs[:, 1]]
    is_far = np.einsum("ij,ij->i", vectors, vectors) >= near**2
    pairs = pairs[np.argsort(is_far, kind="stable")]
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    count = np.bincount(i, minlength=n)
    atoms = np.argsort(count, kind="stable")
    blocks = _blocks(count[atoms], block_slots)
    start = np.empty(n, dtype=int)
    for block in blocks:
        start[atoms[block.rows]] = np.arange(block.slots.start, block.slots.stop, block.width)
    order = np.argsort(i * n + j)
    first = np.cumsum(count) - count
    slots = np.empty(2 * n_pairs, dtype=int)
    slots[order] = start[i[order]] + np.arange(2 * n_pairs) - first[i[order]]
    neighbour = np.concatenate([np.repeat(atoms[block.rows], block.width) for block in blocks])
    pair = np.full(len(neighbour), n_pairs)
    neighbour[slots], pair[slots] = j, np.tile(np.arange(n_pairs), 2)
    return Neighbours(
        pairs=pairs,
        n_near=n_pairs - int(is_far.sum()),
        slots=slots.reshape(2, n_pairs).T,
        pair=pair,
        neighbour=neighbour,
        atoms=atoms,
        blocks=blocks,
        positions=positions.copy(),
        skin=skin,
    )


def _blocks(counts: np.ndarray, most: int) -> tuple[Block, ...]:
    """Return blocks of rows with ascending numbers of neighbours that leave few slots unused.

    A block of its own must save a twelfth of what a full one holds: that is what its calls cost.
    """
    n = len(counts)
    widths = np.maximum(counts, 1)
    n_ends = min(n, max(64, 8 * int(widths.sum()) // most))
    ends = np.linspace(0, n, n_ends + 1).round().astype(int)
    best, last = np.zeros(n_ends + 1), np.zeros(n_ends + 1, dtype=int)
    for k in range(1, n_ends + 1):
        slots = (ends[k] - ends[:k]) * widths[ends[k] - 1]
        cost = best[:k] + slots + most / 12
        cost[: k - 1][slots[: k - 1] > most] = np.inf
        last[k] = cost.argmin()
        best[k] = cost[last[k]]
    bounds = [n_ends]
    while bounds[-1]:
        bounds.append(last[bounds[-1]])
    blocks: list[Block] = []
    slot = 0
    for k, m in itertools.pairwise(bounds[::-1]):
        rows = slice(int(ends[k]), int(ends[m]))
        width = int(widths[rows.stop - 1])
        end = slot + width * (rows.stop - rows.start)
        blocks.append(Block(rows, slice(slot, end), width))
        slot = end
    return tuple(blocks)
