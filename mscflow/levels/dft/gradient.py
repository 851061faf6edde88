"""Nuclear gradients of density-fitted GGA energies, without what PySCF's general code computes twice.

Coulomb: `mscflow.levels.dft.coulomb_gradient`. Core potentials: the integrals of all of them are the sum of
those of each. Exchange and correlation: box by box (`mscflow.levels.dft.boxes`), contracted with the
density before anything is stored.
The result is that of PySCF's gradients to their own accuracy.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyscf import gto

from mscflow.levels.dft.boxes import Box, over_boxes
from mscflow.levels.dft.coulomb_gradient import coulomb_gradient
from mscflow.levels.dft.integration import BoxNumInt


def gradient(mf: Any) -> np.ndarray:
    """Return the nuclear gradient / Eh/bohr of a converged density-fitted GGA calculation.

    Parameters
    ----------
    mf
        ``RKS`` or ``UKS`` with `StoredIntegrals` and a `BoxNumInt`, in a solvent or not; no hybrid.

    Returns
    -------
    numpy.ndarray
        Shape (n_atoms, 3).
    """
    densities = np.asarray(mf.make_rdm1()).reshape(-1, mf.mol.nao, mf.mol.nao)
    total = densities.sum(axis=0)
    method = mf.nuc_grad_method()
    method.verbose = 0
    weighted = np.asarray(method.make_rdm1e(mf.mo_energy, mf.mo_coeff, mf.mo_occ))
    weighted = weighted.reshape(-1, *total.shape).sum(axis=0)
    overlap = method.get_ovlp(mf.mol)
    solvent = getattr(mf, "with_solvent", None)
    return (
        method.grad_nuc()
        + _core_hamiltonian(mf.mol, total)
        - 2 * _by_atom(mf.mol, np.einsum("xij,ij->ix", overlap, weighted))
        + coulomb_gradient(mf.with_df, total)
        + _exchange_correlation(mf, densities)
        + (0.0 if solvent is None else solvent.grad(total))
    )


def _by_atom(mol: gto.Mole, of_function: np.ndarray) -> np.ndarray:
    """Sum over the basis functions of each atom, shape (n_functions, 3) to (n_atoms, 3)."""
    return np.array([of_function[p0:p1].sum(axis=0) for p0, p1 in mol.aoslice_by_atom()[:, 2:]])


def _core_hamiltonian(mol: gto.Mole, density: np.ndarray) -> np.ndarray:
    """Return the contribution of kinetic energy, nuclei and core potentials.

    ⟨∇i|h|j⟩ summed over the functions of an atom is minus half its share as the centre of functions; each
    potential moves with its atom, too.
    """
    kinetic = np.einsum("xij,ij->ix", mol.intor("int1e_ipkin"), density)
    nuclear = np.einsum("xij,ij->ix", mol.intor("int1e_ipnuc"), density)
    functions = kinetic + nuclear
    with_core = set(mol._ecpbas[:, gto.ATOM_OF]) if mol.has_ecp() else set()
    potentials = np.zeros((mol.natm, 3))
    for atom in range(mol.natm):
        with mol.with_rinv_at_nucleus(atom):
            moved = -mol.atom_charge(atom) * np.einsum("xij,ij->x", mol.intor("int1e_iprinv"), density)
            if atom in with_core:
                core = np.einsum("xij,ij->ix", mol.intor("ECPscalar_iprinv"), density)
                functions += core
                moved += core.sum(axis=0)
        potentials[atom] = 2 * moved
    return potentials - 2 * _by_atom(mol, functions)


def _exchange_correlation(mf: Any, densities: np.ndarray) -> np.ndarray:
    """Return the contribution of the functional; the grid does not move."""
    integrator: BoxNumInt = mf._numint
    boxes = integrator.boxes(mf.mol, mf.grids)

    def one(box: Box) -> tuple[np.ndarray, np.ndarray]:
        ao = boxes.values(box, derivatives=2)
        window = np.ix_(box.functions, box.functions)
        of_function = np.zeros((len(box.functions), 3))
        parts = [d[window] for d in densities]
        products = [d @ ao[0] for d in parts]
        rho = np.array([np.einsum("xig,ig->xg", ao[:4], p) for p in products])
        rho[:, 1:] *= 2
        weights = integrator.energy_and_potential(mf.xc, rho)[1] * mf.grids.weights[box.points]
        for density, product, weight in zip(parts, products, weights, strict=True):
            along = density @ np.einsum("xig,xg->ig", ao[1:4], weight[1:])
            along += product * weight[0]
            for x, rows in enumerate(((4, 5, 6), (5, 7, 8), (6, 8, 9))):
                bent = sum(ao[row] * weight[y] for y, row in enumerate(rows, start=1))
                of_function[:, x] += np.einsum("ig,ig->i", ao[1 + x], along)
                of_function[:, x] += np.einsum("ig,ig->i", bent, product)
        return box.functions, of_function

    total = np.zeros((mf.mol.nao, 3))
    for functions, part in over_boxes(one, boxes):
        total[functions] += part
    return -2 * _by_atom(mf.mol, total)
