"""Symmetry of a cluster's graph, and the distinct ways to choose sites under it.

The graph is that of the skeleton, with one node for all ligands that bind the same cations in the same way:
turning a phenyl ring, or swapping two bridges over one edge, is no symmetry anybody wants to count.
Placements are produced one by one and each is compared with its own images only, so that a million of them
need no more memory than one.

As in `mscflow.reactions.exchange`, ligands that leave are anions of charge −1 and of one kind; an iterator
that yields nothing means that there is no such choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from math import comb

import networkx as nx

from mscflow.cluster import Cluster
from mscflow.topology import topology

Permutation = tuple[int, ...]
"""Image of each node; nodes are the atoms, then the sets of `alike` ligands."""


@lru_cache(maxsize=8)
def symmetries(cluster: Cluster, ligands: bool = True) -> tuple[Permutation, ...]:
    """Return the automorphisms of the graph of a cluster, the identity among them.

    Parameters
    ----------
    cluster
        The structure; only its bonds matter, so mirror images count as the same.
    ligands
        Whether ligands have to be mapped onto ligands, too; else they do not count (and stay in place),
        unless the skeleton is in pieces without them.

    Returns
    -------
    tuple of tuple of int
        Image of each atom of the skeleton, at its index, and of set n of `alike` at ``len(cluster) + n``.
    """
    drawing = _drawing(cluster, ligands)
    if not nx.is_connected(drawing):  # cations that only ligands hold: these decide
        drawing = _drawing(cluster, ligands=True)
    n_nodes = len(cluster) + len(alike(cluster))
    matcher = nx.algorithms.isomorphism.GraphMatcher(
        drawing,
        drawing,
        node_match=nx.algorithms.isomorphism.categorical_node_match("label", None),
        edge_match=nx.algorithms.isomorphism.categorical_edge_match("bonds", None),
    )
    return tuple(tuple(found.get(i, i) for i in range(n_nodes)) for found in matcher.isomorphisms_iter())


@lru_cache(maxsize=8)
def alike(cluster: Cluster) -> tuple[tuple[int, ...], ...]:
    """Return sets of ligands, by their numbers, that bind the same cations with as many bonds."""
    graph = topology(cluster)
    sets: dict[tuple, list[int]] = {}
    for n, ligand in enumerate(graph.ligands):
        bonds = tuple(sum(graph.graph.has_edge(metal, i) for i in ligand.donors) for metal in ligand.metals)
        sets.setdefault((kinds(cluster)[n], ligand.metals, bonds), []).append(n)
    return tuple(map(tuple, sets.values()))


@lru_cache(maxsize=8)
def kinds(cluster: Cluster) -> tuple[str, ...]:
    """Return the kind of each ligand: formula and hash of its bonds, which isomers do not share."""
    graph = topology(cluster)
    found = []
    for ligand in graph.ligands:
        number = {atom: n for n, atom in enumerate(ligand.atoms)}
        ends = [(number[i], number[j]) for i, j in graph.graph.subgraph(ligand.atoms).edges]
        bonds = sorted((min(pair), max(pair)) for pair in ends)
        symbols = tuple(cluster.symbols[i] for i in ligand.atoms)
        found.append(f"{ligand.formula} {_graph_hash(symbols, tuple(bonds))}")
    return tuple(found)


@lru_cache(maxsize=256)
def _graph_hash(symbols: tuple[str, ...], bonds: tuple[tuple[int, int], ...]) -> str:
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from((n, {"symbol": symbol}) for n, symbol in enumerate(symbols))
    graph.add_edges_from(bonds)
    return nx.weisfeiler_lehman_graph_hash(graph, node_attr="symbol", iterations=len(symbols))


def _drawing(cluster: Cluster, ligands: bool) -> nx.Graph:
    graph = topology(cluster)
    skeleton = graph.skeleton
    drawing: nx.Graph = nx.Graph()
    drawing.add_nodes_from((i, {"label": cluster.symbols[i]}) for i in skeleton)
    drawing.add_edges_from((*edge, {"bonds": 1}) for edge in graph.graph.subgraph(skeleton).edges)
    for n, members in enumerate(alike(cluster) if ligands else ()):
        ligand = graph.ligands[members[0]]
        node = len(cluster) + n
        drawing.add_node(node, label=f"{len(members)} {kinds(cluster)[members[0]]}")
        for metal in ligand.metals:
            drawing.add_edge(node, metal, bonds=sum(graph.graph.has_edge(metal, i) for i in ligand.donors))
    return drawing


def is_first(chosen: Sequence[int], group: Sequence[Permutation]) -> bool:
    """Return whether a set of nodes is the first, in dictionary order, of all its images."""
    ordered = sorted(chosen)
    return all(sorted(image[i] for i in ordered) >= ordered for image in group)


def placements(sites: Sequence[int], n: int, group: Sequence[Permutation]) -> Iterator[tuple[int, ...]]:
    """Yield one of each set of `n` sites that a symmetry maps onto each other, in dictionary order.

    Parameters
    ----------
    sites
        Indices; with a site all of its images have to be there.
    n
        Number of sites that are chosen.
    group
        See `symmetries`.
    """
    return (chosen for chosen in combinations(sorted(sites), n) if is_first(chosen, group))


def count_placements(sites: Sequence[int], n: int, group: Sequence[Permutation]) -> int:
    """Return the number of `placements` without making them (Burnside's lemma)."""
    return sum(_unchanged(_cycles(sites, image), n) for image in group) // len(group)


def _cycles(sites: Sequence[int], image: Permutation) -> list[int]:
    """Return the lengths of the cycles of a permutation on the sites."""
    left, lengths = set(sites), []
    while left:
        start = site = left.pop()
        length = 1
        while (site := image[site]) != start:
            left.remove(site)
            length += 1
        lengths.append(length)
    return lengths


def _unchanged(cycles: Sequence[int], n: int) -> int:
    """Return how many sets of `n` sites are unions of cycles."""
    ways = [1] + [0] * n
    for length in set(cycles):
        times = cycles.count(length)
        new = [0] * (n + 1)
        for taken in range(min(times, n // length) + 1):
            for already in range(n - taken * length + 1):
                new[already + taken * length] += ways[already] * comb(times, taken)
        ways = new
    return ways[n]
