"""How ligands bind, and how cations and anions are coordinated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mscflow.cluster import Cluster
from mscflow.topology import Ligand, Role, Topology, topology

if TYPE_CHECKING:
    import pandas as pd

SYMMETRIC = 0.20
"""A bridge is symmetric when its two shortest donor–metal bonds differ by less / Å."""


@dataclass(frozen=True)
class BindingMode:
    """How one ligand binds.

    Parameters
    ----------
    ligand
        Number of the ligand in `Topology.ligands`.
    formula
        Its composition.
    mode
        ``chelating``, ``symmetric bridging``, ``asymmetric bridging``, ``chelating + dative``,
        ``monodentate``; ``bridging`` or ``terminal`` for a single donor atom.
    metals
        Indices of the cations it binds.
    bonds
        Donor–metal bonds with their lengths / Å, shortest first, e.g. ``O5–In1: 2.25``.
    distances
        The lengths / Å alone.
    """

    ligand: int
    formula: str
    mode: str
    metals: tuple[int, ...]
    bonds: tuple[str, ...]
    distances: tuple[float, ...]


@dataclass(frozen=True)
class Coordination:
    """Neighbours of one cation or core anion.

    Parameters
    ----------
    atom, symbol, role
        Index, element and role.
    number
        Coordination number.
    neighbours
        How many of each element.
    mean_distance
        Mean bond length / Å to each element.
    """

    atom: int
    symbol: str
    role: Role
    number: int
    neighbours: dict[str, int]
    mean_distance: dict[str, float]


class BindingModes(tuple[BindingMode, ...]):
    """Binding modes, one per ligand."""

    __slots__ = ()

    @property
    def table(self) -> pd.DataFrame:
        """One row per ligand; bonds / Å."""
        import pandas as pd

        return pd.DataFrame([vars(mode) for mode in self])


def binding_modes(cluster: Cluster) -> BindingModes:
    """Return the binding mode of every ligand.

    A carboxylate whose two oxygens bind one metal and no other is chelating; with one oxygen also on a
    second metal (μ2-η2,η1) it is chelating + dative. Oxygens on different metals make a bridge: symmetric
    when the shortest bonds of the two oxygens differ by less than 0.2 Å.

    Parameters
    ----------
    cluster
        The structure.

    Returns
    -------
    BindingModes
        A tuple of `BindingMode` with ``.table``.
    """
    graph = topology(cluster)
    return BindingModes(_binding_mode(graph, n, ligand) for n, ligand in enumerate(graph.ligands))


def coordination(cluster: Cluster) -> list[Coordination]:
    """Return the coordination of every cation and core anion, in order of index."""
    graph = topology(cluster)
    rows = []
    for atom in graph.skeleton:
        near = sorted(graph.graph[atom])
        counts = Counter(cluster.symbols[j] for j in near)
        means = {
            symbol: float(
                np.mean([_distance(cluster, atom, j) for j in near if cluster.symbols[j] == symbol])
            )
            for symbol in counts
        }
        rows.append(
            Coordination(atom, cluster.symbols[atom], graph.roles[atom], len(near), dict(counts), means)
        )
    return rows


def _mode(graph: Topology, ligand: Ligand) -> str:
    if len(ligand.donors) == 1:
        if len(ligand.atoms) == 1:
            return "bridging" if len(ligand.metals) > 1 else "terminal"
        return "monodentate" if len(ligand.metals) == 1 else "bridging"
    metals = set(graph.metals)
    shared = set.intersection(*({*graph.graph[d]} & metals for d in ligand.donors))
    if len(ligand.metals) == 1:
        return "chelating"
    if shared:
        return "chelating + dative"
    shortest = [
        min(_distance(graph.cluster, d, m) for m in {*graph.graph[d]} & metals) for d in ligand.donors
    ]
    return "symmetric bridging" if max(shortest) - min(shortest) < SYMMETRIC else "asymmetric bridging"


def _binding_mode(graph: Topology, number: int, ligand: Ligand) -> BindingMode:
    symbols = graph.cluster.symbols
    bonds = sorted(
        (_distance(graph.cluster, donor, metal), donor, metal)
        for donor in ligand.donors
        for metal in set(graph.metals) & set(graph.graph[donor])
    )
    return BindingMode(
        ligand=number,
        formula=ligand.formula,
        mode=_mode(graph, ligand),
        metals=ligand.metals,
        bonds=tuple(f"{symbols[d]}{d}–{symbols[m]}{m}: {r:.2f}" for r, d, m in bonds),
        distances=tuple(r for r, _, _ in bonds),
    )


def _distance(cluster: Cluster, i: int, j: int) -> float:
    return float(np.linalg.norm(cluster.positions[i] - cluster.positions[j]))
