"""The fitted Coulomb matrix from three-centre integrals kept as they are.

PySCF keeps integrals that are solved for the fit, (ij|P)(P|Q)^-1/2, and spends most of its preparation on
that. For the Coulomb matrix alone one solution for the fitted density per cycle is enough, and pairs of
functions far from each other need no place. The result is that of PySCF's `df.DF`.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from pyscf import df, gto, lib
from pyscf.ao2mo.outcore import balance_partition
from pyscf.scf import _vhf
from scipy.linalg import cho_factor, cho_solve

NEGLIGIBLE = 1e-12
"""Bound of the three-centre integrals of a pair of functions / Eh that are left out."""

BLOCK_MB = 100.0
"""Size of a block of three-centre integrals / MB."""


class StoredIntegrals(df.DF):
    """Density fitting of which the Coulomb part is computed from stored integrals, shape (n_fit, n_pairs)."""

    def __init__(self, mol: gto.Mole, auxbasis: Any) -> None:
        super().__init__(mol, auxbasis)
        self.auxmol = df.addons.make_auxmol(mol, auxbasis)

    @cached_property
    def pairs(self) -> np.ndarray:
        """Indices of the pairs i ≥ j of functions that are kept, in the order of a packed lower triangle."""
        return np.flatnonzero(lib.pack_tril(pair_bounds(self.mol)) * fit_bound(self.auxmol) > NEGLIGIBLE)

    @cached_property
    def integrals(self) -> np.ndarray:
        """(P|ij) of the pairs that are kept / Eh, shape (n_fit, n_pairs)."""
        stored = np.empty((self.auxmol.nao, len(self.pairs)))
        for functions, block in three_centre(self.mol, self.auxmol):
            # Indices are in range; with mode "raise" NumPy would fill a buffer first.
            np.take(block, self.pairs, axis=1, out=stored[functions], mode="clip")
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
        packed = lib.pack_tril(densities + densities.transpose(0, 2, 1))
        diagonal = np.arange(self.mol.nao)
        packed[:, diagonal * (diagonal + 3) // 2] *= 0.5
        return cho_solve(self.metric, self.integrals @ packed[:, self.pairs].T).T

    def get_jk(
        self, dm: Any, hermi: int = 1, with_j: bool = True, with_k: bool = True,
        direct_scf_tol: float = 1e-13, omega: float | None = None,
    ) -> tuple:  # fmt: skip
        """Return Coulomb and exchange matrices of `dm`; with exchange this is PySCF's."""
        if with_k or omega or np.iscomplexobj(dm):
            return super().get_jk(dm, hermi, with_j, with_k, direct_scf_tol, omega)
        shape = np.shape(dm)
        coefficients = self.fit(np.reshape(dm, (-1, *shape[-2:])))
        packed = np.zeros((len(coefficients), self.mol.nao * (self.mol.nao + 1) // 2))
        packed[:, self.pairs] = coefficients @ self.integrals
        return lib.unpack_tril(packed).reshape(shape), None


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
