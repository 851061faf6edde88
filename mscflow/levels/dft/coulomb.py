"""The fitted Coulomb matrix from three-centre integrals kept as they are.

PySCF keeps integrals that are solved for the fit, (ij|P)(P|Q)^-1/2, and spends most of its preparation on
that. For the Coulomb matrix alone one solution for the fitted density per cycle is enough, and pairs of
functions far from each other need no place. The result is that of PySCF's `df.DF`.

Where memory is short, integrals are kept in single precision. The matrix is linear in the density: what is
contracted with them is the difference to a density whose matrix is known exactly, and when that is far away
against the steps, the present one takes its place. PySCF computes such a matrix with integrals that are not
kept; where there is no memory even for single precision, it does so in every cycle.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pyscf import df, gto, lib
from pyscf.ao2mo.outcore import balance_partition
from pyscf.scf import _vhf
from scipy.linalg import cho_factor, cho_solve

from mscflow.levels.memory import GIB

NEGLIGIBLE = 1e-12
"""Bound of the three-centre integrals of a pair of functions / Eh that are left out."""

BLOCK_MB = 100.0
"""Size of a block of three-centre integrals / MB."""

BLOCK_PAIRS = 512
"""Number of products summed in single precision; their sums are added in double precision."""

SMALL_STEP = 0.01
"""A density that changes by less than this part of its distance to the one known exactly is contracted with
exact integrals itself: some three times in a calculation, and errors stay far below a step."""


@dataclass
class Reference:
    """Densities whose Coulomb matrices are known exactly.

    Parameters
    ----------
    densities
        Density matrices, shape (n, n_basis, n_basis).
    matrices
        Their Coulomb matrices, of the same shape.
    """

    densities: np.ndarray
    matrices: np.ndarray


class StoredIntegrals(df.DF):
    """Density fitting of which the Coulomb part is computed from stored integrals, shape (n_fit, n_pairs).

    Parameters
    ----------
    mol, auxbasis
        The molecule and its fitting basis.
    memory_gib
        Memory for the integrals / GiB.

    Notes
    -----
    Errors of changes of a density would add up in single precision: set ``direct_scf`` of the mean field to
    False.
    """

    def __init__(self, mol: gto.Mole, auxbasis: Any, memory_gib: float = math.inf) -> None:
        super().__init__(mol, auxbasis)
        self.memory_gib = memory_gib
        self.reset()

    def reset(self, mol: gto.Mole | None = None) -> StoredIntegrals:
        """Forget all integrals, for another geometry for example."""
        super().reset(mol)
        for name in ("pairs", "integrals", "metric"):
            self.__dict__.pop(name, None)
        self.auxmol = df.addons.make_auxmol(self.mol, self.auxbasis)
        self._last = np.zeros(0)
        self._reference = Reference(self._last, self._last)
        return self

    @cached_property
    def pairs(self) -> np.ndarray:
        """Indices of the pairs i ≥ j of functions that are kept, in the order of a packed lower triangle."""
        return np.flatnonzero(lib.pack_tril(pair_bounds(self.mol)) * fit_bound(self.auxmol) > NEGLIGIBLE)

    @property
    def dtype(self) -> type[np.floating[Any]] | None:
        """Precision in which there is memory for the integrals; None if in none."""
        n_integrals = self.auxmol.nao * len(self.pairs)
        fitting = (t for t in (np.float64, np.float32) if t().nbytes * n_integrals <= self.memory_gib * GIB)
        return next(fitting, None)

    @property
    def stored_gib(self) -> float:
        """Memory that the integrals take / GiB."""
        return self.dtype().nbytes * self.auxmol.nao * len(self.pairs) / GIB if self.dtype else 0.0

    @cached_property
    def integrals(self) -> np.ndarray:
        """(P|ij) of the pairs that are kept / Eh, shape (n_fit, n_pairs)."""
        stored = np.empty((self.auxmol.nao, len(self.pairs)), self.dtype)
        for functions, block in three_centre(self.mol, self.auxmol):
            # Indices are in range; with mode "raise" NumPy would fill a buffer first.
            if self.dtype is np.float64:
                np.take(block, self.pairs, axis=1, out=stored[functions], mode="clip")
            else:
                stored[functions] = block[:, self.pairs]
        return stored

    @cached_property
    def metric(self) -> Any:
        """The factorised (P|Q)."""
        return cho_factor(self.auxmol.intor("int2c2e"), lower=True, overwrite_a=True)

    def fit(self, densities: np.ndarray) -> np.ndarray:
        """Return the coefficients of the fitted densities.

        Parameters
        ----------
        densities
            Density matrices, shape (n, n_basis, n_basis); the symmetric part counts.

        Returns
        -------
        numpy.ndarray
            Shape (n, n_fit).
        """
        packed = self._packed(densities)
        if self.dtype is np.float64:
            return self._solve(self.integrals @ packed[:, self.pairs].T)
        found = np.empty((self.auxmol.nao, len(packed)))
        for functions, block in three_centre(self.mol, self.auxmol):
            found[functions] = block @ packed.T
        return self._solve(found)

    def get_jk(
        self, dm: Any, hermi: int = 1, with_j: bool = True, with_k: bool = True,
        direct_scf_tol: float = 1e-13, omega: float | None = None,
    ) -> tuple:  # fmt: skip
        """Return Coulomb and exchange matrices of `dm`; with exchange this is PySCF's."""
        if with_k or omega or np.iscomplexobj(dm):
            return super().get_jk(dm, hermi, with_j, with_k, direct_scf_tol, omega)
        densities = np.array(dm).reshape(-1, self.mol.nao, self.mol.nao)
        if self.dtype is np.float64:
            found = self._unpacked(self.fit(densities) @ self.integrals)
        else:
            found = self._corrected(densities)
        return found.reshape(np.shape(dm)), None

    def _corrected(self, densities: np.ndarray) -> np.ndarray:
        """Return Coulomb matrices relative to those of a reference, or make the densities the next one."""
        nothing = np.zeros_like(densities)
        if self._last.shape != densities.shape:
            self._last, self._reference = nothing, Reference(nothing, nothing)
        step, self._last = densities - self._last, densities
        reference = self._reference
        if np.linalg.norm(densities - reference.densities) > np.linalg.norm(densities):
            reference = Reference(nothing, nothing)  # this is a response to a field for example
        change = densities - reference.densities
        if self.dtype is None or np.linalg.norm(step) < SMALL_STEP * np.linalg.norm(change):
            exact = reference.matrices + super().get_jk(change, with_k=False)[0]
            self._reference = Reference(densities, exact)
            return exact
        return reference.matrices + self._single(change)

    def _single(self, densities: np.ndarray) -> np.ndarray:
        """Return Coulomb matrices with integrals in single precision."""
        packed = self._packed(densities)[:, self.pairs].astype(np.float32)
        found = np.zeros((self.auxmol.nao, len(packed)))
        for start in range(0, len(self.pairs), BLOCK_PAIRS):
            some = slice(start, start + BLOCK_PAIRS)
            found += self.integrals[:, some] @ packed[:, some].T
        return self._unpacked(self._solve(found).astype(np.float32) @ self.integrals)

    def _packed(self, densities: np.ndarray) -> np.ndarray:
        """Return D_ij + D_ji for i > j and D_ii, packed."""
        packed = lib.pack_tril(densities + densities.transpose(0, 2, 1))
        diagonal = np.arange(self.mol.nao)
        packed[:, diagonal * (diagonal + 3) // 2] *= 0.5
        return packed

    def _solve(self, projected: np.ndarray) -> np.ndarray:
        """Return fit coefficients from Σ (P|ij) D_ij, shape (n_fit, n) to (n, n_fit)."""
        return cho_solve(self.metric, projected).T

    def _unpacked(self, of_pairs: np.ndarray) -> np.ndarray:
        """Return the matrices whose elements of the pairs that are kept are given."""
        packed = np.zeros((len(of_pairs), self.mol.nao * (self.mol.nao + 1) // 2))
        packed[:, self.pairs] = of_pairs
        return lib.unpack_tril(packed)


def pair_bounds(mol: gto.Mole) -> np.ndarray:
    """Return (ij|ij)^1/2 at most, of the pairs of shells, for every pair of functions, (n_basis, n_basis)."""
    bounds = _vhf._VHFOpt(mol, "int2e", "CVHFnrs8_prescreen", "CVHFnr_int2e_q_cond").q_cond
    shell_of_function = np.repeat(np.arange(mol.nbas), np.diff(mol.ao_loc))
    return bounds[np.ix_(shell_of_function, shell_of_function)]


def fit_bound(auxiliary: gto.Mole) -> float:
    """Return the largest (P|P)^1/2."""
    return float(np.sqrt(np.max(auxiliary.intor("int2c2e").diagonal())))


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
