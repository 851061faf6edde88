"""Formal charges of ligand atoms from what they are bonded to; metals do not count as neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx
import numpy as np

from mscflow.chemistry import HALIDES, METALS, VALENCE

NEUTRAL_OXO: dict[tuple[str, int], int] = {
    ("C", 3): 1, ("N", 3): 2, ("P", 4): 1, ("S", 3): 1, ("S", 4): 2, ("Cl", 4): 3, ("B", 3): 0,
}  # fmt: skip
"""Terminal O (or S, Se) atoms that a centre of so many neighbours has when it is neutral: one in ketones,
phosphine oxides and sulfoxides, two in nitro compounds and sulfones. Each further one is a charge of -1:
carboxylates, carbonate, nitrate, phosphinates, sulfonates, perchlorate."""

SATURATED: dict[tuple[str, int], int] = {("N", 4): 1, ("B", 4): -1, ("P", 6): -1, ("Sb", 6): -1}
"""Charge of a centre by its neighbours: ammonium, BF4-, PF6-, SbF6-."""

PSEUDOHALIDES = ("CN", "CNO", "CNS", "CNSe", "N3")
"""Formulas, in Hill order, of molecules that are anions of charge -1 however they bind."""

PHOSPHONIUM_NEIGHBOURS = 4
CHALCOGENS = ("O", "S", "Se")

DOUBLE_CN = 1.37
"""A nitrogen with a bond to carbon shorter than this / Å has no charge: pyridines 1.34, nitriles 1.15 Å
(anilides 1.38 Å or more; bond lengths: Allen et al., J. Chem. Soc. Perkin Trans. 2 1987, S1)."""

SINGLE_CO = 1.29
"""A longer bond / Å of carbon to a terminal O is a single one, if its carbon has another double bond: phenols
1.36, quinones 1.22 Å (same source)."""

TRIGONAL = 3
ONE_MORE_DOUBLE_BOND = 100
"""Weight of an atom in a double bond against that of a C–O bond that is a short or a long one."""


def ligand_charge(
    symbols: Sequence[str], positions: np.ndarray, graph: nx.Graph, atoms: Sequence[int]
) -> int:
    """Return the charge / e of a ligand or free molecule, the sum of formal charges of its atoms.

    An atom with terminal oxygens (a carboxyl C, a P of a phosphine oxide) owns their charges. Where C–O is
    conjugated with further double bonds (phenolates, acetylacetonates, quinones), each atom that no way to
    draw these leaves in one is a charge of -1. A donor atom else has the charge of its missing valence: -1
    for a thiolate S, 0 for a phosphine P.

    Parameters
    ----------
    symbols, positions
        Elements and coordinates / Å of the whole structure.
    graph
        Its bonds.
    atoms
        Indices of the atoms of the ligand.
    """
    systems = _conjugated(symbols, positions, graph, atoms)
    conjugated = set().union(*systems)
    outside = sum(_outside_double_bonds(symbols, positions, graph, system) for system in systems)
    return sum(_formal_charge(symbols, positions, graph, i) for i in atoms if i not in conjugated) - outside


def _formal_charge(symbols: Sequence[str], positions: np.ndarray, graph: nx.Graph, atom: int) -> int:
    around = _non_metals(symbols, graph, atom)
    symbol = symbols[atom]
    if symbol in HALIDES and len(around) < 2:
        return len(around) - 1
    centre = (symbol, len(around))
    terminal = _terminal(symbols, graph, atom, around)
    if centre in NEUTRAL_OXO and terminal:
        return min(0, NEUTRAL_OXO[centre] - len(terminal))
    if centre in SATURATED:
        return SATURATED[centre]
    if centre == ("P", PHOSPHONIUM_NEIGHBOURS) and all(symbols[j] in ("C", "H") for j in around):
        return 1
    if symbol not in VALENCE or len(around) == graph.degree(atom):
        return 0
    if any(atom in _terminal(symbols, graph, j, _non_metals(symbols, graph, j)) for j in around):
        return 0
    if symbol == "N" and _has_double_cn(symbols, positions, atom, around):
        return 0
    return min(0, len(around) - VALENCE[symbol])


def _non_metals(symbols: Sequence[str], graph: nx.Graph, atom: int) -> list[int]:
    return [j for j in graph[atom] if symbols[j] not in METALS]


def _terminal(symbols: Sequence[str], graph: nx.Graph, atom: int, around: list[int]) -> list[int]:
    """Return the O, S and Se atoms that hang on a centre alone; none where it is no such centre.

    One S or Se on a carbon without nitrogen is a thiolate or selenolate, which has its own charge.
    """
    if (symbols[atom], len(around)) not in NEUTRAL_OXO:
        return []
    hanging = [j for j in around if symbols[j] in CHALCOGENS and _non_metals(symbols, graph, j) == [atom]]
    thiolate = symbols[atom] == "C" and len(hanging) == 1 and symbols[hanging[0]] != "O"
    return [] if thiolate and not any(symbols[j] == "N" for j in around) else hanging


def _conjugated(
    symbols: Sequence[str], positions: np.ndarray, graph: nx.Graph, atoms: Sequence[int]
) -> list[set[int]]:
    """Return sets of atoms whose double bonds are conjugated, those with a lone C–O in them.

    A carbon beside nothing else of the kind (ketones, carboxylates) needs no such look.
    """
    rest = {i for i in atoms if _has_p_orbital(symbols, positions, graph, i)}
    systems = []
    while rest:
        system: set[int] = set()
        reached = {rest.pop()}
        while reached:
            system |= reached
            reached = {j for i in reached for j in graph[i] if j in rest}
            rest -= reached
        systems.append(system)
    return [system for system in systems if _has_lone_oxygen(symbols, graph, system)]


def _has_lone_oxygen(symbols: Sequence[str], graph: nx.Graph, system: set[int]) -> bool:
    """Return whether a carbon of a conjugated system has one terminal O, and a further neighbour in it."""
    for i in system:
        inside = [symbols[j] in CHALCOGENS for j in graph[i] if j in system]
        if symbols[i] == "C" and sum(inside) == 1 and len(inside) > 1:
            return True
    return False


def _has_p_orbital(symbols: Sequence[str], positions: np.ndarray, graph: nx.Graph, atom: int) -> bool:
    """Return whether an atom takes part in double bonds: C of three neighbours, imine N, terminal O on C."""
    around = _non_metals(symbols, graph, atom)
    if symbols[atom] == "C":
        return len(around) == TRIGONAL
    if symbols[atom] == "N":
        return len(around) == TRIGONAL - 1 and _has_double_cn(symbols, positions, atom, around)
    return (
        symbols[atom] in CHALCOGENS
        and len(around) == 1
        and symbols[around[0]] == "C"
        and atom in _terminal(symbols, graph, around[0], _non_metals(symbols, graph, around[0]))
    )


def _has_double_cn(symbols: Sequence[str], positions: np.ndarray, nitrogen: int, around: list[int]) -> bool:
    return any(
        symbols[j] == "C" and np.linalg.norm(positions[nitrogen] - positions[j]) < DOUBLE_CN for j in around
    )


def _outside_double_bonds(
    symbols: Sequence[str], positions: np.ndarray, graph: nx.Graph, system: set[int]
) -> int:
    """Return how many atoms are left over when double bonds are drawn: as many C and N in one as can be."""
    bonds: nx.Graph = nx.Graph()
    for i, j in graph.subgraph(system).edges:
        n_oxygen = (symbols[i] in CHALCOGENS) + (symbols[j] in CHALCOGENS)
        long = "O" in (symbols[i], symbols[j]) and np.linalg.norm(positions[i] - positions[j]) > SINGLE_CO
        bonds.add_edge(i, j, weight=ONE_MORE_DOUBLE_BOND * (2 - n_oxygen) + (-1 if long else n_oxygen))
    return len(system) - 2 * len(nx.max_weight_matching(bonds))
