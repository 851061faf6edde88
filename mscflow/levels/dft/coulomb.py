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
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pyscf import df, gto
from scipy.linalg import cho_factor, cho_solve

from mscflow.levels.dft.pair_integrals import PairIntegrals

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
    """Density fitting of which the Coulomb part is computed from stored integrals.

    Parameters
    ----------
    mol, auxbasis
        The molecule and its fitting basis.
    memory_gib
        Memory for the integrals / GiB.

    Attributes
    ----------
    kept
        The integrals.

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
        self.__dict__.pop("metric", None)
        self.auxmol = df.addons.make_auxmol(self.mol, self.auxbasis)
        self.kept = PairIntegrals(self.mol, self.auxmol, self.memory_gib)
        self._last = np.zeros(0)
        self._reference = Reference(self._last, self._last)
        return self

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
        return self._solve(self.kept.project(densities))

    def get_jk(
        self, dm: Any, hermi: int = 1, with_j: bool = True, with_k: bool = True,
        direct_scf_tol: float = 1e-13, omega: float | None = None,
    ) -> tuple:  # fmt: skip
        """Return Coulomb and exchange matrices of `dm`; with exchange this is PySCF's."""
        if with_k or omega or np.iscomplexobj(dm):
            return super().get_jk(dm, hermi, with_j, with_k, direct_scf_tol, omega)
        densities = np.array(dm).reshape(-1, self.mol.nao, self.mol.nao)
        if self.kept.dtype is np.float64:
            found = self.kept.expand(self.fit(densities))
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
        if self.kept.dtype is None or np.linalg.norm(step) < SMALL_STEP * np.linalg.norm(change):
            exact = reference.matrices + super().get_jk(change, with_k=False)[0]
            self._reference = Reference(densities, exact)
            return exact
        return reference.matrices + self.kept.expand(self._solve(self.kept.project_roughly(change)))

    def _solve(self, projected: np.ndarray) -> np.ndarray:
        """Return fit coefficients from Σ (P|ij) D_ij, shape (n, n_fit)."""
        return np.asarray(cho_solve(self.metric, projected.T).T)
