"""A first density for clusters of polar bonds: between that of their ions and that of their atoms.

Neutral atoms put electrons of carboxylates at the wrong place, formal ions those of In–P and In–Cl bonds;
either way the first cycles swing by hundreds of hartree. Each ion and each ligand is solved by itself with
its formal charge, each atom as such; the sum of both is nearly the density of the cluster.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyscf import gto, scf

from mscflow.chemistry import ANIONS, IONS, METALS
from mscflow.cluster import Cluster
from mscflow.levels.dft.molecule import molecule
from mscflow.levels.pyscf import PySCF
from mscflow.topology import topology

FRAGMENT_CONV_TOL = 1e-4
FRAGMENT_MAX_CYCLE = 12
"""A fragment's density need not be better than the superposition is: loose threshold / Eh, few cycles."""


NEUTRAL = 0.6
"""Weight of the neutral atoms: a sixth fewer cycles than with ions alone, a third with chlorides."""


@dataclass(frozen=True)
class Fragment:
    """Part of a cluster that is solved by itself.

    Parameters
    ----------
    atoms
        Indices, ascending.
    charge
        Formal charge / e.
    multiplicity
        Spin multiplicity 2S + 1.
    """

    atoms: tuple[int, ...]
    charge: int
    multiplicity: int = 1


def fragments(cluster: Cluster) -> list[Fragment]:
    """Return the ions and ligands of a cluster, which together are all its atoms."""
    graph = topology(cluster)
    spins = {ion.element: ion.multiplicity for ion in IONS.values()}
    symbols = cluster.symbols
    parts = [Fragment((i,), METALS[symbols[i]], spins.get(symbols[i], 1)) for i in graph.metals]
    parts += [Fragment((i,), ANIONS[symbols[i]]) for i in graph.core_anions]
    for ligand in graph.fragments:
        n_electrons = int(cluster.numbers[list(ligand.atoms)].sum()) - ligand.charge
        parts.append(Fragment(ligand.atoms, ligand.charge, 1 + n_electrons % 2))
    return parts


def initial_density(cluster: Cluster, level: PySCF, mol: gto.Mole) -> tuple[np.ndarray, str]:
    """Return spin densities (2, n_basis, n_basis) in the basis of `mol`, and the name of the guess.

    Without metals there are no ions: PySCF's ``minao`` guess is returned. Open shells start from ions alone,
    whose spin is at its place.
    """
    parts = fragments(cluster)
    if len(parts) < 2:
        density = scf.UHF(molecule(cluster, level)).get_init_guess(key="minao", s1e=None)
        return _with_electrons(density, mol), "minao"
    density = np.zeros((2, mol.nao, mol.nao))
    ranges = mol.aoslice_by_atom()[:, 2:]
    solved: dict[tuple, np.ndarray] = {}
    for part in parts:
        functions = np.concatenate([np.arange(*ranges[i]) for i in part.atoms])
        key = (cluster.symbols[part.atoms[0]], part.charge, part.multiplicity)
        if len(part.atoms) > 1 or key not in solved:
            solved[key] = _solve(cluster, level, part)
        density[:, functions[:, None], functions] = solved[key]
    if cluster.multiplicity > 1:
        return _with_electrons(density, mol), "ions and ligands"
    atoms = scf.hf.init_guess_by_atom(molecule(cluster, level))
    mixed = (1 - NEUTRAL) * density + NEUTRAL / 2 * np.asarray(atoms)
    return _with_electrons(mixed, mol), "ions, ligands and atoms"


def _solve(cluster: Cluster, level: PySCF, part: Fragment) -> np.ndarray:
    """Return the Hartree–Fock spin densities of one fragment."""
    piece = cluster.select(part.atoms, charge=part.charge, multiplicity=part.multiplicity)
    mol = molecule(piece, level)
    method = scf.RHF(mol) if part.multiplicity == 1 else scf.UHF(mol)
    method.conv_tol = FRAGMENT_CONV_TOL
    method.max_cycle = FRAGMENT_MAX_CYCLE
    method.chkfile = None
    method.kernel()
    density = np.asarray(method.make_rdm1())
    return np.array([density, density]) / 2 if density.ndim == 2 else density


def _with_electrons(density: np.ndarray, mol: gto.Mole) -> np.ndarray:
    """Scale spin densities to the numbers of electrons of the molecule.

    Formal charges and high spins add up to those of the cluster in the usual case; where they do not,
    the difference is spread over all fragments.
    """
    overlap = mol.intor_symmetric("int1e_ovlp")
    counts = np.einsum("sij,ji->s", density, overlap)
    wanted = np.array(mol.nelec, dtype=float)
    if wanted[0] == wanted[1]:
        density = np.array([density.mean(axis=0)] * 2)
        counts[:] = counts.mean()
    return density * (wanted / np.maximum(counts, 1e-9))[:, None, None]
