"""Cation–cation separations: how far apart, surface or core, bridged by what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mscflow.chemistry import METALS, suggest
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import topology

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 6.0
"""Pairs of cations further apart / Å share neither an anion nor a ligand in these clusters."""


@dataclass(frozen=True)
class Separation:
    """A pair of cations.

    Parameters
    ----------
    i, j
        Atom indices, i < j.
    symbols
        Elements of the two.
    distance
        Separation / Å.
    surface
        ``surface–surface``, ``core–surface`` or ``core–core``.
    shared_anions
        Indices of core anions bonded to both.
    bridging_ligands
        Numbers (in `Topology.ligands`) of ligands bonded to both.
    """

    i: int
    j: int
    symbols: tuple[str, str]
    distance: float
    surface: str
    shared_anions: tuple[int, ...]
    bridging_ligands: tuple[int, ...]


class Separations(tuple[Separation, ...]):
    """Pairs of cations in order of distance."""

    __slots__ = ()

    @property
    def table(self) -> pd.DataFrame:
        """One row per pair; distances / Å."""
        import pandas as pd

        return pd.DataFrame([vars(pair) for pair in self])


def separations(cluster: Cluster, elements: str | Iterable[str] = "In") -> Separations:
    """Return all cation pairs nearer than 6 Å.

    Parameters
    ----------
    cluster
        The structure.
    elements
        One metal or several; pairs between all of them are listed.

    Returns
    -------
    Separations
        A tuple of `Separation`, nearest first, with ``.table``.

    Raises
    ------
    InputError
        If an element is not a metal of `METALS`.
    """
    wanted = {elements} if isinstance(elements, str) else set(elements)
    for element in wanted - set(METALS):
        raise InputError(f"{element!r} is not a cation: {suggest(element, METALS)}")
    graph = topology(cluster)
    surface, anions = set(graph.surface_cations), set(graph.core_anions)
    of_metal: dict[int, set[int]] = {m: set() for m in graph.metals}
    for number, ligand in enumerate(graph.ligands):
        for metal in ligand.metals:
            of_metal[metal].add(number)
    pairs = []
    for i, j in combinations([m for m in graph.metals if cluster.symbols[m] in wanted], 2):
        distance = float(np.linalg.norm(cluster.positions[i] - cluster.positions[j]))
        if distance > LONGEST:
            continue
        kinds = sorted("surface" if m in surface else "core" for m in (i, j))
        pairs.append(
            Separation(
                i,
                j,
                (cluster.symbols[i], cluster.symbols[j]),
                distance,
                "–".join(kinds),
                tuple(sorted(set(graph.graph[i]) & set(graph.graph[j]) & anions)),
                tuple(sorted(of_metal[i] & of_metal[j])),
            )
        )
    return Separations(sorted(pairs, key=lambda pair: (pair.distance, pair.i, pair.j)))
