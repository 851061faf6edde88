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


def formal_charge(symbols: Sequence[str], positions: np.ndarray, graph: nx.Graph, atom: int) -> int:
    """Return the formal charge / e of a non-metal atom of a ligand or free molecule.

    An atom with terminal oxygens (a carboxyl C, a P of a phosphine oxide) owns their charges. A donor atom
    else has the charge of its missing valence: -1 for a thiolate S, 0 for a phosphine P.

    Parameters
    ----------
    symbols, positions
        Elements and coordinates / Å of the whole structure.
    graph
        Its bonds.
    atom
        Index of the atom.
    """
    around = [j for j in graph[atom] if symbols[j] not in METALS]
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
    if symbol == "N" and any(
        symbols[j] == "C" and np.linalg.norm(positions[atom] - positions[j]) < DOUBLE_CN for j in around
    ):
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
