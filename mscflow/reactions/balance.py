"""Which numbers of reservoirs turn some clusters into others: interconversion and growth as reactions.

``Cd35Se20 → Cd21Se20`` is no equation until it is said where fourteen cadmiums go; with Cd(O2CPh)2 as a
reservoir it is one. The smallest whole numbers are found by integer programming, never by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.reaction import Reaction

LARGEST_COEFFICIENT = 1000

CLUSTER_COST = 1000.0
"""Cost of one more cluster in molecules of reservoirs: one cluster turns into one wherever that balances."""


def balanced(
    reactants: Sequence[Cluster],
    products: Sequence[Cluster],
    reservoirs: Sequence[Cluster] = (),
    label: str = "",
) -> Reaction:
    """Return the reaction that balances with the fewest clusters.

    Parameters
    ----------
    reactants, products
        Clusters that are consumed and formed, each at least once.
    reservoirs
        Molecules that may be consumed or formed, in any number; those that are not needed stay out.
    label
        Label of the reaction.

    Returns
    -------
    Reaction
        With whole coefficients: as few clusters as possible, then as few molecules of reservoirs.

    Raises
    ------
    InputError
        If no numbers balance every element and charge; the message names the elements that no reservoir
        contains, and the charge where all reservoirs are neutral.
    """
    species = [*reactants, *products, *reservoirs]
    signs = [-1.0] * len(reactants) + [1.0] * len(products)
    rows = sorted({symbol for cluster in species for symbol in cluster.composition})
    table = np.array([[cluster.composition.get(row, 0) for cluster in species] for row in rows], dtype=float)
    table = np.vstack([table, [cluster.charge for cluster in species]])
    n_fixed = len(signs)
    columns = np.hstack([table[:, :n_fixed] * signs, table[:, n_fixed:], -table[:, n_fixed:]])
    n_free = 2 * len(reservoirs)
    found = milp(
        c=[CLUSTER_COST] * n_fixed + [1.0] * n_free,
        constraints=LinearConstraint(columns, 0.0, 0.0),
        bounds=Bounds([1.0] * n_fixed + [0.0] * n_free, LARGEST_COEFFICIENT),
        integrality=np.ones(n_fixed + n_free),
        options={"mip_rel_gap": 0.0},
    )
    if found.x is None:
        raise InputError(_why_not(reactants, products, reservoirs))
    numbers = np.rint(found.x)
    formed, consumed = np.split(numbers[n_fixed:], 2)
    coefficients = [*(numbers[:n_fixed] * signs), *(formed - consumed)]
    return Reaction(
        species=tuple((c, float(n)) for c, n in zip(species, coefficients, strict=True) if n),
        label=label,
    )


def interconversion(a: Cluster, b: Cluster, reservoirs: Sequence[Cluster]) -> Reaction:
    """Return the balanced reaction of one cluster to another; growth is one in which `b` is larger.

    Raises
    ------
    InputError
        See `balanced`.
    """
    return balanced([a], [b], reservoirs, label=f"{a.name or a.formula} → {b.name or b.formula}")


def _why_not(reactants: Sequence[Cluster], products: Sequence[Cluster], reservoirs: Sequence[Cluster]) -> str:
    """Return which elements (or charge) no reservoir contains, or that the numbers do not come out."""
    left, right = (" + ".join(c.name or c.formula for c in side) for side in (reactants, products))
    equation = f"{left} → {right}"
    excess: Counter[str] = Counter()
    for sign, side in ((-1, reactants), (1, products)):
        for cluster in side:
            for symbol, count in {**cluster.composition, "charge": cluster.charge}.items():
                excess[symbol] += sign * count
    contained = {symbol for cluster in reservoirs for symbol in cluster.composition}
    contained |= {"charge" for cluster in reservoirs if cluster.charge}
    missing = {symbol: n for symbol, n in sorted(excess.items()) if n and symbol not in contained}
    if missing:
        amounts = ", ".join(f"{symbol} {n:+d}" for symbol, n in missing.items())
        return f"{equation} does not balance ({amounts}): give a reservoir with {', '.join(missing)}"
    names = ", ".join(c.name or c.formula for c in reservoirs)
    return f"{equation} does not balance with any numbers of {names}: another reservoir is needed"
