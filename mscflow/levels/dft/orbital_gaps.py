"""Differences of orbital energies: the roughest estimate of excitations, for clusters of any size.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from typing import Any

from pyscf.tdscf import rks


def orbital_gaps(mf: Any) -> rks.TDA:
    """Return PySCF's TDA solver of a closed-shell Kohn–Sham object, without its integrals.

    Hole and electron do not feel each other, and their orbitals do not change.
    """
    full = mf.mo_occ > 0
    gaps = (mf.mo_energy[None, ~full] - mf.mo_energy[full, None]).ravel()
    solver = rks.TDA(mf)
    solver.gen_vind = lambda *_: (lambda vectors: gaps * vectors, gaps)
    return solver
