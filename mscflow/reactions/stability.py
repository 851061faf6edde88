"""Which composition is stable, as a function of what the reaction environment offers.

The environment exchanges the molecular complex of an incoming ion for that of the outgoing one. Δμ is the
chemical potential of the incoming complex minus that of the outgoing one, relative to both as computed (pure
molecules at the level of the energies). A cluster with n ions exchanged at the cost ΔE then has
Ω = ΔE − n Δμ, and the stable one is the lowest. Where the cluster was computed in several arrangements of its
ligands, the cost counts from the lowest of them, and so does n = 0. Δμ is another one for each outgoing
complex: costs of Zn for In and of Zn for Cd are never compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd

import numpy as np

from mscflow.errors import InputError
from mscflow.reactions.energies import ReactionEnergies, ReactionEnergy


@dataclass(frozen=True)
class Composition:
    """The best placement found of some number of ions.

    Parameters
    ----------
    n
        Number of ions exchanged; 0 is the cluster as it was.
    energy
        Cost of the exchange from the lowest arrangement, ΔG where there is one, else ΔE / eV.
    label
        Which placement it is.
    """

    n: int
    energy: float
    label: str


@dataclass(frozen=True)
class Range:
    """Where one composition is stable.

    Parameters
    ----------
    composition
        The composition.
    low, high
        Limits of Δμ / eV; infinite at the ends.
    """

    composition: Composition
    low: float
    high: float


def outgoing(energies: ReactionEnergies, ion: str) -> list[str]:
    """Return what the ion replaces: elements and their ratio, e.g. ``In``, ``CdIn``; lowest cost first.

    One is empty in documents that do not say what they replaced.
    """
    return list(dict.fromkeys(_outgoing(row) for row in exchanges_of(energies, ion)))


def exchanged(energies: ReactionEnergies) -> dict[str, tuple[str, str]]:
    """Return each ion and what it replaces by a name: ``Zn2+``, or ``Zn2+ for Cd`` if there are several."""
    found = {}
    for ion in dict.fromkeys(row.ion for row in energies.reactions if row.ion and not row.kind):
        replaced = outgoing(energies, ion)
        for what in replaced:
            found[f"{ion} for {what}" if len(replaced) > 1 else ion] = (ion, what)
    return found


def compositions(energies: ReactionEnergies, ion: str, replaced: str | None = None) -> list[Composition]:
    """Return the best placement for each number of ions, the cluster as it was first.

    One of which a species changed counts only where there is no other.

    Parameters
    ----------
    energies
        The reactions.
    ion
        The incoming cation.
    replaced
        One of `outgoing`; by default the first.

    Raises
    ------
    InputError
        If there is no such exchange.
    """
    replaced = next(iter(outgoing(energies, ion)), "") if replaced is None else replaced
    rows = [row for row in exchanges_of(energies, ion) if _outgoing(row) == replaced]
    if not rows:
        raise InputError(f"no exchange of {ion}{f' for {replaced}' if replaced else ''} among the reactions")
    free = are_free(energies, ion)

    def cost(row: ReactionEnergy) -> float:
        if free and row.gibbs is not None:
            return row.gibbs + row.gibbs_offset
        return row.cost

    def rank(row: ReactionEnergy) -> tuple[bool, float]:
        return bool(row.changed), cost(row)

    found = [Composition(0, 0.0, "as it was")]
    for n in sorted({row.n for row in rows}):
        best = min((row for row in rows if row.n == n), key=rank)
        found.append(Composition(n, cost(best), best.label))
    return found


def exchanges_of(energies: ReactionEnergies, ion: str) -> list[ReactionEnergy]:
    """Return the exchanges of an ion, without reactions of other kinds."""
    return [row for row in energies.reactions if row.ion == ion and not row.kind]


def are_free(energies: ReactionEnergies, ion: str) -> bool:
    """Return whether the costs of an ion's `compositions` are ΔG: all its exchanges have one."""
    return all(row.gibbs is not None for row in exchanges_of(energies, ion))


def _outgoing(row: ReactionEnergy) -> str:
    counts = Counter(row.replaced)
    ratio = gcd(*counts.values())
    return "".join(
        f"{symbol}{count // ratio if count > ratio else ''}" for symbol, count in sorted(counts.items())
    )


def stable_ranges(found: Sequence[Composition]) -> list[Range]:
    """Return the compositions that are stable somewhere, in order of Δμ.

    They are the lower convex hull of energy against n.
    """
    hull: list[Composition] = []
    for point in sorted(found, key=lambda item: item.n):
        while len(hull) > 1 and _slope(hull[-2], point) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(point)
    limits = [-np.inf, *(_slope(a, b) for a, b in pairwise(hull)), np.inf]
    return [
        Range(composition, float(low), float(high))
        for composition, (low, high) in zip(hull, pairwise(limits), strict=True)
    ]


def _slope(a: Composition, b: Composition) -> float:
    return (b.energy - a.energy) / (b.n - a.n)
