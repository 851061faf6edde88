"""Three-centre integrals of pairs of basis functions near each other, kept as they are or computed again.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from pyscf import gto, lib
from pyscf.ao2mo.outcore import balance_partition
from pyscf.scf import _vhf

from mscflow.levels.memory import GIB

NEGLIGIBLE = 1e-12
"""Bound of the integrals of a pair of functions / Eh that are left out."""

BLOCK_MB = 100.0
"""Size of a block of integrals / MB."""

BLOCK_PAIRS = 512
"""Number of products summed in single precision; their sums are added in double precision."""


class PairIntegrals:
    """(P|ij) of charge distributions P and pairs of basis functions i, j near each other.

    Parameters
    ----------
    mol, auxiliary
        The molecule; the distributions P as basis functions of another one.
    memory_gib
        Memory for the integrals / GiB: they are kept in double or single precision, or not at all.
    """

    def __init__(self, mol: gto.Mole, auxiliary: gto.Mole, memory_gib: float) -> None:
        self.mol, self.auxiliary, self.memory_gib = mol, auxiliary, memory_gib

    @cached_property
    def pairs(self) -> np.ndarray:
        """Indices of the pairs i ≥ j of functions that are kept, in the order of a packed lower triangle."""
        bounds = lib.pack_tril(pair_bounds(self.mol)) * largest_bound(self.auxiliary)
        return np.flatnonzero(bounds > NEGLIGIBLE)

    @property
    def dtype(self) -> type[np.floating[Any]] | None:
        """Precision in which there is memory for the integrals; None if in none."""
        n_integrals = self.auxiliary.nao * len(self.pairs)
        fitting = (t for t in (np.float64, np.float32) if t().nbytes * n_integrals <= self.memory_gib * GIB)
        return next(fitting, None)

    @property
    def stored_gib(self) -> float:
        """Memory that the integrals take / GiB."""
        return self.dtype().nbytes * self.auxiliary.nao * len(self.pairs) / GIB if self.dtype else 0.0

    @cached_property
    def stored(self) -> np.ndarray:
        """The integrals / Eh, shape (n_auxiliary, n_pairs)."""
        stored = np.empty((self.auxiliary.nao, len(self.pairs)), self.dtype)
        for some, block in three_centre(self.mol, self.auxiliary):
            # Indices are in range; with mode "raise" NumPy would fill a buffer first.
            if self.dtype is np.float64:
                np.take(block, self.pairs, axis=1, out=stored[some], mode="clip")
            else:
                stored[some] = block[:, self.pairs]
        return stored

    def project(self, densities: np.ndarray) -> np.ndarray:
        """Return Σ (P|ij) D_ij / Eh in double precision, shape (n, n_auxiliary).

        Parameters
        ----------
        densities
            Density matrices, shape (n, n_basis, n_basis); the symmetric part counts.
        """
        packed = self._packed(densities)
        if self.dtype is np.float64:
            return np.asarray(packed[:, self.pairs] @ self.stored.T)
        found = np.empty((len(packed), self.auxiliary.nao))
        for some, block in three_centre(self.mol, self.auxiliary):
            found[:, some] = packed @ block.T
        return found

    def project_roughly(self, densities: np.ndarray) -> np.ndarray:
        """Return what `project` does, from integrals kept in single precision."""
        packed = self._packed(densities)[:, self.pairs].astype(np.float32)
        found = np.zeros((len(packed), self.auxiliary.nao))
        for start in range(0, len(self.pairs), BLOCK_PAIRS):
            some = slice(start, start + BLOCK_PAIRS)
            found += packed[:, some] @ self.stored[:, some].T
        return found

    def expand(self, coefficients: np.ndarray) -> np.ndarray:
        """Return Σ c_P (P|ij) / Eh in the precision in which integrals are kept, (n, n_basis, n_basis).

        Parameters
        ----------
        coefficients
            Coefficients c, shape (n, n_auxiliary).
        """
        packed = np.zeros((len(coefficients), self.mol.nao * (self.mol.nao + 1) // 2))
        if self.dtype is None:
            for some, block in three_centre(self.mol, self.auxiliary):
                packed += coefficients[:, some] @ block
        else:
            packed[:, self.pairs] = coefficients.astype(self.dtype) @ self.stored
        return np.asarray(lib.unpack_tril(packed))

    def _packed(self, densities: np.ndarray) -> np.ndarray:
        """Return D_ij + D_ji for i > j and D_ii, packed."""
        packed = lib.pack_tril(densities + densities.transpose(0, 2, 1))
        diagonal = np.arange(self.mol.nao)
        packed[:, diagonal * (diagonal + 3) // 2] *= 0.5
        return np.asarray(packed)


def pair_bounds(mol: gto.Mole) -> np.ndarray:
    """Return (ij|ij)^1/2 at most, of the pairs of shells, for every pair of functions, (n_basis, n_basis)."""
    bounds = _vhf._VHFOpt(mol, "int2e", "CVHFnrs8_prescreen", "CVHFnr_int2e_q_cond").q_cond
    shell_of_function = np.repeat(np.arange(mol.nbas), np.diff(mol.ao_loc))
    return bounds[np.ix_(shell_of_function, shell_of_function)]


def largest_bound(auxiliary: gto.Mole) -> float:
    """Return the largest (P|P)^1/2 / Eh^1/2."""
    shells = ((shell, shell) for shell in range(auxiliary.nbas))
    return float(np.sqrt(max(auxiliary.intor_by_shell("int2c2e", pair).diagonal().max() for pair in shells)))


def three_centre(mol: gto.Mole, auxiliary: gto.Mole) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (P|ij) / Eh block by block of P, shape (n_block, n (n + 1) / 2); the next takes its place."""
    both, name = mol + auxiliary, mol._add_suffix("int3c2e")
    optimiser = gto.moleintor.make_cintopt(both._atm, both._bas, both._env, name)
    width = int(np.clip(BLOCK_MB * 1e6 / (8 * mol.nao**2), 20, 480))
    first = auxiliary.ao_loc
    parts = balance_partition(first, width)
    # A fresh array costs as much as the integrals in it: the system hands out its pages one by one.
    buffer = np.empty(mol.nao * (mol.nao + 1) // 2 * max(size for _, _, size in parts))
    for start, stop, _ in parts:
        shells = (0, mol.nbas, 0, mol.nbas, mol.nbas + start, mol.nbas + stop)
        block = gto.moleintor.getints(
            name, both._atm, both._bas, both._env, shells, 1, aosym="s2ij", cintopt=optimiser, out=buffer
        )
        yield slice(first[start], first[stop]), block.T
