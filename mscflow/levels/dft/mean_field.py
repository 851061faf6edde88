"""The mean field of a level of theory: PySCF's objects with our integrals, none of them computed yet.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from pyscf import dft, scf, sgx
from pyscf.pbc import dft as pbc_dft

from mscflow.cluster import Cluster
from mscflow.levels.dft.cost import FITTED, REPEATED, SINGLE, matrices_gib, require_memory
from mscflow.levels.dft.coulomb import StoredIntegrals
from mscflow.levels.dft.integration import BoxNumInt
from mscflow.levels.dft.molecule import build
from mscflow.levels.dft.multigrid import MoleculeNumInt
from mscflow.levels.dft.solvent import solvent, surface_gib
from mscflow.levels.memory import GIB, memory_limit
from mscflow.levels.pyscf import PySCF

ROUTES = {np.float64: FITTED, np.float32: SINGLE, None: REPEATED}
"""Route by the precision in which integrals are kept."""

VALUE_SHARE = 0.4
"""Part of the memory for basis functions on the grid, where the rest of the calculation leaves it."""


def mean_field(cluster: Cluster, level: PySCF, grid: int | None = None) -> Any:
    """Return PySCF's mean-field object for a cluster at a level, nothing computed yet.

    Parameters
    ----------
    cluster, level
        What is to be computed.
    grid
        Grid level instead of the level's.

    Raises
    ------
    InputError
        If no route fits into memory.
    """
    route = require_memory(cluster, level)
    mol = build(cluster, level)
    is_open = cluster.multiplicity > 1
    if level.is_periodic:
        mf = (pbc_dft.UKS if is_open else pbc_dft.RKS)(mol, xc=level.xc)
        mf.chkfile = None
        mf._numint = MoleculeNumInt(mol)
        return mf
    mf = (dft.UKS if is_open else dft.RKS)(mol, xc=level.xc)
    mf.chkfile = None
    if level.exchange == "seminumerical":
        mf = sgx.sgx_fit(mf, auxbasis=level.auxiliary_basis, pjs=True)
    else:
        mf = mf.density_fit(auxbasis=level.auxiliary_basis, only_dfj=not level.is_hybrid)
    core = cache(scf.hf.get_hcore)  # not once per stage; `mf` must not refer to itself, or it lives on
    mf.get_hcore = lambda *_: core(mol)
    limit, taken = memory_limit(), route.memory_gib
    if not level.is_hybrid:
        taken = matrices_gib(mol.nao) + surface_gib(cluster, level)
        mf.with_df = StoredIntegrals(mol, level.auxiliary_basis, max(limit - taken, 0.0))
        mf.direct_scf = False  # whole densities are wanted, not their changes
        taken += mf.with_df.kept.stored_gib
    if level.solvent is not None:
        around = solvent(mol, level, max(limit - taken, 0.0))
        taken += around.integrals.stored_gib
        mf = mf.PCM(around)
    mf._numint = BoxNumInt(min(VALUE_SHARE * limit, limit - taken) * GIB / 1e6)
    mf.grids.level = level.grid if grid is None else grid
    if route.route == FITTED and level.is_hybrid:
        mf.with_df.build()
    return mf


def route_of(mf: Any) -> str | None:
    """Return the route of a pure functional: it is known only with the pairs of functions near each other."""
    fitting = getattr(mf, "with_df", None)
    return ROUTES[fitting.kept.dtype] if isinstance(fitting, StoredIntegrals) else None
