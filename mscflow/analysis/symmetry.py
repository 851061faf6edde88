"""Point group of a core with a tolerance, its chirality, and which of its atoms are equivalent.

Operations are found by superposition: two atoms that span the structure are laid on every pair of the same
elements and distances, properly and improperly, and what puts all atoms onto atoms is kept. Orbits, chirality
and the name of the point group all follow from the same operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm

import networkx as nx
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import topology

TOLERANCE = 0.3
"""How far / Å an atom may lie from where a symmetry operation puts another one."""

MIN_ATOMS = 4

LINEAR = 0.05
"""Largest distance / Å from the axis of a molecule that counts as linear."""

N_ROUNDS = 5
FIRST_GUESS = 6.0
"""How far, in tolerances, an atom may be off before a superposition of two atoms is fitted to all."""


@dataclass(frozen=True)
class Symmetry:
    """Symmetry of a core.

    Parameters
    ----------
    point_group
        Schoenflies symbol.
    tolerance
        What was allowed / Å.
    chiral
        Whether there is no reflection and no improper rotation.
    orbits
        Equivalent atoms, as indices of the cluster; every atom of the core is in one of them.
    """

    point_group: str
    tolerance: float
    chiral: bool
    orbits: tuple[tuple[int, ...], ...]

    def environments(self, cluster: Cluster, element: str) -> list[tuple[int, ...]]:
        """Return the orbits of one element, e.g. the kinds of phosphorus that ³¹P NMR could tell apart."""
        return [orbit for orbit in self.orbits if cluster.symbols[orbit[0]] == element]


@dataclass(frozen=True)
class Operation:
    """A symmetry operation about the middle of a structure.

    Parameters
    ----------
    image
        Atom onto which each atom is put, shape (n_atoms,).
    rotation
        Its matrix, shape (3, 3); of determinant −1 if it is improper.
    deviation
        Largest distance of an atom from where another one is put / Å.
    """

    image: tuple[int, ...]
    rotation: np.ndarray
    deviation: float

    @property
    def is_proper(self) -> bool:
        """Whether it is a rotation."""
        return bool(np.linalg.det(self.rotation) > 0)

    @property
    def order(self) -> int:
        """How often it has to be repeated until every atom, and the hand, is as it was."""
        cycles = map(len, nx.strongly_connected_components(nx.DiGraph(enumerate(self.image))))
        return lcm(*cycles, 1 if self.is_proper else 2)

    @property
    def is_mirror(self) -> bool:
        """Whether it is a reflection."""
        return not self.is_proper and self.order == 2 and float(np.trace(self.rotation)) > -1


def core_symmetry(cluster: Cluster, tolerance: float = TOLERANCE) -> Symmetry:
    """Return the point group of metals and core anions.

    A ligand shell has hardly any symmetry at one instant; in solution it averages to that of the core at
    best. Relaxed cores need more tolerance than built ones.

    Parameters
    ----------
    cluster
        The structure.
    tolerance
        Distance / Å within which atoms count as exchanged.

    Raises
    ------
    InputError
        If there are fewer than four atoms in the core.
    """
    core = list(topology(cluster).skeleton)
    if len(core) < MIN_ATOMS:
        raise InputError(f"{cluster.name or cluster.formula}: a core of {len(core)} atoms has no point group")
    found = operations([cluster.symbols[i] for i in core], cluster.positions[core], tolerance)
    same = nx.Graph((i, j) for operation in found for i, j in enumerate(operation.image))
    orbits = sorted(tuple(sorted(core[i] for i in part)) for part in nx.connected_components(same))
    chiral = all(operation.is_proper for operation in found)
    name = point_group(found)
    if _beside(cluster.positions[core] - cluster.positions[core].mean(axis=0)).max() < LINEAR:
        name = "C∞v" if len(orbits) == len(core) else "D∞h"
    return Symmetry(name, tolerance, chiral, tuple(orbits))


def symmetry_number(cluster: Cluster, tolerance: float) -> int:
    """Return the number of rotations that put a whole molecule onto itself within a tolerance / Å."""
    return sum(found.is_proper for found in operations(cluster.symbols, cluster.positions, tolerance))


def operations(symbols: Sequence[str], positions: np.ndarray, tolerance: float) -> list[Operation]:
    """Return the symmetry operations of a structure.

    Parameters
    ----------
    symbols
        Elements.
    positions
        Coordinates / Å, shape (n_atoms, 3).
    tolerance
        Distance / Å within which atoms count as exchanged.

    Returns
    -------
    list of Operation
        A group: where those within the tolerance are none, the ones of largest deviation are left out. Of a
        linear molecule one of each kind: rotation and reflection that keep both ends, and that swap them.
    """
    centred = positions - positions.mean(axis=0)
    kinds = np.array(symbols)
    different = kinds[:, None] != kinds[None, :]
    found: dict[tuple[tuple[int, ...], bool], Operation] = {}
    for rotation in _trials(centred, different, tolerance):
        operation = _fitted(centred, different, rotation, tolerance)
        if operation is not None:
            found.setdefault((operation.image, operation.is_proper), operation)
    group = sorted(found.values(), key=lambda operation: operation.deviation)
    while not _is_closed(group):
        group.pop()
    return group


def point_group(group: Sequence[Operation]) -> str:
    """Return the Schoenflies symbol of a group of operations.

    The rotations decide on the family by their number and highest order, the reflections on the rest.
    """
    rotations = [operation for operation in group if operation.is_proper]
    n, highest = len(rotations), max(operation.order for operation in rotations)
    mirrors = sum(operation.is_mirror for operation in group)
    achiral = len(group) > n
    cubic = {(12, 3): "T", (24, 4): "O", (60, 5): "I"}.get((n, highest))
    if cubic:
        return cubic + (("d" if cubic == "T" and mirrors == 6 else "h") if achiral else "")
    if n > highest:
        return f"D{highest}" + (("h" if mirrors > highest else "d") if achiral else "")
    if not achiral:
        return f"C{n}"
    if n == 1:
        return "Cs" if mirrors else "Ci"
    return f"S{2 * n}" if not mirrors else f"C{n}{'h' if mirrors == 1 else 'v'}"


def _beside(centred: np.ndarray) -> np.ndarray:
    """Return how far each atom lies from the axis through the middle and the outermost atom / Å."""
    axis = centred[np.linalg.norm(centred, axis=1).argmax()]
    return np.asarray(np.linalg.norm(np.cross(centred, axis), axis=1) / max(np.linalg.norm(axis), LINEAR))


def _trials(centred: np.ndarray, different: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    """Yield matrices that put two atoms about where two alike ones are, both hands of each.

    The two are far from the middle and from each other's axis, with as few alike atoms as possible.
    """
    radii = np.linalg.norm(centred, axis=1)
    if _beside(centred).max() < LINEAR:
        axis = centred[radii.argmax()] / max(radii.max(), LINEAR)
        normal = np.linalg.svd(axis[None, :])[2][-1]
        mirror = np.eye(3) - 2 * np.outer(normal, normal)
        yield from (np.eye(3), mirror, -mirror, -np.eye(3))
        return
    alike = ~different & (np.abs(radii[:, None] - radii[None, :]) <= tolerance)
    n_alike = alike.sum(axis=1)
    a = int(np.where(radii >= radii.max() / 2, n_alike, np.inf).argmin())
    beside = np.linalg.norm(np.cross(centred, centred[a]), axis=1)
    b = int(np.where(beside >= beside.max() / 2, n_alike, np.inf).argmin())
    distances = cdist(centred, centred)
    frame = _frame(centred[a], centred[b])
    for c in np.flatnonzero(alike[a]):
        for d in np.flatnonzero(alike[b] & (np.abs(distances[c] - distances[a, b]) <= 2 * tolerance)):
            if np.linalg.norm(np.cross(centred[c], centred[d])) <= LINEAR * radii[c]:
                continue
            image = _frame(centred[c], centred[d])
            yield image @ frame.T
            yield image @ np.diag([1.0, 1.0, -1.0]) @ frame.T


def _frame(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return unit vectors along u, across it towards v, and across both, as columns."""
    first = u / np.linalg.norm(u)
    across = v - (v @ first) * first
    second = across / np.linalg.norm(across)
    return np.column_stack([first, second, np.cross(first, second)])


