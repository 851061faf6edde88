"""The force of a fitted Coulomb energy on the nuclei.

Derivatives of the fitting functions follow from those of the basis functions, since a common shift changes
no integral. Products of basis functions that have no density, or hardly overlap, are left out.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from pyscf import gto
from pyscf.ao2mo.outcore import balance_partition

from mscflow.levels.dft.coulomb import StoredIntegrals
from mscflow.levels.dft.pair_integrals import pair_bounds

NEGLIGIBLE = 1e-10
"""Bound of a product of functions times its density / Eh^1/2 below which it is left out."""

DIFFUSE = 0.3
"""Shells with an exponent below this / bohr^-2 are diffuse."""

BLOCK_FUNCTIONS = 480
"""Number of fitting functions in a block of integrals, which should stay in the cache."""


def coulomb_gradient(fitting: StoredIntegrals, density: np.ndarray) -> np.ndarray:
    """Return the contribution of the Coulomb energy to the gradient / Eh/bohr, shape (n_atoms, 3).

    Parameters
    ----------
    fitting
        The fit of the energy.
    density
        Total density matrix, shape (n_basis, n_basis).
    """
    auxiliary = fitting.auxmol
    fitted = fitting.fit(density[None])[0]
    gradient, of_fit = interaction_gradient(fitting.mol, auxiliary, density, fitted)
    of_fit += np.einsum("xpq,q,p->px", auxiliary.intor("int2c2e_ip1"), fitted, fitted)
    for atom, (first, last) in enumerate(auxiliary.aoslice_by_atom()[:, 2:]):
        gradient[atom] += of_fit[first:last].sum(axis=0)
    return gradient


def interaction_gradient(
    mol: gto.Mole, auxiliary: gto.Mole, density: np.ndarray, coefficients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of Σ c_P (P|ij) D_ij / Eh/bohr.

    Parameters
    ----------
    mol, auxiliary
        The molecule; charge distributions P as basis functions of another one.
    density
        D, symmetric, shape (n_basis, n_basis).
    coefficients
        c, shape (n_auxiliary,).

    Returns
    -------
    tuple
        By the centres of the basis functions, shape (n_atoms, 3), and by those of P, shape (n_auxiliary, 3).
    """
    groups = Groups(mol)
    gradient, of_auxiliary = np.zeros((mol.natm, 3)), np.zeros((auxiliary.nao, 3))
    for g, some, of_product in derivatives(groups, auxiliary, _products(groups, density)):
        part = of_product * coefficients[some]
        gradient[groups.atoms[g]] -= 2 * part.sum(axis=1)
        of_auxiliary[some] += 2 * part.T
    return gradient, of_auxiliary


class Groups:
    """The shells of every atom in two groups, compact and diffuse ones: most products of the former vanish.

    Parameters
    ----------
    mol
        The molecule.

    Attributes
    ----------
    mol
        The molecule.
    order
        Its shells in the order of the groups.
    shells
        Range of each group in that order.
    functions
        Indices of the functions of each group in the molecule.
    atoms
        Atom of each group.
    """

    def __init__(self, mol: gto.Mole) -> None:
        self.mol = mol
        is_diffuse = np.array([mol.bas_exp(shell).min() < DIFFUSE for shell in range(mol.nbas)])
        keys = 2 * mol._bas[:, gto.ATOM_OF] + is_diffuse
        self.order = np.argsort(keys, kind="stable")
        first = np.flatnonzero(np.diff(keys[self.order], prepend=-1))
        self.atoms = keys[self.order][first] // 2
        self.shells = list(pairwise([*first, mol.nbas]))
        of_shell = [np.arange(*mol.ao_loc[shell : shell + 2]) for shell in self.order]
        self.functions = [np.concatenate(of_shell[start:stop]) for start, stop in self.shells]


def _products(groups: Groups, density: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Return the density matrix of every two groups where it matters, the functions of the first one last."""
    bounds = pair_bounds(groups.mol) * np.abs(density)
    found = {}
    for g, first in enumerate(groups.functions):
        for h, second in enumerate(groups.functions):
            window = np.ix_(second, first)
            if bounds[window].max() > NEGLIGIBLE:
                found[g, h] = density[window].ravel()
    return found


def derivatives(
    groups: Groups, auxiliary: gto.Mole, products: Mapping[tuple[int, int], np.ndarray]
) -> Iterator[tuple[int, slice, np.ndarray]]:
    """Yield Σ (P|∇i j) D_ij / Eh/bohr over the functions of two groups, for a block of P.

    Parameters
    ----------
    groups, auxiliary
        Basis functions and fitting basis.
    products
        D of two groups, functions i last.

    Yields
    ------
    tuple
        Group of i, range of P, derivatives of shape (3, n_block).
    """
    mol = groups.mol.copy(deep=False)
    mol._bas = groups.mol._bas[groups.order]
    both, name = mol + auxiliary, mol._add_suffix("int3c2e_ip1")
    optimiser = gto.moleintor.make_cintopt(both._atm, both._bas, both._env, name)
    first = auxiliary.ao_loc
    parts = balance_partition(first, BLOCK_FUNCTIONS)
    # A fresh array costs as much as the integrals in it: the system hands out its pages one by one.
    buffer = np.empty(3 * max(map(len, products.values())) * max(size for _, _, size in parts))
    for start, stop, size in parts:
        for (g, h), density in products.items():
            shells = (*groups.shells[g], *groups.shells[h], mol.nbas + start, mol.nbas + stop)
            block = gto.moleintor.getints(
                name, both._atm, both._bas, both._env, shells, 3, aosym="s1", cintopt=optimiser, out=buffer
            )
            by_fit = block.transpose(0, 3, 2, 1).reshape(3, size, len(density))
            yield g, slice(first[start], first[stop]), by_fit @ density
