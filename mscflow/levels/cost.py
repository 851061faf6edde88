"""Cost of density functional theory, known before anything is built."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from mscflow.levels.base import Estimate

if TYPE_CHECKING:
    from mscflow.cluster import Cluster
    from mscflow.levels.pyscf import PySCF

AUXILIARY_PER_FUNCTION = {"def2-svp": 3.2, "def2-tzvp": 1.7}
"""Measured: functions of the Coulomb-fitting basis per basis function in In4P(O2CH)9."""

SECONDS_PER_PAIR = {"def2-svp": 3.4e-4, "def2-tzvp": 3.4e-4}
"""Measured: seconds per squared basis function of one energy and gradient, grid level 3, two cores."""

SECONDS_PER_GTH_FUNCTION = 0.23
"""Measured: seconds per basis function of one energy and gradient on multigrids, close to linear."""

HYBRID_FACTOR = 4.0
"""Exact exchange against a pure functional (rough)."""


@cache
def n_functions(basis: str, symbol: str) -> int | None:
    """Return the number of basis functions of an element, None where it is not covered."""
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError
    from pyscf.pbc.gto import basis as pbc_basis
    from pyscf.pbc.gto import pseudo

    try:
        if basis.startswith("gth-"):
            pseudo.load("gth-pbe", symbol)
            shells = pbc_basis.load(basis, symbol)
        else:
            shells = gto.basis.load(basis, symbol)
    except (BasisNotFoundError, KeyError):
        return None
    return sum((2 * shell[0] + 1) * (len(shell[-1]) - 1) for shell in shells) or None


def estimate(cluster: Cluster, level: PySCF) -> Estimate:
    """Return basis functions, memory, rough time and route of one energy and gradient.

    Parameters
    ----------
    cluster
        What is to be computed; elements without basis functions count as none.
    level
        The level.
    """
    n_basis = sum(n * (n_functions(level.basis, symbol) or 0) for symbol, n in cluster.composition.items())
    if level.is_periodic:
        memory = 0.6 + 3.4e-3 * n_basis
        seconds = SECONDS_PER_GTH_FUNCTION * n_basis
        return Estimate(
            n_atoms=len(cluster), n_basis=n_basis, memory_gib=memory, time_s=seconds, route="multigrid"
        )
    n_auxiliary = AUXILIARY_PER_FUNCTION[level.basis] * n_basis
    integrals = 8 * n_auxiliary * n_basis * (n_basis + 1) / 2 / 1024**3
    seconds = SECONDS_PER_PAIR[level.basis] * n_basis**2 * (HYBRID_FACTOR if level.is_hybrid else 1.0)
    return Estimate(
        n_atoms=len(cluster),
        n_basis=n_basis,
        memory_gib=1.0 + integrals + 4e-3 * n_basis,
        time_s=seconds,
        route="density fitting",
    )
