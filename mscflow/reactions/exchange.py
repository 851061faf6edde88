"""Cation exchange: every distinct site and leaving ligand, as balanced reactions.

Isovalent: cluster + ML3 → cluster(M) + InL3. Aliovalent: an ion of lower charge takes as many ligands
with it as keep the cluster neutral; which ones leave is a search over the ligands of the exchanged site.
Ligands that leave are anions of charge −1, all of one kind: that of the complexes which bring and take the
cations.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, islice
from typing import Literal, get_args

import networkx as nx
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from mscflow.builder.edit import ligand_name, multiplicity_after
from mscflow.builder.ligands import LIGANDS
from mscflow.builder.precursors import precursor
from mscflow.chemistry import METALS, Ion, parse_ion, suggest, unpaired, usual_ion
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.placements import (
    Permutation,
    alike,
    count_placements,
    kinds,
    placements,
    symmetries,
)
from mscflow.reactions.reaction import Reaction
from mscflow.topology import Ligand, Topology, topology

Sites = Literal["surface", "core", "all"] | Sequence[int]
Search = Literal["nearest", "all"]
Symmetry = Literal["cluster", "core"]


def exchange(
    cluster: Cluster,
    ion: str | Ion,
    sites: Sites = "surface",
    symmetry: Symmetry = "cluster",
    search: Search = "all",
) -> list[Reaction]:
    """Return every symmetry-distinct exchange of one cation for `ion`, in order of site; see `exchanges`."""
    return list(exchanges(cluster, ion, 1, sites, symmetry, search))


def exchanges(
    cluster: Cluster,
    ion: str | Ion,
    n: int,
    sites: Sites = "surface",
    symmetry: Symmetry = "cluster",
    search: Search = "nearest",
) -> Iterator[Reaction]:
    """Yield every symmetry-distinct exchange of `n` cations for `ion`, one after the other.

    Two placements are the same when a symmetry of the graph of `mscflow.reactions.placements` maps one onto
    the other; `n_exchanges` says beforehand how many there are.

    Parameters
    ----------
    cluster
        The reactant; the products start from its geometry.
    ion
        The incoming cation, e.g. ``"Zn2+"``; its charge must not exceed that of the cation replaced.
    n
        Number of cations.
    sites
        ``"surface"`` (cations with ligands), ``"core"``, ``"all"``, or atom indices.
    symmetry
        Whether a symmetry has to map the whole cluster onto itself or only its ``"core"``: the few placements
        that differ with any ligand shell.
    search
        Which ligands leave with each cation that is replaced by one of lower charge: ``"nearest"``, those
        that bind the fewest cations beside it; ``"all"``, every choice among its own. Where it has fewer than
        have to leave, all of its own do, and the next ones.

    Yields
    ------
    Reaction
        Its label numbers ligands as `Topology.ligands` of the reactant does: L0 is the first. Nothing is
        yielded if no exchange is possible: no site is of another element, or there are not as many
        anionic ligands of one kind as would have to leave; see `no_exchange`.

    Raises
    ------
    InputError
        If a site is not a metal, there is none, the charge of the ion is too high, `n` is not positive, there
        is no anionic ligand, or it has no known molecular reference.
    """
    for given, known in ((symmetry, get_args(Symmetry)), (search, get_args(Search))):
        if given not in known:
            raise InputError(f"unknown {given!r}: {suggest(given, known)}")
    ion = parse_ion(ion) if isinstance(ion, str) else ion
    graph, candidates = _candidates(cluster, ion, sites, n)
    group = _group(cluster, candidates, symmetry)
    node = {graph.ligands[k]: len(cluster) + c for c, members in enumerate(alike(cluster)) for k in members}
    for chosen in placements(candidates, n, group):
        fixing = [image for image in group if {image[i] for i in chosen} == set(chosen)]
        seen = set()
        for leaving in _joint(graph, chosen, ion, search):
            nodes = [node[ligand] for ligand in leaving]
            key = min(tuple(sorted(image[i] for i in nodes)) for image in fixing)
            if key not in seen:
                seen.add(key)
                yield _reaction(graph, ion, chosen, leaving)


def require_exchange(cluster: Cluster, ions: Sequence[str | Ion], sites: Sites = "surface") -> None:
    """Check that there is something to exchange, without writing any reaction.

    Parameters
    ----------
    cluster, sites
        See `exchanges`.
    ions
        The incoming cations.

    Raises
    ------
    InputError
        If a site is not a metal, no site is of another element than the ions, or the charge of an ion is too
        high.
    """
    found: list[int] = []
    for ion in (parse_ion(ion) if isinstance(ion, str) else ion for ion in ions):
        _, candidates = _candidates(cluster, ion, sites, 1)
        for site in candidates:
            _surplus(cluster.symbols[site], ion)
        found += candidates
    if not found:
        names = ", ".join(map(str, ions))
        raise InputError(f"nothing to exchange for {names}: no cation of {sites} is of another element")


def n_exchanges(
    cluster: Cluster, ion: str | Ion, n: int, sites: Sites = "surface", symmetry: Symmetry = "cluster"
) -> int:
    """Return the number of placements of `exchanges` without making them (Burnside's lemma)."""
    ion = parse_ion(ion) if isinstance(ion, str) else ion
    _, candidates = _candidates(cluster, ion, sites, n)
    return count_placements(candidates, n, _group(cluster, candidates, symmetry))


def no_exchange(ion: str | Ion, sites: Sites) -> str:
    """Return one line that says why `exchange` has found nothing."""
    where = f"{sites} sites" if isinstance(sites, str) else f"sites {list(sites)}"
    return (
        f"no exchange of {ion} at {where}: none of them is of another element, or the cluster has too few "
        "anionic ligands of one kind"
    )


def _candidates(cluster: Cluster, ion: Ion, sites: Sites, n: int) -> tuple[Topology, list[int]]:
    if n < 1:
        raise InputError(f"n must be at least 1, not {n}")
    graph = topology(cluster)
    return graph, [site for site in chosen_sites(graph, sites) if cluster.symbols[site] != ion.element]


def _group(cluster: Cluster, candidates: Sequence[int], symmetry: Symmetry) -> list[Permutation]:
    """Return the symmetries that map the candidates onto themselves."""
    sites = set(candidates)
    return [
        image
        for image in symmetries(cluster, ligands=symmetry == "cluster")
        if {image[i] for i in sites} == sites
    ]


def _joint(graph: Topology, chosen: Sequence[int], ion: Ion, search: Search) -> Iterator[tuple[Ligand, ...]]:
    """Yield sets of ligands of one kind that may leave together, as many per site as keep it neutral."""
    sites = [_Leaving(graph, site, _surplus(graph.cluster.symbols[site], ion)) for site in chosen]
    found = _completed((), sites, search)
    return islice(found, 1) if search == "nearest" else found


def _completed(
    taken: tuple[Ligand, ...], sites: Sequence[_Leaving], search: Search
) -> Iterator[tuple[Ligand, ...]]:
    """Yield the ways to go on, site by site, from ligands that are taken already."""
    if not sites:
        yield taken
        return
    site, *rest = sites
    for ligands in site.choices(taken, search):
        if _enough_for(rest, (*taken, *ligands)):
            yield from _completed((*taken, *ligands), rest, search)


def _enough_for(sites: Sequence[_Leaving], taken: tuple[Ligand, ...]) -> bool:
    """Return whether every site can still have its number of ligands: none of them leaves with two.

    Without this, a search among many sites finds out only at the last ones, again and again.
    """
    rows = [site.open_to(taken) for site in sites for _ in range(site.surplus)]
    if not rows or not taken:
        return True
    return bool((maximum_bipartite_matching(csr_array(np.array(rows)), perm_type="column") >= 0).all())


def chosen_sites(graph: Topology, sites: Sites) -> list[int]:
    """Return the cations that ``surface``, ``core``, ``all`` or a list of indices means, ascending.

    Raises
    ------
    InputError
        If there is no cation at all, or a site is none.
    """
    if isinstance(sites, str) and sites not in ("surface", "core", "all"):
        raise InputError(f"sites must be 'surface', 'core', 'all' or atom indices, not {sites!r}")
    if not graph.metals:
        raise InputError(f"{graph.cluster.name or graph.cluster.formula} has no cation")
    surface = set(graph.surface_cations)
    if sites == "surface":
        return sorted(surface)
    if sites == "core":
        return sorted(set(graph.metals) - surface)
    if sites == "all":
        return sorted(graph.metals)
    for site in sites:
        if isinstance(site, bool) or not isinstance(site, int | np.integer) or site not in graph.metals:
            raise InputError(f"site {site} is not a cation; cations: {list(graph.metals)}")
    return sorted({int(site) for site in sites})


class _Leaving:
    """Which ligands may leave with the cation at a site.

    Those of a kind of which it has enough are its own; where there is no such kind, all of its own and the
    next ones, of equal distance in bonds.
    """

    def __init__(self, graph: Topology, site: int, surplus: int) -> None:
        self.graph, self.site, self.surplus = graph, site, surplus
        self.kind = dict(zip(graph.ligands, kinds(graph.cluster), strict=True))
        self.anions = [ligand for ligand in graph.ligands if ligand.charge == -1]
        own = Counter(self.kind[ligand] for ligand in self.anions if site in ligand.metals)
        self.has_enough = max(own.values(), default=0) >= surplus

    def choices(self, taken: tuple[Ligand, ...], search: Search) -> list[tuple[Ligand, ...]]:
        """Return the sets that may leave beside ligands that are taken, with search "nearest" sorted."""
        if not self.surplus:
            return [()]
        found: list[tuple[Ligand, ...]] = []
        for kind in dict.fromkeys(self.kind[ligand] for ligand in taken[:1] or self.anions):
            left = [lig for lig in self.anions if self.kind[lig] == kind and lig not in taken]
            own = [ligand for ligand in left if self.site in ligand.metals]
            if self.has_enough:
                found += combinations(own, self.surplus)
            elif len(left) >= self.surplus:
                n_others = self.surplus - len(own)
                others = [ligand for ligand in left if ligand not in own]
                near = _nearest(self.graph, self.site, others, n_others)
                found += [
                    tuple(sorted((*own, *more), key=lambda lig: lig.atoms))
                    for more in combinations(near, n_others)
                ]
        if search == "nearest":
            found.sort(key=lambda ligands: sum(len({*lig.metals} - {self.site}) for lig in ligands))
        return found

    def open_to(self, taken: tuple[Ligand, ...]) -> list[bool]:
        """Return of each anion whether it may leave with the cation beside ligands that are taken."""
        return [
            ligand not in taken
            and self.kind[ligand] == self.kind[taken[0]]
            and (not self.has_enough or self.site in ligand.metals)
            for ligand in self.anions
        ]


def _surplus(symbol: str, ion: Ion) -> int:
    """Return how many ligands leave with a cation for which `ion` comes."""
    surplus = METALS[symbol] - ion.charge
    if surplus < 0:
        raise InputError(
            f"{ion} for {symbol}{METALS[symbol]}+ would need {-surplus} more ligand(s): "
            f"ions of at most charge {METALS[symbol]} can be exchanged here"
        )
    return surplus


def _nearest(graph: Topology, site: int, ligands: Sequence[Ligand], n: int) -> list[Ligand]:
    """Return the `n` ligands nearest to a site in bonds, and those as near as the last of them."""
    reach = nx.single_source_shortest_path_length(graph.graph, site)
    distance = {ligand: min(reach.get(i, len(graph.graph)) for i in ligand.donors) for ligand in ligands}
    farthest = sorted(distance.values())[n - 1]
    return [ligand for ligand in ligands if distance[ligand] <= farthest]


def _reaction(graph: Topology, ion: Ion, sites: Sequence[int], leaving: tuple[Ligand, ...]) -> Reaction:
    cluster = graph.cluster
    replaced = Counter(cluster.symbols[site] for site in sites)
    spins = len(sites) * unpaired(ion.element) - sum(n * unpaired(old) for old, n in replaced.items())
    ligand = _ligand_name(graph, sites, leaving)
    gone = {atom for lost in leaving for atom in lost.atoms}
    number = {lost: f"L{graph.ligands.index(lost)}" for lost in leaving}
    lost_names = " and ".join(f"{_mode(lost)} {number[lost]}" for lost in leaving)
    where = " and ".join(f"{cluster.symbols[site]} {site}" for site in sites)
    leave = "leaves" if len(leaving) == 1 else "leave"
    label = f"{ion} at {where}" + (f", {lost_names} {leave}" if leaving else "")
    kept = [i for i in range(len(cluster)) if i not in gone]
    exchanged = cluster.select(
        kept,
        symbols=[ion.element if i in sites else cluster.symbols[i] for i in kept],
        multiplicity=multiplicity_after(cluster, spins),
        name=_exchanged_name(cluster, ion.element, sites, number.values()),
        provenance={
            **cluster.provenance,
            "exchange": {
                "ion": str(ion),
                "sites": list(sites),
                "leaving": [list(lost.atoms) for lost in leaving],
            },
        },
    )
    outgoing = [(precursor(usual_ion(old), ligand), n) for old, n in replaced.items()]
    return Reaction(
        species=((cluster, -1), (precursor(ion, ligand), -len(sites)), (exchanged, 1), *outgoing),
        label=label,
        site=sites[0] if len(sites) == 1 else None,
        tags={
            "ion": str(ion),
            "sites": list(sites),
            "leaving": [_mode(lost) for lost in leaving],
            "ligand": ligand,
            "replaced": sorted(replaced.elements()),
        },
    )


def _mode(ligand: Ligand) -> str:
    """Return how a ligand binds; one that chelates a cation and binds another, too, is bridging."""
    if len(ligand.metals) > 1:
        return "bridging"
    return "chelating" if len(ligand.donors) > 1 else "terminal"


def _ligand_name(graph: Topology, sites: Sequence[int], leaving: tuple[Ligand, ...]) -> str:
    """Return the name of the ligand of the molecular references: that which leaves, else the commonest."""
    anionic = [ligand for ligand in graph.ligands if ligand.charge < 0]
    if not anionic:
        raise InputError(
            f"{graph.cluster.name or graph.cluster.formula} has no anionic ligand: nothing can leave with a "
            "cation, or bring the other"
        )
    carried = leaving or [lig for lig in anionic if set(sites) & set(lig.metals)] or anionic
    names = Counter(ligand_name(graph, ligand) or "" for ligand in carried)
    if "" in names:
        unknown = ", ".join(sorted({lig.formula for lig in carried if ligand_name(graph, lig) is None}))
        raise InputError(f"no molecular reference for ligand {unknown}: known are {', '.join(LIGANDS)}")
    return min(names, key=lambda name: (-names[name], name))


def _exchanged_name(cluster: Cluster, new: str, sites: Sequence[int], leaving: Iterable[str]) -> str:
    base = cluster.name or cluster.formula
    where = " ".join(f"{new}@{cluster.symbols[site]}{site}" for site in sites)
    lost = "".join(f" −{label}" for label in leaving)
    return re.sub(r"\s+", " ", f"{base} {where}{lost}")
