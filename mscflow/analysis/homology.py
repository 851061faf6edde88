"""Where the inorganic skeleton of one cluster is found in another: the homology of magic-sized clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from mscflow.chemistry import METALS
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import Topology, topology

TOLERANCE = 1.3
"""Atoms nearer than this / Å after superposition may correspond."""

N_SEEDS = 4
N_ROUNDS = 12
MIN_NEIGHBOURS = 3


@dataclass(frozen=True)
class Homology:
    """A part of one cluster's skeleton superposed on that of another.

    Parameters
    ----------
    mapping
        Atom of the first cluster → atom of the second.
    rmsd
        Root mean square deviation of the mapped atoms after superposition / Å.
    leftover
        Cations and anions of the first cluster that have no partner.
    mirrored
        Whether the first cluster had to be mirrored.
    n_bonds, n_bonds_kept
        Bonds between mapped atoms in the first cluster, and how many of them the second has too.
    table
        One row per mapped atom: atoms, elements, deviation / Å.
    """

    mapping: dict[int, int]
    rmsd: float
    leftover: tuple[int, ...]
    mirrored: bool
    n_bonds: int
    n_bonds_kept: int
    table: pd.DataFrame

    @property
    def size(self) -> int:
        """Number of mapped atoms."""
        return len(self.mapping)


def homology(a: Cluster, b: Cluster, *, mirror: bool = True, tolerance: float = TOLERANCE) -> Homology:
    """Find the largest part of the skeleton of `a` in that of `b`; of equal ones that of least RMSD.

    Cations correspond to cations and anions to anions, of whatever element; ligands are left out.

    Parameters
    ----------
    a, b
        The clusters; `a` is usually the smaller.
    mirror
        Whether the other hand of `a` may be used too.
    tolerance
        Largest distance of corresponding atoms after superposition / Å.

    Raises
    ------
    InputError
        If one of them has no anion with three cations around it, or no three atoms fit within `tolerance`.
    """
    return homologies(a, b, mirror=mirror, tolerance=tolerance)[0]


def homologies(
    a: Cluster, b: Cluster, *, mirror: bool = True, tolerance: float = TOLERANCE
) -> list[Homology]:
    """Return every distinct place of `a` in `b`, best first; see `homology`.

    Two places are distinct if they cover different atoms of `b`.
    """
    best: dict[frozenset[int], tuple[dict[int, int], float, bool]] = {}
    first, second = _Skeleton(a), _Skeleton(b)
    for mirrored in (False, True) if mirror else (False,):
        skeleton = first.mirrored() if mirrored else first
        for start in _starts(skeleton, second):
            grown = _grown(skeleton, second, start, tolerance)
            if grown is None:
                continue
            mapping, rmsd = grown
            key = frozenset(mapping.values())
            if key not in best or rmsd < best[key][1]:
                best[key] = (mapping, rmsd, mirrored)
    if not best:
        raise InputError(
            f"nothing of {a.name or a.formula} fits on {b.name or b.formula} within {tolerance} Å: "
            "a larger tolerance is needed"
        )
    largest = max(map(len, best))
    found = [value for key, value in best.items() if len(key) == largest]
    found.sort(key=lambda value: (round(value[1], 6), value[2], sorted(value[0].items())))
    return [_homology(first, second, *value) for value in found]


class _Skeleton:
    """Cations and anions of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.graph: Topology = topology(cluster)
        self.atoms = list(self.graph.skeleton)
        self.positions = cluster.positions
        self.symbols = cluster.symbols
        self.kinds = {i: cluster.symbols[i] in METALS for i in self.atoms}
        self.centres = [i for i in self.graph.core_anions if self.graph.graph.degree(i) >= MIN_NEIGHBOURS]
        if not self.centres:
            raise InputError(f"{cluster.name or cluster.formula}: no anion with three cations around it")

    def mirrored(self) -> _Skeleton:
        other = object.__new__(_Skeleton)
        other.__dict__.update(self.__dict__)
        other.positions = self.positions * np.array([1.0, 1.0, -1.0])
        return other

    def neighbours(self, atom: int) -> list[int]:
        return sorted(self.graph.graph[atom])


