"""What the atoms of a cluster are: bonds, ligands, core and surface, charge balance.

Everything here is derived from elements and coordinates by one set of rules, so that a built cluster and
an imported file are treated alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import networkx as nx
import numpy as np
from scipy.spatial import cKDTree

from mscflow.charges import PSEUDOHALIDES, ligand_charge
from mscflow.chemistry import ANIONS, METALS, NONMETALS, bond_reach
from mscflow.cluster import Cluster
from mscflow.errors import InputError


class Role(StrEnum):
    """Part an atom plays in a cluster."""

    CORE_CATION = "core cation"
    SURFACE_CATION = "surface cation"
    CORE_ANION = "core anion"
    LIGAND = "ligand"
    FREE = "free molecule"


@dataclass(frozen=True)
class Ligand:
    """One ligand: a connected set of non-metal atoms that binds to the cluster.

    Parameters
    ----------
    atoms
        Indices of its atoms, ascending.
    donors
        Indices of its atoms that bind to a metal.
    metals
        Indices of the metals it binds to, ascending.
    charge
        Formal charge / e.
    formula
        Composition in Hill order, e.g. ``CHO2``.
    """

    atoms: tuple[int, ...]
    donors: tuple[int, ...]
    metals: tuple[int, ...]
    charge: int
    formula: str


@dataclass(frozen=True)
class ChargeBalance:
    """Sum of oxidation states and ligand charges compared with the charge of the cluster.

    Parameters
    ----------
    expected
        Charge from oxidation states and ligands / e.
    charge
        Charge the cluster carries / e.
    terms
        Number and charge of each kind of ion, e.g. ``{"In": (4, 3)}``.
    """

    expected: int
    charge: int
    terms: dict[str, tuple[int, int]]

    @property
    def difference(self) -> int:
        """Charge that is not accounted for by oxidation states / e."""
        return self.charge - self.expected

    def __str__(self) -> str:
        terms = " ".join(f"{n}×{name}({q:+d})" for name, (n, q) in self.terms.items())
        return (
            f"oxidation states sum to {self.expected:+d} ({terms}), the charge is {self.charge:+d}: "
            f"difference {self.difference:+d}"
        )


@dataclass(frozen=True)
class Topology:
    """Bond graph of a cluster and what follows from it.

    Parameters
    ----------
    cluster
        The cluster described.
    graph
        Undirected graph; nodes are atom indices with attribute ``symbol``.
    """

    cluster: Cluster
    graph: nx.Graph

    @cached_property
    def metals(self) -> tuple[int, ...]:
        """Indices of the metal atoms."""
        return tuple(i for i, symbol in enumerate(self.cluster.symbols) if symbol in METALS)

    @property
    def unknown_metals(self) -> tuple[str, ...]:
        """Metals without an oxidation state here, which count as parts of ligands without charge."""
        return tuple(sorted(set(self.cluster.symbols) - {*METALS, *NONMETALS}))

    @cached_property
    def core_anions(self) -> tuple[int, ...]:
        """Indices of main-group atoms bonded to metals only (P, As, Se, ...; never halides)."""
        metals = set(self.metals)
        return tuple(
            i
            for i, symbol in enumerate(self.cluster.symbols)
            if symbol in ANIONS and self.graph.degree(i) and set(self.graph[i]) <= metals
        )

    @cached_property
    def core_bonds(self) -> frozenset[frozenset[int]]:
        """Bonds of the core anions, each as the set of its two atoms."""
        return frozenset(frozenset((i, j)) for i in self.core_anions for j in self.graph[i])

    @cached_property
    def skeleton(self) -> tuple[int, ...]:
        """Indices of metals and core anions, ascending."""
        return tuple(sorted((*self.metals, *self.core_anions)))

    @cached_property
    def pieces(self) -> tuple[tuple[int, ...], ...]:
        """Atoms of all connected non-metal, non-core fragments, bound to the cluster or free."""
        inorganic = set(self.metals) | set(self.core_anions)
        organic: nx.Graph = nx.Graph()  # a subgraph of networkx is a view, and slow
        organic.add_nodes_from(set(self.graph) - inorganic)
        organic.add_edges_from(edge for edge in self.graph.edges if inorganic.isdisjoint(edge))
        return tuple(sorted(tuple(sorted(part)) for part in nx.connected_components(organic)))

    @cached_property
    def free_pieces(self) -> frozenset[tuple[int, ...]]:
        """Those of them that no metal holds."""
        held = {j for i in self.metals for j in self.graph[i]}
        return frozenset(piece for piece in self.pieces if held.isdisjoint(piece))

    @cached_property
    def fragments(self) -> tuple[Ligand, ...]:
        """All pieces with what is known about them as ligands."""
        return tuple(self._ligand(atoms) for atoms in self.pieces)

    @cached_property
    def ligands(self) -> tuple[Ligand, ...]:
        """Fragments bound to at least one metal, ordered by their first atom."""
        return tuple(fragment for fragment in self.fragments if fragment.metals)

    @cached_property
    def surface_cations(self) -> tuple[int, ...]:
        """Indices of metals that carry at least one ligand."""
        return tuple(sorted({metal for ligand in self.ligands for metal in ligand.metals}))

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """Role of each atom."""
        surface, anions, metals = map(set, (self.surface_cations, self.core_anions, self.metals))
        bound = {i for ligand in self.ligands for i in ligand.atoms}
        roles = []
        for i in range(len(self.cluster)):
            if i in metals:
                roles.append(Role.SURFACE_CATION if i in surface else Role.CORE_CATION)
            elif i in anions:
                roles.append(Role.CORE_ANION)
            else:
                roles.append(Role.LIGAND if i in bound else Role.FREE)
        return tuple(roles)

    @cached_property
    def charge_balance(self) -> ChargeBalance:
        """Oxidation states against the charge of the cluster."""
        symbols = self.cluster.symbols
        ions = [(symbols[i], METALS[symbols[i]]) for i in self.metals]
        ions += [(symbols[i], ANIONS[symbols[i]]) for i in self.core_anions]
        ions += [(fragment.formula, fragment.charge) for fragment in self.fragments]
        terms = {name: (n, charge) for (name, charge), n in Counter(ions).items()}
        expected = sum(n * charge for n, charge in terms.values())
        return ChargeBalance(expected, self.cluster.charge, terms)

    def _ligand(self, atoms: tuple[int, ...]) -> Ligand:
        metals = set(self.metals)
        donors = tuple(i for i in atoms if metals & set(self.graph[i]))
        bound = tuple(sorted({m for i in donors for m in metals & set(self.graph[i])}))
        symbols, positions = self.cluster.symbols, self.cluster.positions
        formula = self._hill_formula(atoms)
        if formula in PSEUDOHALIDES:
            return Ligand(atoms, donors, bound, -1, formula)
        charge = ligand_charge(symbols, positions, self.graph, atoms)
        return Ligand(atoms, donors, bound, charge, formula)

    def _hill_formula(self, atoms: tuple[int, ...]) -> str:
        counts = Counter(self.cluster.symbols[i] for i in atoms)
        first = [s for s in ("C", "H") if s in counts] if "C" in counts else []
        order = first + sorted(set(counts) - set(first))
        return "".join(f"{s}{counts[s] if counts[s] > 1 else ''}" for s in order)


def topology(cluster: Cluster) -> Topology:
    """Return the bond graph of a cluster.

    What is bonded is said by `mscflow.chemistry.bond_reach`.
    """
    kinds = sorted(set(cluster.symbols))
    kind = np.array([kinds.index(symbol) for symbol in cluster.symbols])
    reach = np.array([[bond_reach(a, b) for b in kinds] for a in kinds])
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from((i, {"symbol": symbol}) for i, symbol in enumerate(cluster.symbols))
    i, j = cKDTree(cluster.positions).query_pairs(reach.max(), output_type="ndarray").T
    distance = np.linalg.norm(cluster.positions[i] - cluster.positions[j], axis=1)
    bonded = distance < reach[kind[i], kind[j]]
    order = np.lexsort((j[bonded], i[bonded]))
    graph.add_edges_from(zip(i[bonded][order].tolist(), j[bonded][order].tolist(), strict=True))
    return Topology(cluster, graph)


def require_charge_balance(cluster: Cluster) -> None:
    """Refuse a cluster whose charge differs from the sum of its oxidation states.

    Raises
    ------
    InputError
        With the difference and the terms of the sum.
    """
    balance = topology(cluster).charge_balance
    if balance.difference:
        raise InputError(f"{cluster.name or cluster.formula}: {balance}")
