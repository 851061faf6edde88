"""Where the electrons of a ground state are, by Mulliken's partition of its density among atoms.

Charges, spins and orbital shares after Mulliken, J. Chem. Phys. 1955, 23, 1833; bond orders after Mayer,
Chem. Phys. Lett. 1983, 97, 270, and for open shells ibid. 1985, 117, 396. They depend on the basis: compare
like with like.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mscflow.levels.dft.scf_checkpoint import spin_densities


class Populations:
    """Mulliken analysis of a converged mean field.

    Parameters
    ----------
    mf
        PySCF's mean-field object, molecular or at the Γ point.
    """

    def __init__(self, mf: Any) -> None:
        self._mf = mf
        self._overlap = mf.get_ovlp()
        self._first = mf.mol.aoslice_by_atom()[:, 2]
        self._products = [density @ self._overlap for density in spin_densities(mf.make_rdm1())]

    @property
    def electrons(self) -> np.ndarray:
        """Electrons of either spin on each atom, shape (2, n_atoms)."""
        return np.array([self._by_atom(np.diagonal(product)) for product in self._products])

    @property
    def charges(self) -> np.ndarray:
        """Charge of each atom / e, core electrons of pseudopotentials left out; shape (n_atoms,)."""
        return np.asarray(self._mf.mol.atom_charges() - self.electrons.sum(axis=0))

    @property
    def spins(self) -> np.ndarray:
        """Excess of spin-up electrons on each atom, shape (n_atoms,)."""
        up, down = self.electrons
        return np.asarray(up - down)

    @property
    def bond_orders(self) -> np.ndarray:
        """Bond order of each pair of atoms, zero on the diagonal; shape (n_atoms, n_atoms)."""
        products = sum(2 * product * product.T for product in self._products)
        orders = self._by_atom(self._by_atom(products).T)
        np.fill_diagonal(orders, 0.0)
        return orders

    @property
    def orbital_shares(self) -> np.ndarray:
        """Share of each atom in each orbital, orbitals of spin up before those of spin down.

        Shape (n_atoms, n_orbitals).
        """
        coefficients = np.asarray(self._mf.mo_coeff)
        spins = coefficients if coefficients.ndim == 3 else coefficients[None]
        return np.hstack([self._by_atom(c * (self._overlap @ c)) for c in spins])

    def _by_atom(self, values: np.ndarray) -> np.ndarray:
        """Sum over the basis functions of each atom along the first axis."""
        return np.add.reduceat(values, self._first, axis=0)
