"""PySCF's molecule, or periodic box, of a cluster at a level.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from pyscf import gto
from pyscf.pbc import gto as pbc_gto

from mscflow.cluster import Cluster
from mscflow.levels.memory import GIB, memory_limit
from mscflow.levels.pyscf import LAST_ALL_ELECTRON, PySCF

# Integrals of pseudopotentials that PySCF's table lacks; the one component that it takes instead is right.
warnings.filterwarnings("ignore", message=r"Function int1e_r[24]_origi\w* not found")


def molecule(cluster: Cluster, level: PySCF) -> gto.Mole:
    """Return the isolated molecule of a cluster in the level's basis and core potentials."""
    return gto.M(**_arguments(cluster, level))


def build(cluster: Cluster, level: PySCF) -> gto.Mole | pbc_gto.Cell:
    """Return the object the level's route works on: a molecule, or a molecule in a periodic box."""
    if not level.is_periodic:
        return molecule(cluster, level)
    extent = np.ptp(cluster.positions, axis=0)
    box = np.diag(extent + 2 * level.box_margin)
    return pbc_gto.M(
        **_arguments(cluster, level),
        a=box,
        ke_cutoff=level.ke_cutoff,
        precision=1e-8,
    )


def _arguments(cluster: Cluster, level: PySCF) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "atom": list(zip(cluster.symbols, cluster.positions.tolist(), strict=True)),
        "basis": level.basis,
        "charge": cluster.charge,
        "spin": cluster.multiplicity - 1,
        "verbose": 0,
        "max_memory": memory_limit() * GIB / 1e6,
    }
    if level.is_periodic:
        arguments["pseudo"] = "gth-pbe"
    else:
        heavy = {s for s, z in zip(cluster.symbols, cluster.numbers, strict=True) if z > LAST_ALL_ELECTRON}
        arguments["ecp"] = dict.fromkeys(sorted(heavy), level.basis)
    return arguments
