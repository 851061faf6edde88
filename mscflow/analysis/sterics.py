"""How much of the space around each surface cation its ligands fill, and phenyl rings that stack."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import networkx as nx
import numpy as np
from ase.data import vdw_radii

from mscflow.cluster import Cluster
from mscflow.topology import topology

SPHERE = 3.5
SCALE = 1.17
"""Radius of the sphere / Å and factor on Bondi's radii: Clavier & Nolan, Chem. Commun. 2010, 46, 841."""

SPACING = 0.2
"""Spacing of the grid that measures volumes / Å."""

N_DIRECTIONS = 2000
DEFAULT_RADIUS = 1.7
"""van der Waals radius / Å where Bondi has none."""

RING = 6
STACKED, TILTED = 30.0, 60.0
STACKED_DISTANCE, TILTED_DISTANCE = 4.6, 5.5
"""Angle between planes / ° and distance of centroids / Å: Janiak, J. Chem. Soc., Dalton Trans. 2000, 3885."""


@dataclass(frozen=True)
class Crowding:
    """The surroundings of one surface cation.

    Parameters
    ----------
    atom, symbol
        Index and element.
    buried_volume
        Part of a sphere of 3.5 Å about it that ligands fill, its own and those of its neighbours.
    solid_angle
        Part of all directions in which an atom of its own ligands is in the way.
    """

    atom: int
    symbol: str
    buried_volume: float
    solid_angle: float


@dataclass(frozen=True)
class Phenyl:
    """A ring of a ligand.

    Parameters
    ----------
    ligand
        Number of its ligand (in `Topology.ligands`).
    centre
        Centroid / Å.
    normal
        Unit vector across its plane.
    """

    ligand: int
    centre: np.ndarray
    normal: np.ndarray


@dataclass(frozen=True)
class Contact:
    """Two phenyl rings near each other.

    Parameters
    ----------
    ligands
        Numbers of their ligands (in `Topology.ligands`).
    distance
        Of the centroids / Å.
    angle
        Between the planes / °.
    offset
        How far the second centroid lies beside the normal of the first / Å.
    kind
        ``stacked`` or ``T-shaped``.
    """

    ligands: tuple[int, int]
    distance: float
    angle: float
    offset: float
    kind: str


def crowding(cluster: Cluster) -> list[Crowding]:
    """Return how crowded each surface cation is: what a reagent must push aside.

    Parameters
    ----------
    cluster
        The structure, ideally relaxed.

    Returns
    -------
    list of Crowding
        In order of the atoms; hydrogens count, core atoms do not.
    """
    found = topology(cluster)
    radii = SCALE * np.nan_to_num(vdw_radii[cluster.numbers], nan=DEFAULT_RADIUS)
    shell = np.array([i for ligand in found.ligands for i in ligand.atoms], dtype=int)
    grid, directions = _ball(SPHERE, SPACING), _directions(N_DIRECTIONS)
    rows = []
    for atom in found.surface_cations:
        own = [i for ligand in found.ligands if atom in ligand.metals for i in ligand.atoms]
        vectors = cluster.positions - cluster.positions[atom]
        near = shell[np.linalg.norm(vectors[shell], axis=1) < SPHERE + radii[shell]]
        buried = float(_inside(grid, vectors[near], radii[near]).mean())
        shaded = float(_shaded(directions, vectors[own], radii[own]).mean())
        rows.append(Crowding(atom, cluster.symbols[atom], round(buried, 3), round(shaded, 3)))
    return rows


def stacking(cluster: Cluster) -> list[Contact]:
    """Return the contacts of phenyl rings of different ligands, nearest first.

    Parameters
    ----------
    cluster
        The structure.
    """
    pairs = combinations(phenyls(cluster), 2)
    found = [contact for a, b in pairs if a.ligand != b.ligand and (contact := _contact(a, b))]
    return sorted(found, key=lambda contact: contact.distance)


def phenyls(cluster: Cluster) -> list[Phenyl]:
    """Return the flat rings of six carbons in the ligands."""
    found = topology(cluster)
    rings = []
    for number, ligand in enumerate(found.ligands):
        carbons = found.graph.subgraph(i for i in ligand.atoms if cluster.symbols[i] == "C")
        for cycle in nx.minimum_cycle_basis(carbons):
            centred = cluster.positions[cycle] - cluster.positions[cycle].mean(axis=0)
            _, sizes, axes = np.linalg.svd(centred)
            if len(cycle) == RING and sizes[2] < 0.1 * sizes[0]:
                rings.append(Phenyl(number, cluster.positions[cycle].mean(axis=0), axes[2]))
    return rings


def _contact(a: Phenyl, b: Phenyl) -> Contact | None:
    vector = b.centre - a.centre
    distance = float(np.linalg.norm(vector))
    angle = float(np.degrees(np.arccos(min(1.0, abs(a.normal @ b.normal)))))
    offset = float(np.linalg.norm(vector - (vector @ a.normal) * a.normal))
    if angle < STACKED and distance < STACKED_DISTANCE:
        kind = "stacked"
    elif angle > TILTED and distance < TILTED_DISTANCE:
        kind = "T-shaped"
    else:
        return None
    return Contact((a.ligand, b.ligand), round(distance, 2), round(angle, 1), round(offset, 2), kind)


def _ball(radius: float, spacing: float) -> np.ndarray:
    """Return the points of a cubic grid inside a ball about the origin / Å, shape (n_points, 3)."""
    line = np.arange(-radius + spacing / 2, radius, spacing)
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(points[np.linalg.norm(points, axis=1) <= radius])


def _directions(n: int) -> np.ndarray:
    """Return directions evenly spread over the sphere (Fibonacci's spiral), shape (n, 3)."""
    heights = 1 - (2 * np.arange(n) + 1) / n
    angles = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    width = np.sqrt(1 - heights**2)
    return np.stack([width * np.cos(angles), width * np.sin(angles), heights], axis=1)


def _inside(points: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return whether each point lies in one of several balls."""
    found = np.zeros(len(points), dtype=bool)
    for centre, radius in zip(centres, radii, strict=True):
        found |= ((points - centre) ** 2).sum(axis=1) < radius**2
    return found


def _shaded(directions: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return whether a ray from the origin in each direction meets one of several balls."""
    distances = np.linalg.norm(centres, axis=1)
    touched = radii >= distances
    half = np.arcsin(np.where(touched, 1.0, radii / distances))
    cosines = directions @ (centres / distances[:, None]).T
    return np.asarray((cosines > np.cos(half)).any(axis=1))
