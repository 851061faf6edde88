"""The fitted Coulomb matrix from three-centre integrals kept as they are.

PySCF keeps integrals that are solved for the fit, (ij|P)(P|Q)^-1/2, and spends most of its preparation on
that. For the Coulomb matrix alone one solution for the fitted density per cycle is enough, and pairs of
functions far from each other need no place. The result is that of PySCF's `df.DF`.

Where memory is short, as many integrals as fit are kept in single precision and the others are computed in
every cycle. The matrix is linear in the density: what is contracted with them is the difference to a density
whose matrix is known exactly, and when that is far away against the steps, another one takes its place.

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

SMALL_STEP = 0.03
"""A density that changes by less than this part of its distance to the one known exactly is contracted with
exact integrals itself: some four times in a calculation, and errors stay far below a step."""


@dataclass
class Reference:
    """Densities whose Coulomb matrices are known exactly.

    Parameters
    ----------
    densities
        Density matrices, shape (n, n_basis, n_basis).
    matrices
        Their Coulomb matrices, packed, shape (n, n_basis (n_basis + 1) / 2).
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
        self._reference: Reference | None = None
        self._last = np.zeros(0)
        return self

    @cached_property
    def pairs(self) -> np.ndarray:
        """Indices of the pairs i ≥ j of functions that are kept, in the order of a packed lower triangle."""
        return np.flatnonzero(lib.pack_tril(pair_bounds(self.mol)) * fit_bound(self.auxmol) > NEGLIGIBLE)

    @property
    def is_whole(self) -> bool:
        """Whether there is memory for all integrals in double precision."""
        return 8 * self.auxmol.nao * len(self.pairs) <= self.memory_gib * GIB

    @property
    def n_stored_shells(self) -> int:
        """Number of shells of the fitting basis whose integrals are kept, the first ones."""
        if self.is_whole:
            return int(self.auxmol.nbas)
        n_functions = self.memory_gib * GIB / (4 * len(self.pairs))
        return int(np.searchsorted(self.auxmol.ao_loc, n_functions, side="right")) - 1

    @property
    def stored_gib(self) -> float:
        """Memory that the integrals take / GiB."""
        n_functions = int(self.auxmol.ao_loc[self.n_stored_shells])
        return (8 if self.is_whole else 4) * n_functions * len(self.pairs) / GIB

    @cached_property
    def integrals(self) -> np.ndarray:
        """(P|ij) of the pairs and functions P that are kept / Eh, shape (n_stored, n_pairs)."""
        n_functions = self.auxmol.ao_loc[self.n_stored_shells]
        stored = np.empty((n_functions, len(self.pairs)), np.float64 if self.is_whole else np.float32)
        for functions, block in three_centre(self.mol, self.auxmol, 0, self.n_stored_shells):
            if self.is_whole:
                # Indices are in range; with mode "raise" NumPy would fill a buffer first.
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
        return self._fit(densities, self.auxmol.nbas if self.is_whole else 0)

    def get_jk(
        self, dm: Any, hermi: int = 1, with_j: bool = True, with_k: bool = True,
        direct_scf_tol: float = 1e-13, omega: float | None = None,
    ) -> tuple:  # fmt: skip
        """Return Coulomb and exchange matrices of `dm`; with exchange this is PySCF's."""
        if with_k or omega or np.iscomplexobj(dm):
            return super().get_jk(dm, hermi, with_j, with_k, direct_scf_tol, omega)
        shape = np.shape(dm)
        densities = np.array(dm).reshape(-1, *shape[-2:])
        packed = self._coulomb(densities, self.auxmol.nbas) if self.is_whole else self._corrected(densities)
        return lib.unpack_tril(packed).reshape(shape), None

    def _corrected(self, densities: np.ndarray) -> np.ndarray:
        """Return packed Coulomb matrices with the stored integrals relative to those of a reference."""
        reference, last, self._last = self._reference, self._last, densities
        if reference is None or last.shape != densities.shape:
            reference = self._reference = Reference(np.zeros_like(densities), np.zeros(1))
            last = reference.densities
        distance = np.linalg.norm(densities - reference.densities)
        if np.linalg.norm(densities - last) < SMALL_STEP * distance:
            self._reference = Reference(densities, self._coulomb(densities, 0))
            return self._reference.matrices
        if distance > np.linalg.norm(densities):  # something else, a response to a field for example
            return self._coulomb(densities, self.n_stored_shells)
        return reference.matrices + self._coulomb(densities - reference.densities, self.n_stored_shells)

    def _coulomb(self, densities: np.ndarray, n_shells: int) -> np.ndarray:
        """Return packed Coulomb matrices; integrals of the first shells of the fit are those stored."""
        coefficients = self._fit(densities, n_shells)
        found = np.zeros((len(densities), self.mol.nao * (self.mol.nao + 1) // 2))
        if n_shells:
            some = coefficients[:, : len(self.integrals)].astype(self.integrals.dtype)
            found[:, self.pairs] = some @ self.integrals
        for functions, block in three_centre(self.mol, self.auxmol, n_shells):
            found += coefficients[:, functions] @ block
        return found

    def _fit(self, densities: np.ndarray, n_shells: int) -> np.ndarray:
        packed = lib.pack_tril(densities + densities.transpose(0, 2, 1))
        diagonal = np.arange(self.mol.nao)
        packed[:, diagonal * (diagonal + 3) // 2] *= 0.5
        found = np.empty((self.auxmol.nao, len(densities)))
        if n_shells:
            found[: len(self.integrals)] = self._project(packed[:, self.pairs])
        for functions, block in three_centre(self.mol, self.auxmol, n_shells):
            found[functions] = block @ packed.T
        return cho_solve(self.metric, found).T

    def _project(self, packed: np.ndarray) -> np.ndarray:
        """Return Σ (P|ij) D_ij over the pairs that are kept, shape (n_stored, n)."""
        if self.is_whole:
            return self.integrals @ packed.T
        packed, found = packed.astype(np.float32), np.zeros((len(self.integrals), len(packed)))
        for start in range(0, len(self.pairs), BLOCK_PAIRS):
            some = slice(start, start + BLOCK_PAIRS)
            found += self.integrals[:, some] @ packed[:, some].T
        return found


def pair_bounds(mol: gto.Mole) -> np.ndarray:
    """Return (ij|ij)^1/2 at most, of the pairs of shells, for every pair of functions, (n_basis, n_basis)."""
    bounds = _vhf._VHFOpt(mol, "int2e", "CVHFnrs8_prescreen", "CVHFnr_int2e_q_cond").q_cond
    shell_of_function = np.repeat(np.arange(mol.nbas), np.diff(mol.ao_loc))
    return bounds[np.ix_(shell_of_function, shell_of_function)]


def fit_bound(auxiliary: gto.Mole) -> float:
    """Return the largest (P|P)^1/2."""
    return float(np.sqrt(np.max(auxiliary.intor("int2c2e").diagonal())))


def three_centre(
    mol: gto.Mole, auxiliary: gto.Mole, start: int = 0, stop: int | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (P|ij) / Eh block by block of P, shape (n_block, n (n + 1) / 2); the next takes its place.

    Parameters
    ----------
    mol, auxiliary
        Basis functions and fitting basis.
    start, stop
        Range of the shells of the fitting basis.
    """
    stop = auxiliary.nbas if stop is None else stop
    if start == stop:
        return
    both, name = mol + auxiliary, mol._add_suffix("int3c2e")
    optimiser = gto.moleintor.make_cintopt(both._atm, both._bas, both._env, name)
    width = int(np.clip(BLOCK_MB * 1e6 / (8 * mol.nao**2), 20, 480))
    first = auxiliary.ao_loc
    parts = balance_partition(first, width, start, stop)
    # A fresh array costs as much as the integrals in it: the system hands out its pages one by one.
    buffer = np.empty(mol.nao * (mol.nao + 1) // 2 * max(size for _, _, size in parts))
    for begin, end, _ in parts:
        shells = (0, mol.nbas, 0, mol.nbas, mol.nbas + begin, mol.nbas + end)
        block = gto.moleintor.getints(
            name, both._atm, both._bas, both._env, shells, 1, aosym="s2ij", cintopt=optimiser, out=buffer
        )
        yield slice(first[begin], first[end]), block.T
