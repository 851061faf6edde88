"""Differences of orbital energies: an estimate of excitations for any size, and the start of others.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyscf.tdscf import rks

N_STARTS = 20
"""Pairs to begin with at least, where so many have gaps as small: PySCF takes that many at a time."""


def orbital_gaps(mf: Any) -> rks.TDA:
    """Return PySCF's TDA solver of a closed-shell Kohn–Sham object, without its integrals.

    Hole and electron do not feel each other, and their orbitals do not change.
    """
    gaps = _gaps(mf)
    solver = rks.TDA(mf)
    solver.gen_vind = lambda *_: (lambda vectors: gaps * vectors, gaps)
    return solver


def begin_with_smallest_gaps(solver: Any) -> None:
    """Let PySCF's solver of excited states begin with the pairs of orbitals of the smallest gaps.

    It takes those below a limit in order of their orbitals and, where they are too many, leaves out the last:
    those of the highest occupied orbitals. States of their symmetry would be missing.
    """
    guess, gaps = solver.get_init_guess, _gaps(solver._scf)

    def ordered(mf: Any, nstates: int, **_: Any) -> tuple[np.ndarray, None]:
        rows = guess(mf, nstates)  # one 1 each
        order = np.argsort(gaps[rows.argmax(axis=1)], kind="stable")
        return rows[order[: max(nstates, N_STARTS)]], None

    solver.get_init_guess = ordered


def _gaps(mf: Any) -> np.ndarray:
    """Return the differences of orbital energies / Eh, shape (n_occupied · n_virtual,)."""
    full = mf.mo_occ > 0
    found: np.ndarray = (mf.mo_energy[None, ~full] - mf.mo_energy[full, None]).ravel()
    return found
