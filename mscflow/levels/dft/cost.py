"""Cost of density functional theory, known before anything is built, and which route fits into memory."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from mscflow.errors import InputError
from mscflow.levels.base import Estimate
from mscflow.levels.calibration import speed
from mscflow.levels.memory import GIB, memory_limit, more_memory
from mscflow.levels.pyscf import RANGE_SEPARATED
from mscflow.topology import topology

if TYPE_CHECKING:
    from mscflow.cluster import Cluster
    from mscflow.levels.pyscf import PySCF

FITTED = "density fitting in memory"
SINGLE = "density fitting, integrals in single precision"
REPEATED = "density fitting, integrals computed again in each cycle"
ON_DISK = "density fitting, integrals on disk"
SEMINUMERICAL = "density-fitted Coulomb, seminumerical exchange"
MULTIGRID = "multigrid"
"""Routes. Those with density fitting give the same number; the others belong to levels of their own."""

SECONDS_PER_PAIR = 3.9e-4
"""Measured: seconds per squared basis function of one energy and gradient, grid level 3, two cores
(In4P(O2CH)9 3.6e-4, Cd16Se13Cl6 4.2e-4)."""

SECONDS_PER_REPEATED_GIB = 64.0
"""Measured: additional seconds per GiB of integrals that are computed in every cycle, not kept."""

SPARED = 0.65
"""Measured: part of that which is spared where they are kept in single precision (In10P4(O2CH)18)."""

SECONDS_PER_GTH_PAIR = 4.8e-4
"""Measured: seconds per squared basis function of one energy and gradient on multigrids (carboxylates of 41
to 195 atoms; Cd16Se13Cl6, whose functions are all near each other, takes 1.3e-3)."""

HYBRID_FACTOR, DISK_FACTOR, SEMINUMERICAL_FACTOR = 4.0, 2.0, 6.0
"""Exact exchange against a pure functional, disk against memory, exchange on a grid against none."""

SECONDS_PER_POINT_PAIR = 4e-8
"""Measured: seconds per integral of a solvent's surface point and two basis functions (In4P(O2CH)9)."""

SECONDS_PER_POINT_CUBE = {"c-pcm": 1.2e-11, "smd": 4.7e-11}
"""Measured: seconds per cubed number of points, for the matrix of their charges (In4P(O2CH)9)."""

KEPT_PASSES, COMPUTED_PASSES = 3, 50
"""How often these integrals are computed for one energy and gradient, where they are kept and where not."""

PROGRAM_GIB = 0.7
MATRICES = 30
"""Memory of the programs / GiB; number of matrices of the size of the density that live together (DIIS)."""

MULTIGRID_GIB, MULTIGRID_GIB_PER_FUNCTION = 1.2, 1.1e-3
"""Measured: GiB of a multigrid calculation, and more of them per basis function."""


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


def routes(cluster: Cluster, level: PySCF) -> list[Estimate]:
    """Return the ways to one energy and gradient with their cost, the fastest first; nothing is built.

    Parameters
    ----------
    cluster
        What is to be computed; elements without basis functions count as none.
    level
        The level.
    """
    n = _count(cluster, level.basis)
    auxiliary = 0 if level.is_periodic else _count(cluster, level.auxiliary_basis)
    matrices = matrices_gib(n)
    kinds = 2 if level.xc in RANGE_SEPARATED else 1
    integrals = kinds * 8 * auxiliary * n * (n + 1) / 2 / GIB
    pure = SECONDS_PER_PAIR * n**2
    repeated = SECONDS_PER_REPEATED_GIB * integrals
    if level.is_periodic:
        found = [(MULTIGRID, matrices + multigrid_gib(n), 0.0, SECONDS_PER_GTH_PAIR * n**2)]
    elif level.exchange == "seminumerical":
        found = [(SEMINUMERICAL, matrices, 0.0, kinds * SEMINUMERICAL_FACTOR * pure + repeated)]
    elif level.is_hybrid:
        seconds = HYBRID_FACTOR * kinds * pure
        found = [
            (FITTED, matrices + integrals, 0.0, seconds),
            (ON_DISK, matrices, integrals, DISK_FACTOR * seconds),
        ]
    else:
        found = [
            (FITTED, matrices + integrals, 0.0, pure),
            (SINGLE, matrices + integrals / 2, 0.0, pure + (1 - SPARED) * repeated),
            (REPEATED, matrices, 0.0, pure + repeated),
        ]
    solvent_gib, solvent_s = _solvent(cluster, level, n)
    factor = speed("multigrid" if level.is_periodic else "density fitting")
    return [
        Estimate(
            n_atoms=len(cluster),
            n_basis=n,
            n_auxiliary=auxiliary,
            memory_gib=memory + solvent_gib,
            disk_gib=disk,
            time_s=factor * (seconds + solvent_s),
            route=route,
        )
        for route, memory, disk, seconds in found
    ]


