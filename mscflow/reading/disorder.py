"""Disorder in a crystal: which of the alternatives, each as a whole, is the structure.

Refinement programs number alternatives (1 and 2 of one tail, 3 and 4, or again 1 and 2, of another). Here
atoms of one number that hang together form a unit; units of different numbers that overlap, or hang on the
same ordered atom, exclude each other, and the one of higher occupancy stays. A negative number marks a unit
that excludes its own symmetry copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import networkx as nx
import numpy as np

from mscflow.chemistry import METALS, covalent_radius

BONDED = 1.2
"""Two atoms nearer than this multiple of the sum of their covalent radii hang together, or overlap."""


@dataclass(frozen=True)
class DisorderedAtom:
    """One copy of a disordered site.

    Parameters
    ----------
    site
        Number of the site.
    symbol, fraction
        Element; fractional coordinates, shape (3,).
    occupancy
        Occupancy of the site.
    assembly, group
        What the file says; a group is 1, 2, ... or negative.
    operation
        Number of the symmetry operation that made the copy.
    """

    site: int
    symbol: str
    fraction: np.ndarray
    occupancy: float
    assembly: str
    group: int
    operation: int

    @property
    def part(self) -> tuple[str, int, int]:
        """What the atom may hang together with: the group, of negative ones each copy alone."""
        return self.assembly, self.group, self.operation if self.group < 0 else -1


def chosen(
    atoms: list[DisorderedAtom], ordered: list[tuple[str, np.ndarray]], cell: np.ndarray
) -> list[DisorderedAtom]:
    """Return the atoms of the alternatives that stay.

    Parameters
    ----------
    atoms
        All copies of the disordered sites.
    ordered
        Element and fractional coordinates of every other atom of the cell.
    cell
        Lattice vectors / Å as rows.
    """
    if not atoms:
        return []
    near = _near(atoms, [(a.symbol, a.fraction) for a in atoms], cell)
    anchors = [(s, f) for s, f in ordered if s not in METALS]
    anchored = _near(atoms, anchors, cell) if anchors else np.zeros((len(atoms), 0), dtype=bool)
    shared = (anchored.astype(int) @ anchored.T.astype(int)) > 0
    linked: nx.Graph = nx.Graph()
    linked.add_nodes_from(range(len(atoms)))
    linked.add_edges_from(
        (i, j) for i, j in np.argwhere(np.triu(near | shared, 1)).tolist() if atoms[i].part == atoms[j].part
    )
    units = [sorted(unit) for unit in nx.connected_components(linked)]
    exclusive = {
        (a, b)
        for a, b in combinations(range(len(units)), 2)
        if _exclude(units[a], units[b], atoms, near, shared)
    }
    order = sorted(range(len(units)), key=lambda n: _rank([atoms[i] for i in units[n]]))
    kept: list[int] = []
    for unit in order:
        if not any((min(unit, other), max(unit, other)) in exclusive for other in kept):
            kept.append(unit)
    return [atoms[i] for unit in kept for i in units[unit]]


def _rank(unit: list[DisorderedAtom]) -> tuple[float, int, int, int]:
    occupancy = float(np.mean([atom.occupancy for atom in unit]))
    return -round(occupancy, 3), abs(unit[0].group), unit[0].operation, unit[0].site


def _exclude(
    a: list[int], b: list[int], atoms: list[DisorderedAtom], near: np.ndarray, shared: np.ndarray
) -> bool:
    first, second = atoms[a[0]], atoms[b[0]]
    if first.part == second.part:
        return False
    other_region = first.assembly != second.assembly
    return bool(near[np.ix_(a, b)].any() or (not other_region and shared[np.ix_(a, b)].any()))


def _near(atoms: list[DisorderedAtom], others: list[tuple[str, np.ndarray]], cell: np.ndarray) -> np.ndarray:
    """Return which atoms are within bonding distance of which others, shape (n_atoms, n_others)."""
    delta = np.array([a.fraction for a in atoms])[:, None] - np.array([f for _, f in others])[None]
    distance = np.linalg.norm((delta - np.round(delta)) @ cell, axis=2)
    mine = np.array([covalent_radius(a.symbol) for a in atoms])
    theirs = np.array([covalent_radius(s) for s, _ in others])
    return distance < BONDED * (mine[:, None] + theirs[None])
