"""Cores cut from crystal lattices: zincblende tetrahedra and stoichiometric wurtzite fragments."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase import Atoms
from ase.build import bulk
from scipy.spatial import cKDTree

from mscflow.builder.core import Core
from mscflow.chemistry import bond_length
from mscflow.errors import InputError

_CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 2
"""Corners of a tetrahedron of edge √2: neighbours in a face-centred cubic lattice of constant 2."""

_BOND_RATIO = np.sqrt(3) / 2
"""Bond length in that zincblende lattice."""

AXES = ((0.0, 0.0), (1 / 3, 2 / 3), (2 / 3, 1 / 3))
"""Threefold axes of wurtzite in the cell."""

N_HEIGHTS = 48
MIN_BONDS = 2


def tetrahedron(cation: str, anion: str, n_layers: int, *, cations_outside: bool = True) -> Core:
    """Cut a tetrahedron with four (111) faces from zincblende.

    One kind of atom forms a tetrahedral number of `n_layers` layers, the other fills its tetrahedral holes
    (`n_layers` - 1 layers), so that every inner atom has four bonds.

    Parameters
    ----------
    cation, anion
        Elements.
    n_layers
        Atoms along an edge.
    cations_outside
        Whether the cations form the outer tetrahedron; otherwise the anions do.
    """
    scale = bond_length(cation, anion) / _BOND_RATIO
    corners = [np.array(n) for n in product(range(n_layers), repeat=4) if sum(n) == n_layers - 1]
    holes = [np.array(n) for n in product(range(n_layers - 1), repeat=4) if sum(n) == n_layers - 2]
    outer = scale * np.array([n @ _CORNERS for n in corners])
    inner = scale * np.array([(n + 0.25) @ _CORNERS for n in holes])
    symbols = (cation, anion) if cations_outside else (anion, cation)
    return _bonded(
        (*[symbols[0]] * len(outer), *[symbols[1]] * len(inner)), np.vstack([outer, inner]), cation, anion
    )


def supertetrahedron(cation: str = "Cd", anion: str = "Se") -> Core:
    """Cut M10E4, the extended adamantane: ten cations in the holes of twenty sites, four anions on its faces.

    The other 16 sites, twelve on the edges and four on the corners, belong to ligands.
    """
    whole = tetrahedron(cation, anion, n_layers=4, cations_outside=False)
    return whole.without(i for i in whole.anions if whole.degree(i) != 3)


def wurtzite_fragment(cation: str, anion: str, n_pairs: int) -> Core:
    """Cut (ME)n from wurtzite: the ball of n cations and n anions around a threefold axis with most bonds.

    Weakly bonded atoms of a ball move to better sites on its surface first; of fragments with equally many
    bonds the most compact wins. Every atom of the result has two bonds or more.

    Raises
    ------
    InputError
        If there is no such fragment.
    """
    block = _wurtzite(cation, anion)
    lattice = _bonded(tuple(block.symbols), block.positions, cation, anion)
    best: tuple[float, list[int]] | None = None
    for centre in _axis_points(block):
        distance = np.round(np.linalg.norm(block.positions - centre, axis=1), 6)
        chosen: set[int] = set()
        for kind in (lattice.cations, lattice.anions):
            chosen.update(sorted(kind, key=lambda i: (distance[i], i))[:n_pairs])
        chosen = _settled(lattice, chosen, distance)
        bonds = [sum(j in chosen for j in lattice.graph[i]) for i in chosen]
        score = sum(bonds) / 2 - 1e-4 * float((distance[sorted(chosen)] ** 2).sum())
        if min(bonds) >= MIN_BONDS and (best is None or score > best[0] + 1e-9):
            best = (score, sorted(chosen, key=lambda i: (lattice.symbols[i] != cation, i)))
    if best is None:
        raise InputError(f"no wurtzite fragment of {n_pairs} {cation}{anion} keeps two bonds on every atom")
    keep = best[1]
    return _bonded(tuple(lattice.symbols[i] for i in keep), lattice.positions[keep], cation, anion)


def _settled(lattice: Core, chosen: set[int], distance: np.ndarray) -> set[int]:
    """Move the atom with fewest bonds to the free site of its kind with most, while that gains bonds."""
    chosen = set(chosen)
    graph = lattice.graph

    def n_bonds(i: int) -> int:
        return sum(j in chosen for j in graph[i])

    while True:
        weakest = min(chosen, key=lambda i: (n_bonds(i), -distance[i], i))
        chosen.remove(weakest)
        kind = lattice.symbols[weakest]
        free = {j for i in chosen for j in graph[i] if j not in chosen and lattice.symbols[j] == kind}
        better = max(free, key=lambda i: (n_bonds(i), -distance[i], -i))
        gains = n_bonds(better) > n_bonds(weakest)
        chosen.add(better if gains else weakest)
        if not gains:
            return chosen


def _wurtzite(cation: str, anion: str) -> Atoms:
    """Return a block of ideal wurtzite."""
    bond = bond_length(cation, anion)
    cell = bulk(cation + anion, "wurtzite", a=bond * np.sqrt(8 / 3), c=bond * 8 / 3)
    return cell.repeat((8, 8, 5))


def _axis_points(block: Atoms) -> np.ndarray:
    """Return points along the threefold axes near the middle of a block, shape (n, 3)."""
    in_cell = [np.array([x, y, z]) for x, y in AXES for z in np.linspace(0, 1, N_HEIGHTS, endpoint=False)]
    return (np.array([4.0, 4.0, 2.0]) + in_cell) @ (block.cell.array / np.array([[8.0], [8.0], [5.0]]))


def _bonded(symbols: tuple[str, ...], positions: np.ndarray, cation: str, anion: str) -> Core:
    """Return the core of lattice points: neighbours of unlike kind are bonded."""
    pairs = cKDTree(positions).query_pairs(1.1 * bond_length(cation, anion), output_type="ndarray")
    bonds = sorted((int(min(p)), int(max(p))) for p in pairs if symbols[p[0]] != symbols[p[1]])
    return Core(symbols, positions - positions.mean(axis=0), tuple(bonds))