def matrices_gib(n_basis: int) -> float:
    """Return what a calculation takes beside integrals and values on grids / GiB."""
    return PROGRAM_GIB + MATRICES * 8 * n_basis**2 / GIB


def multigrid_gib(n_basis: int) -> float:
    """Return what a calculation on multigrids takes beside matrices / GiB."""
    return MULTIGRID_GIB + MULTIGRID_GIB_PER_FUNCTION * n_basis


def _solvent(cluster: Cluster, level: PySCF, n_basis: int) -> tuple[float, float]:
    """Return memory / GiB and time / s of a solvent; its integrals are kept where there is room for them."""
    if level.solvent is None:
        return 0.0, 0.0
    from mscflow.levels.dft.solvent import n_points, surface_gib

    n, matrices = n_points(cluster, level), surface_gib(cluster, level)
    integrals = n * n_basis**2 / 2
    fits = matrices_gib(n_basis) + matrices + 8 * integrals / GIB < memory_limit()
    passes = KEPT_PASSES if fits else COMPUTED_PASSES
    return matrices, passes * integrals * SECONDS_PER_POINT_PAIR + n**3 * SECONDS_PER_POINT_CUBE[
        level.solvation
    ]


def estimate(cluster: Cluster, level: PySCF) -> Estimate:
    """Return the fastest route that fits into memory now, or the leanest where none does."""
    ways = routes(cluster, level)
    limit = memory_limit()
    return next((way for way in ways if way.memory_gib <= limit), ways[-1])


def require_memory(cluster: Cluster, level: PySCF) -> Estimate:
    """Return the fastest route that fits into memory.

    Raises
    ------
    InputError
        If none does; what would fit is named.
    """
    limit = memory_limit()
    chosen = estimate(cluster, level)
    if chosen.memory_gib <= limit:
        return chosen
    others = [
        other.text for other in alternatives(cluster, level) if estimate(cluster, other).memory_gib <= limit
    ]
    short = shortened(cluster, level)
    if short is not None and _least_gib(short, cluster, level) <= limit:
        others.append(f"ligands cut to formates ({short} instead of {chosen.n_basis} basis functions)")
    raise InputError(
        f"{cluster.name or cluster.formula} at {level.text} takes {chosen.memory_gib:.1f} GiB by its leanest "
        f"route ({chosen.route}), {limit:.1f} GiB may be used: take {' or '.join(others) or 'gfn2-xtb'}, or "
        f"{more_memory()}"
    )


def _least_gib(n_basis: int, cluster: Cluster, level: PySCF) -> float:
    """Return what the leanest route takes / GiB with fewer basis functions, a solvent's surface as it is."""
    from mscflow.levels.dft.solvent import surface_gib

    grids = multigrid_gib(n_basis) if level.is_periodic else 0.0
    return matrices_gib(n_basis) + grids + surface_gib(cluster, level)


def alternatives(cluster: Cluster, level: PySCF) -> list[PySCF]:
    """Return other levels that are cheaper for a large cluster, each a level of theory of its own."""
    found = []
    if level.is_hybrid and level.exchange == "fitted":
        found.append(level.model_copy(update={"exchange": "seminumerical"}))
    if level.basis == "def2-tzvp":
        found.append(level.model_copy(update={"basis": "def2-svp"}))
    if level.solvation == "smd":
        found.append(level.model_copy(update={"solvation": "c-pcm"}))
    if level.solvent is not None:
        found.append(level.model_copy(update={"solvent": None, "solvation": "c-pcm"}))
    elif level.xc == "pbe":
        smaller = [basis for basis in ("gth-dzvp-molopt-sr", "gth-szv-molopt-sr") if basis != level.basis]
        box = {"grid": type(level).model_fields["grid"].default, "ke_cutoff": level.cutoff_for(cluster)}
        found += [level.model_copy(update={"basis": basis, **box}) for basis in smaller]
    return found


def shortened(cluster: Cluster, level: PySCF) -> int | None:
    """Return the number of basis functions if longer carboxylates were formates; None if there are none."""
    counts = {symbol: n_functions(level.basis, symbol) or 0 for symbol in (*cluster.composition, "H")}
    formate = counts.get("C", 0) + 2 * counts.get("O", 0) + counts["H"]
    saved = 0
    for ligand in topology(cluster).ligands:
        symbols = [cluster.symbols[i] for i in ligand.atoms]
        if symbols.count("O") == 2 and symbols.count("C") > 1:
            saved += sum(counts[symbol] for symbol in symbols) - formate
    return _count(cluster, level.basis) - saved if saved else None


def _count(cluster: Cluster, basis: str) -> int:
    return sum(n * (n_functions(basis, symbol) or 0) for symbol, n in cluster.composition.items())