def _starts(a: _Skeleton, b: _Skeleton) -> Iterator[dict[int, int]]:
    """Yield an anion of `a` with its cations on each anion of `b` in every order of one hand."""
    middle = a.positions[a.atoms].mean(axis=0)
    inner = sorted(a.centres, key=lambda i: (round(float(np.linalg.norm(a.positions[i] - middle)), 3), i))
    for i in inner[:N_SEEDS]:
        mine = a.neighbours(i)[: MIN_NEIGHBOURS + 1]
        for j in b.centres:
            for theirs in permutations(b.neighbours(j), min(len(mine), len(b.neighbours(j)))):
                yield {i: j, **dict(zip(mine, theirs, strict=False))}


def _grown(
    a: _Skeleton, b: _Skeleton, start: dict[int, int], tolerance: float
) -> tuple[dict[int, int], float] | None:
    """Superpose, match nearest atoms of a kind, and repeat until the match no longer changes.

    None if fewer than three atoms match from the start.
    """
    mapping = start
    trees = {kind: [j for j in b.atoms if b.kinds[j] == kind] for kind in (True, False)}
    for _ in range(N_ROUNDS):
        moved = _superposed(a, b, mapping)
        new: dict[int, int] = {}
        for kind, targets in trees.items():
            mine = [i for i in a.atoms if a.kinds[i] == kind]
            distance, nearest = cKDTree(b.positions[targets]).query(moved[mine])
            for i, d, n in sorted(zip(mine, distance, nearest, strict=True), key=lambda row: row[1]):
                if d < tolerance and targets[n] not in new.values():
                    new[i] = targets[n]
        if len(new) < MIN_NEIGHBOURS and mapping is start:
            return None
        if new == mapping or len(new) < MIN_NEIGHBOURS:
            break
        mapping = new
    moved = _superposed(a, b, mapping)
    mine, theirs = list(mapping), list(mapping.values())
    return mapping, float(np.sqrt(((moved[mine] - b.positions[theirs]) ** 2).sum(axis=1).mean()))


def _superposed(a: _Skeleton, b: _Skeleton, mapping: dict[int, int]) -> np.ndarray:
    """Return the positions of `a` turned onto `b` (Kabsch, proper rotations only)."""
    mine, theirs = a.positions[list(mapping)], b.positions[list(mapping.values())]
    u, _, vt = np.linalg.svd((mine - mine.mean(axis=0)).T @ (theirs - theirs.mean(axis=0)))
    sign = np.sign(np.linalg.det(u @ vt))
    rotation = u @ np.diag([1.0, 1.0, sign]) @ vt
    return (a.positions - mine.mean(axis=0)) @ rotation + theirs.mean(axis=0)


def _homology(a: _Skeleton, b: _Skeleton, mapping: dict[int, int], rmsd: float, mirrored: bool) -> Homology:
    moved = _superposed(a.mirrored() if mirrored else a, b, mapping)
    bonds = [(i, j) for i, j in a.graph.graph.edges if i in mapping and j in mapping]
    kept = [pair for pair in bonds if b.graph.graph.has_edge(mapping[pair[0]], mapping[pair[1]])]
    rows = [
        {
            "atom": i,
            "element": a.symbols[i],
            "partner": j,
            "partner element": b.symbols[j],
            "deviation": float(np.linalg.norm(moved[i] - b.positions[j])),
        }
        for i, j in sorted(mapping.items())
    ]
    leftover: Sequence[int] = [i for i in a.atoms if i not in mapping]
    return Homology(
        mapping=dict(sorted(mapping.items())),
        rmsd=rmsd,
        leftover=tuple(leftover),
        mirrored=mirrored,
        n_bonds=len(bonds),
        n_bonds_kept=len(kept),
        table=pd.DataFrame(rows),
    )
