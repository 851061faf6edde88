"""Different ligand shells of one cluster: where ligands bind matters by electron-volts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import networkx as nx

from mscflow.builder.cages import Hand
from mscflow.builder.catalogue import build
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import topology

TRIES_PER_SHELL = 4
"""Seeds tried per shell asked for, before it is said that there are no more."""


def arrangement(cluster: Cluster) -> str:
    """Return a fingerprint of which ligand binds which cations; turning or renumbering does not change it.

    Two shells that a symmetry of the core turns into each other have the same fingerprint; the shape of the
    ligands' tails does not count.
    """
    graph = topology(cluster)
    skeleton = graph.skeleton
    drawing: nx.Graph = nx.Graph()
    drawing.add_nodes_from((i, {"label": cluster.symbols[i]}) for i in skeleton)
    drawing.add_edges_from(graph.graph.subgraph(skeleton).edges)
    for n, ligand in enumerate(graph.ligands):
        drawing.add_node(("ligand", n), label=ligand.formula)
        drawing.add_edges_from((("ligand", n), metal) for metal in ligand.metals)
    return str(nx.weisfeiler_lehman_graph_hash(drawing, node_attr="label", iterations=6))


def build_different(
    name: str,
    n: int,
    ligand: str | Sequence[str] | None = None,
    hand: Hand = "left",
    seed: int = 0,
    modes: Mapping[str, int] | None = None,
) -> list[Cluster]:
    """Build a cluster with `n` different arrangements of its ligands.

    Parameters
    ----------
    name, ligand, hand, modes
        See `mscflow.builder.build`.
    n
        Number of arrangements.
    seed
        First seed; the provenance of each cluster names its own.

    Raises
    ------
    InputError
        If so many different ones are not found.
    """
    found: dict[str, Cluster] = {}
    for trial in range(TRIES_PER_SHELL * n):
        try:
            cluster = build(name, ligand, hand, seed + trial, modes)
        except InputError:
            if not found:  # what was asked for is wrong
                raise
            continue
        found.setdefault(arrangement(cluster), cluster)
        if len(found) == n:
            return list(found.values())
    raise InputError(
        f"{name}: only {len(found)} different arrangement(s) of the ligands in {TRIES_PER_SHELL * n} seeds "
        f"from {seed}, {n} were asked for"
    )
