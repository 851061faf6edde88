"""Atomic charges that hardly depend on the basis: the density shared out like that of the free atoms.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyscf import scf

from mscflow.levels.dft.boxes import Box, over_boxes
from mscflow.levels.dft.scf_checkpoint import spin_densities


def hirshfeld_charges(mf: Any) -> np.ndarray:
    """Return Hirshfeld's charges of the atoms / e, shape (n_atoms,).

    At every point an atom gets the part of the electron density that it has in the sum of the densities of
    neutral, spherical atoms there (Hirshfeld, Theor. Chim. Acta 1977, 44, 129); core electrons of
    pseudopotentials are left out of both.

    Parameters
    ----------
    mf
        PySCF's molecular mean-field object with a `BoxNumInt`.
    """
    mol, integrator = mf.mol, mf._numint
    boxes = integrator.boxes(mol, mf.grids)
    density = spin_densities(mf.make_rdm1()).sum(axis=0)
    free = scf.hf.init_guess_by_atom(mol)
    atom_of_function = np.repeat(np.arange(mol.natm), np.diff(mol.aoslice_by_atom()[:, 2:]).ravel())

    def one(box: Box) -> tuple[np.ndarray, np.ndarray]:
        values = boxes.values(box)[0]
        functions = box.functions
        rho = np.einsum("ig,ig->g", values, density[np.ix_(functions, functions)] @ values)
        owners = atom_of_function[functions]
        atoms, first = np.unique(owners, return_index=True)
        alone = np.where(owners[:, None] == owners, free[np.ix_(functions, functions)], 0.0)
        of_atoms = np.maximum(np.add.reduceat(values * (alone @ values), first), 0.0)
        together = of_atoms.sum(axis=0)
        weight = rho * mf.grids.weights[box.points]
        share = np.divide(weight, together, out=np.zeros_like(weight), where=together > 0)
        return atoms, of_atoms @ share

    electrons = np.zeros(mol.natm)
    for atoms, part in over_boxes(one, boxes):
        electrons[atoms] += part
    electrons *= mol.nelectron / electrons.sum()  # the grid's error
    return np.asarray(mol.atom_charges() - electrons)
