"""Cation exchange: every distinct site and leaving ligand, as balanced reactions.

Isovalent: cluster + ML3 → cluster(M) + InL3. Aliovalent: an ion of lower charge takes as many ligands
with it as keep the cluster neutral; which ones leave is a search over the ligands of the exchanged site.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Literal

import networkx as nx

from mscflow.builder.ligands import LIGANDS, identify
from mscflow.builder.precursors import precursor
from mscflow.chemistry import IONS, METALS, Ion, parse_ion
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.reaction import Reaction
from mscflow.topology import Ligand, Topology, topology

Sites = Literal["surface", "core", "all"] | Sequence[int]


def exchange(cluster: Cluster, ion: str | Ion, sites: Sites = "surface") -> list[Reaction]:
    """Return every symmetry-distinct exchange of one cation for `ion`.

    Two placements are the same when the bond graphs of the cluster with the site and the leaving ligands
    marked are isomorphic.

    Parameters
    ----------
    cluster
        The reactant; the products start from its geometry.
    ion
        The incoming cation, e.g. ``"Zn2+"``; its charge must not exceed that of the cation replaced.
    sites
        ``"surface"`` (cations with ligands), ``"core"``, ``"all"``, or atom indices.

    Returns
    -------
    list of Reaction
        In order of site; empty if no site is of another element.

    Raises
    ------
    InputError
        If a site is not a metal, the charge of the ion is too high, or the leaving ligand has no known
        molecular reference.
    """
    ion = parse_ion(ion) if isinstance(ion, str) else ion
    graph = topology(cluster)
    candidates = [
        (site, leaving)
        for site in _sites(graph, sites)
        if cluster.symbols[site] != ion.element
        for leaving in _leaving(graph, site, ion)
    ]
    return [_reaction(graph, ion, site, leaving) for site, leaving in _distinct(graph, candidates)]


def _sites(graph: Topology, sites: Sites) -> list[int]:
    surface = set(graph.surface_cations)
    if sites == "surface":
        return sorted(surface)
    if sites == "core":
        return sorted(set(graph.metals) - surface)
    if sites == "all":
        return sorted(graph.metals)
    if isinstance(sites, str):
        raise InputError(f"sites must be 'surface', 'core', 'all' or atom indices, not {sites!r}")
    for site in sites:
        if site not in graph.metals:
            raise InputError(f"site {site} is not a cation; cations: {list(graph.metals)}")
    return list(sites)


def _leaving(graph: Topology, site: int, ion: Ion) -> Iterable[tuple[Ligand, ...]]:
    """Yield the sets of ligands that may leave with the cation at `site`."""
    symbol = graph.cluster.symbols[site]
    surplus = METALS[symbol] - ion.charge
    if surplus < 0:
        raise InputError(
            f"{ion} for {symbol}{METALS[symbol]}+ would need {-surplus} more ligand(s): "
            f"ions of at most charge {METALS[symbol]} can be exchanged here"
        )
    anionic = [ligand for ligand in graph.ligands if ligand.charge == -1]
    near = [ligand for ligand in anionic if site in ligand.metals]
    if len(near) < surplus <= len(anionic):  # then also the next ones, all of equal distance in bonds
        reach = nx.single_source_shortest_path_length(graph.graph, site)
        distance = {ligand: min(reach.get(i, len(graph.graph)) for i in ligand.donors) for ligand in anionic}
        farthest = sorted(distance.values())[:surplus][-1]
        near = [ligand for ligand in anionic if distance[ligand] <= farthest]
    return combinations(near, surplus)


def _distinct(
    graph: Topology, candidates: list[tuple[int, tuple[Ligand, ...]]]
) -> list[tuple[int, tuple[Ligand, ...]]]:
    """Keep one of each set of placements that a symmetry of the bond graph maps onto each other."""
    seen: dict[str, list[nx.Graph]] = {}
    distinct = []
    for site, leaving in candidates:
        marked = graph.graph.copy()
        gone = {atom for ligand in leaving for atom in ligand.atoms}
        for node, data in marked.nodes(data=True):
            data["mark"] = f"{data['symbol']}{'*' if node == site else ''}{'-' if node in gone else ''}"
        key = nx.weisfeiler_lehman_graph_hash(marked, node_attr="mark", iterations=8)
        match = nx.algorithms.isomorphism.categorical_node_match("mark", None)
        if not any(nx.is_isomorphic(marked, other, node_match=match) for other in seen.get(key, [])):
            seen.setdefault(key, []).append(marked)
            distinct.append((site, leaving))
    return distinct


def _reaction(graph: Topology, ion: Ion, site: int, leaving: tuple[Ligand, ...]) -> Reaction:
    cluster = graph.cluster
    old = cluster.symbols[site]
    ligand = _ligand_name(graph, site, leaving)
    gone = {atom for lost in leaving for atom in lost.atoms}
    modes = " and ".join(_mode(lost) for lost in leaving)
    label = f"{ion} at {old} {site}" + (f", {modes} ligand leaves" if leaving else "")
    kept = [i for i in range(len(cluster)) if i not in gone]
    product = cluster.select(
        kept,
        symbols=[ion.element if i == site else cluster.symbols[i] for i in kept],
        multiplicity=_high_spin(cluster, ion),
        name=_exchanged_name(cluster, old, ion.element, site, leaving),
        provenance={
            **cluster.provenance,
            "exchange": {"ion": str(ion), "site": site, "leaving": [list(lost.atoms) for lost in leaving]},
        },
    )
    incoming = precursor(ion, ligand)
    outgoing = precursor(IONS[f"{old}{METALS[old] if METALS[old] > 1 else ''}+"], ligand)
    return Reaction(
        species=((cluster, -1), (incoming, -1), (product, 1), (outgoing, 1)),
        label=label,
        site=site,
        tags={"ion": str(ion), "leaving": [_mode(lost) for lost in leaving], "ligand": ligand},
    )


def _high_spin(cluster: Cluster, ion: Ion) -> int:
    """Return the multiplicity with the unpaired electrons of cluster and ion parallel."""
    return cluster.multiplicity + ion.multiplicity - 1


def _mode(ligand: Ligand) -> str:
    return "bridging" if len(ligand.metals) > 1 else "terminal"


def _ligand_name(graph: Topology, site: int, leaving: tuple[Ligand, ...]) -> str:
    """Return the name of the ligand carried by the molecular references."""
    carried = leaving or [lig for lig in graph.ligands if site in lig.metals] or graph.ligands
    if not carried:
        raise InputError(f"no ligand at site {site}: nothing can leave with the cation, or bring the other")
    atoms = carried[0].atoms
    number = {atom: n for n, atom in enumerate(atoms)}
    inner = graph.graph.subgraph(atoms)
    symbols = [graph.cluster.symbols[atom] for atom in atoms]
    name = identify(symbols, [(number[i], number[j]) for i, j in inner.edges])
    if name is None:
        raise InputError(
            f"no molecular reference for ligand {carried[0].formula}: known are {', '.join(LIGANDS)}"
        )
    return name


def _exchanged_name(cluster: Cluster, old: str, new: str, site: int, leaving: tuple[Ligand, ...]) -> str:
    base = cluster.name or cluster.formula
    lost = f" −{len(leaving)}L({','.join(str(lost.atoms[0]) for lost in leaving)})" if leaving else ""
    return re.sub(r"\s+", " ", f"{base} {new}@{old}{site}{lost}")
