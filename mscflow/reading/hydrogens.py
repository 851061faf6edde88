"""Hydrogens that a crystal structure lacks: idealised positions from the geometry of the heavy atoms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mscflow.charges import PSEUDOHALIDES
from mscflow.chemistry import METALS, covalent_radius
from mscflow.cluster import Cluster
from mscflow.topology import topology

X_H = {"C": 1.09, "N": 1.02}
PLANAR = 1.44
"""A carbon whose bonds to carbon are on average shorter than this / Å is taken for sp2."""

FLAT = 0.5
"""Three bonds whose unit vectors add up to less are taken to lie in a plane."""

SP, SP2, SP3 = 2, 3, 4

DOUBLE = {"O": 1.30, "N": 1.37}
"""Bonds of carbon to these that are shorter / Å are double or delocalised: C=O 1.21, amide C–N 1.33 Å."""

TRIPLE = 1.22
"""A shorter bond of nitrogen to C or N / Å is that of a nitrile, or the last one of an azide."""

ONE_DOUBLE = {"C": 1.32, "N": 1.30}
BOTH_AROMATIC = {"C": 1.37, "N": 1.37}
"""A nitrogen is sp2 with one bond shorter / Å than the first (imines 1.28, azo 1.25 Å; amides 1.33 Å), or
with two shorter than the second (pyridine 1.34, pyridazine N–N 1.34 Å; anilides 1.38, hydrazides 1.38 Å)."""

ORGANOMETALLIC = 1.10
"""A metal nearer to a carbon than this multiple of the sum of their covalent radii is bonded to it; the
carbons of chelating carboxylates are at 1.15 or more."""

LINEAR = -0.9
"""Cosine of the angle above which an atom of two bonds is taken for sp."""


def missing_hydrogens(cluster: Cluster) -> np.ndarray:
    """Return coordinates / Å of the hydrogens that carbons and amine nitrogens lack, shape (n, 3).

    A carbon has two neighbours if they lie on one line; three if three are there in a plane, if its mean C–C
    bond is shorter than 1.44 Å, or if a bond to O or N is a double bond (below 1.30, 1.37 Å) or it carries
    two oxygens; else four, cations it is bonded to among them. A nitrogen on a cation has four, three
    if it is sp2 (imines, pyridines, azo compounds); without a cation one less; none is added to a nitrile.
    Nothing is added where a hydrogen is there already, nor to carbons without a neighbour, nor to
    pseudohalides.
    """
    found = topology(cluster)
    graph = found.graph
    complete = {i for ligand in found.fragments if ligand.formula in PSEUDOHALIDES for i in ligand.atoms}
    added: list[np.ndarray] = []
    for atom, symbol in enumerate(cluster.symbols):
        if symbol not in X_H or atom in complete:
            continue
        around = [*graph[atom], *(_organometallic(cluster, found.metals, atom) if symbol == "C" else ())]
        if not around or any(cluster.symbols[j] == "H" for j in around):
            continue
        n_missing = _valence(cluster, atom, around) - len(around)
        if n_missing > 0:
            vectors = cluster.positions[around] - cluster.positions[atom]
            units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
            second = [k for k in graph[around[0]] if k != atom]
            side = cluster.positions[second[0]] - cluster.positions[around[0]] if second else None
            added += [
                cluster.positions[atom] + X_H[symbol] * direction
                for direction in _directions(units, n_missing, side)
            ]
    return np.reshape(added, (-1, 3))


def _organometallic(cluster: Cluster, metals: Sequence[int], carbon: int) -> list[int]:
    """Return the metals that a carbon is bonded to, which are no neighbours in the bond graph."""
    distance = np.linalg.norm(cluster.positions[list(metals)] - cluster.positions[carbon], axis=1)
    return [
        metal
        for metal, d in zip(metals, distance, strict=True)
        if d < ORGANOMETALLIC * (covalent_radius("C") + covalent_radius(cluster.symbols[metal]))
    ]


def _valence(cluster: Cluster, atom: int, around: list[int]) -> int:
    symbols = [cluster.symbols[j] for j in around]
    vectors = cluster.positions[around] - cluster.positions[atom]
    lengths = np.linalg.norm(vectors, axis=1)
    units = vectors / lengths[:, None]
    to_carbon = lengths[[symbol == "C" for symbol in symbols]]
    if cluster.symbols[atom] == "N":
        bound = any(symbol in METALS for symbol in symbols)
        bonds = [(s, length) for s, length in zip(symbols, lengths, strict=True) if s in ONE_DOUBLE]
        if any(length < TRIPLE for _, length in bonds):
            return SP - (not bound)
        double = any(length < ONE_DOUBLE[s] for s, length in bonds)
        aromatic = len(bonds) == SP and all(length < BOTH_AROMATIC[s] for s, length in bonds)
        return (SP2 if double or aromatic else SP3) - (not bound)
    if len(around) == SP and units[0] @ units[1] < LINEAR:
        return SP
    if symbols.count("O") > 1 or any(
        length < DOUBLE.get(symbol, 0.0) for length, symbol in zip(lengths, symbols, strict=True)
    ):
        return SP2
    if len(around) == SP2:  # in a plane the three unit vectors cancel, in a pyramid their sum has length 1
        return SP2 if np.linalg.norm(units.sum(axis=0)) < FLAT else SP3
    return SP2 if len(to_carbon) and np.mean(to_carbon) < PLANAR else SP3


def _directions(units: np.ndarray, n: int, side: np.ndarray | None) -> list[np.ndarray]:
    """Return unit vectors of n new bonds beside existing ones: opposite, tetrahedral or staggered."""
    back = -units.sum(axis=0)
    if np.linalg.norm(back) < 1e-3:  # linear: anything perpendicular
        back = np.cross(units[0], np.eye(3)[np.argmin(np.abs(units[0]))])
    back /= np.linalg.norm(back)
    if n == 1:
        return [back]
    if n == 2 and len(units) > 1:
        normal = np.cross(units[0], units[1])
        normal /= np.linalg.norm(normal)
        half = np.radians(109.47 / 2)
        return [np.cos(half) * back + s * np.sin(half) * normal for s in (1, -1)]
    axis = -units[0]
    side = side if side is not None else np.eye(3)[np.argmin(np.abs(axis))]
    x = side - (side @ axis) * axis
    if np.linalg.norm(x) < 1e-3:
        x = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    x /= np.linalg.norm(x)
    y = np.cross(axis, x)
    tilt = np.radians(180 - 109.47)
    angles = np.pi + 2 * np.pi * np.arange(3) / 3
    found = [np.cos(tilt) * axis + np.sin(tilt) * (np.cos(a) * x + np.sin(a) * y) for a in angles]
    return found[:n]