def _fitted(
    centred: np.ndarray, different: np.ndarray, rotation: np.ndarray, tolerance: float
) -> Operation | None:
    """Return the operation near a matrix, fitted to all atoms; None if it leaves one too far off."""
    hand = np.sign(np.linalg.det(rotation))
    image = np.zeros(0, dtype=int)
    for n_round in range(N_ROUNDS):
        distances = np.where(different, np.inf, cdist(centred @ rotation.T, centred))
        if n_round == 0 and distances.min(axis=1).max() > FIRST_GUESS * tolerance:
            return None
        new = linear_sum_assignment(np.where(different, 1e6, distances**2))[1]
        if np.array_equal(new, image):
            break
        image = new
        u, _, vt = np.linalg.svd(centred.T @ centred[image])
        turn = np.diag([1.0, 1.0, hand * np.sign(np.linalg.det(u @ vt))])
        rotation = (u @ turn @ vt).T
    deviation = float(np.linalg.norm(centred @ rotation.T - centred[image], axis=1).max())
    return Operation(tuple(image.tolist()), rotation, deviation) if deviation <= tolerance else None


def _is_closed(group: Sequence[Operation]) -> bool:
    """Return whether every two operations, one after the other, are one of them."""
    images = np.array([operation.image for operation in group])
    hands = [operation.is_proper for operation in group]
    known = {(image.tobytes(), hand) for image, hand in zip(images, hands, strict=True)}
    return all(
        (row.tobytes(), first == second) in known
        for image, first in zip(images, hands, strict=True)
        for row, second in zip(image[images], hands, strict=True)
    )
