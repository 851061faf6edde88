"""Six-rings of a core: chairs of zincblende, boats of wurtzite, and the one-handed twist-boats of In37P20."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from mscflow.cluster import Cluster
from mscflow.topology import topology

if TYPE_CHECKING:
    import pandas as pd

SIZE = 6
POLAR_LIMITS = (45.0, 135.0)
"""Polar angle of the puckering sphere / ° below and above which a ring is a chair."""

TWIST = 15.0
"""A ring near the equator is a twist-boat beyond this distance from the next boat / ° (30 at most)."""

FLAT = 0.1
"""Puckering amplitude / Å below which a ring is flat."""


@dataclass(frozen=True)
class Ring:
    """One six-membered ring of cations and anions.

    Parameters
    ----------
    atoms
        Indices in order along the ring.
    amplitude, polar, azimuth
        Puckering: Q / Å, θ and φ / °.
    shape
        ``chair``, ``boat``, ``twist-boat`` or ``flat``.
    hand
        Of a twist-boat: ``P`` where four of its six torsion angles are positive, ``M`` where four are
        negative; else empty.
    """

    atoms: tuple[int, ...]
    amplitude: float
    polar: float
    azimuth: float
    shape: str
    hand: str


class Rings(tuple[Ring, ...]):
    """The six-rings of a core."""

    __slots__ = ()

    @property
    def table(self) -> pd.DataFrame:
        """One row per ring."""
        import pandas as pd

        return pd.DataFrame([vars(ring) for ring in self])

    @property
    def counts(self) -> dict[str, int]:
        """Number of rings of each shape, twist-boats by hand."""
        found: dict[str, int] = {}
        for ring in self:
            name = f"{ring.shape} {ring.hand}".strip()
            found[name] = found.get(name, 0) + 1
        return dict(sorted(found.items()))


def six_rings(cluster: Cluster) -> Rings:
    """Return the six-membered rings of metals and core anions, and how each is puckered.

    Puckering coordinates of Cremer & Pople, J. Am. Chem. Soc. 1975, 97, 1354: θ is 0 or 180° for a chair
    and 90° for boats (φ a multiple of 60°) and twist-boats (φ between two of these).

    Parameters
    ----------
    cluster
        The structure; ligands do not count.

    Returns
    -------
    Rings
        A tuple of `Ring` with ``.table`` and ``.counts``.
    """
    found = topology(cluster)
    core = found.graph.subgraph(found.skeleton)
    cycles = nx.chordless_cycles(core, length_bound=SIZE)  # type: ignore[call-overload]  # graphs are meant too
    found_six = sorted(_canonical(cycle) for cycle in cycles if len(cycle) == SIZE)
    return Rings(_ring(cluster.positions, atoms) for atoms in found_six)


def puckering(positions: np.ndarray) -> tuple[float, float, float]:
    """Return amplitude Q / Å, polar angle θ / ° and azimuth φ / ° of a six-ring.

    Parameters
    ----------
    positions
        Coordinates / Å in order along the ring, shape (6, 3).
    """
    centred = positions - positions.mean(axis=0)
    angles = 2 * np.pi * np.arange(SIZE) / SIZE
    normal = np.cross(np.sin(angles) @ centred, np.cos(angles) @ centred)
    heights = centred @ (normal / np.linalg.norm(normal))
    x, y = (np.sqrt(2 / SIZE) * function(2 * angles) @ heights for function in (np.cos, np.sin))
    planar, axial = np.hypot(x, y), np.cos(np.pi * np.arange(SIZE)) @ heights / np.sqrt(SIZE)
    azimuth = np.degrees(np.arctan2(-y, x)) % 360
    return float(np.hypot(planar, axial)), float(np.degrees(np.arctan2(planar, axial))), float(azimuth)


def torsions(positions: np.ndarray) -> np.ndarray:
    """Return the torsion angles / ° about the bonds of a ring, shape (n_atoms,)."""
    bonds = np.roll(positions, -1, axis=0) - positions
    before, after = np.roll(bonds, 1, axis=0), np.roll(bonds, -1, axis=0)
    left, right = np.cross(before, bonds), np.cross(bonds, after)
    sines = np.einsum("ix,ix->i", before, right) * np.linalg.norm(bonds, axis=1)
    return np.degrees(np.arctan2(sines, np.einsum("ix,ix->i", left, right)))


def _ring(positions: np.ndarray, atoms: tuple[int, ...]) -> Ring:
    members = positions[list(atoms)]
    amplitude, polar, azimuth = puckering(members)
    shape, hand = _shape(amplitude, polar, azimuth), ""
    if shape == "twist-boat":
        hand = "P" if np.sign(torsions(members)).sum() > 0 else "M"
    return Ring(atoms, round(amplitude, 3), round(polar, 1), round(azimuth, 1), shape, hand)


def _shape(amplitude: float, polar: float, azimuth: float) -> str:
    if amplitude < FLAT:
        return "flat"
    if not POLAR_LIMITS[0] < polar < POLAR_LIMITS[1]:
        return "chair"
    from_boat = abs((azimuth + 30) % 60 - 30)
    return "twist-boat" if from_boat > TWIST else "boat"


def _canonical(cycle: tuple[int, ...] | list[int]) -> tuple[int, ...]:
    """Return a cycle from its smallest atom in the direction of its smaller neighbour."""
    start = cycle.index(min(cycle))
    turned = [*cycle[start:], *cycle[:start]]
    return tuple(turned if turned[1] < turned[-1] else [turned[0], *reversed(turned[1:])])
