"""A solvent as a continuum around the molecule: PySCF's C-PCM and SMD in less time and memory.

Surface charges come from `mscflow.levels.dft.surface_charges`; integrals of surface points and pairs of basis
functions are kept where there is memory. Energies and gradients are those of PySCF, but for SMD of elements
with core potentials, which PySCF takes for elements with fewer electrons.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from ase.data import atomic_numbers
from ase.units import Bohr
from pyscf import gto
from pyscf.solvent import pcm, smd

from mscflow.levels.dft.coulomb_gradient import interaction_gradient
from mscflow.levels.dft.pair_integrals import PairIntegrals
from mscflow.levels.dft.surface_charges import Surface, SurfaceCharges
from mscflow.levels.memory import GIB
from mscflow.levels.pyscf import SOLVENTS, PySCF

if TYPE_CHECKING:
    from mscflow.cluster import Cluster

CACHED = ("points", "of_nuclei", "integrals", "charges", "tension")
"""What a solvent works out once for a geometry."""

MATRICES = {"c-pcm": 1, "smd": 4}
"""Number of matrices of all pairs of points that live together."""


def solvent(mol: gto.Mole, level: PySCF, memory_gib: float) -> Conductor:
    """Return the solvent of a level around a molecule.

    Parameters
    ----------
    mol, level
        The molecule; a level with a solvent.
    memory_gib
        Memory for integrals / GiB.
    """
    return (Minnesota if level.solvation == "smd" else Conductor)(mol, level, memory_gib)


@lru_cache(maxsize=16)
def n_points(cluster: Cluster, level: PySCF) -> int:
    """Return the number of points on the surface of a cluster in the solvent of a level; 0 without one."""
    if level.solvent is None:
        return 0
    atoms = SimpleNamespace(
        natm=len(cluster), elements=cluster.symbols, atom_coords=lambda **_: cluster.positions / Bohr
    )
    return len(_surface(atoms, level))


def surface_gib(cluster: Cluster, level: PySCF) -> float:
    """Return the memory that the charges on the surface of a cluster take / GiB."""
    return MATRICES[level.solvation] * 8 * n_points(cluster, level) ** 2 / GIB


def optical_constant(level: PySCF) -> float:
    """Return the dielectric constant of a level's solvent at the frequency of light, n²."""
    return float(smd.solvent_db[level.solvent][0]) ** 2


def _surface(atoms: Any, level: PySCF) -> Surface:
    """Return the surface of a molecule's cavity, cut into points as PySCF does by default."""
    if level.solvation == "smd":
        acidity = smd.solvent_db[level.solvent][2]
        return Surface(pcm.gen_surface(atoms, ng=590, rad=smd.smd_radii(acidity)))
    return Surface(pcm.gen_surface(atoms, ng=302, rad=1.2 * pcm.modified_Bondi))


class Conductor(pcm.PCM):
    """C-PCM (Barone & Cossi, J. Phys. Chem. A 1998, 102, 1995).

    Parameters
    ----------
    mol, level, memory_gib
        See `solvent`.
    """

    _keys: ClassVar[set[str]] = {
        "level",
        "memory_gib",
        "epsilon",
        *CACHED,
    }  # PySCF asks for names of attributes

    def __init__(self, mol: gto.Mole, level: PySCF, memory_gib: float) -> None:
        super().__init__(mol)
        self.level, self.memory_gib, self.verbose = level, memory_gib, 0
        self.epsilon = SOLVENTS[str(level.solvent)]

    def fast(self) -> Conductor:
        """Return the part of the solvent that follows light: its electrons (ε = n²), not its molecules."""
        found = self.copy()
        found.__dict__.pop("charges", None)
        found.epsilon, found.equilibrium_solvation = optical_constant(self.level), False
        return found

    def reset(self, mol: gto.Mole | None = None) -> Conductor:
        """Forget the cavity, for another geometry for example."""
        super().reset(mol)
        for name in CACHED:
            self.__dict__.pop(name, None)
        return self

    @cached_property
    def points(self) -> Surface:
        """Points of the cavity's surface."""
        return _surface(self.mol, self.level)

    @cached_property
    def of_nuclei(self) -> np.ndarray:
        """Potential of the nuclei at the points / Eh/e, shape (n_points,)."""
        return np.asarray(self.mol.atom_charges() @ self._with_nuclei("int2c2e"))

    @cached_property
    def integrals(self) -> PairIntegrals:
        """Integrals of the points and pairs of basis functions."""
        return PairIntegrals(self.mol, self.points.charges(), self.memory_gib)

    @cached_property
    def charges(self) -> SurfaceCharges:
        """The charges at any potential."""
        return SurfaceCharges(self.points, self.epsilon, is_conductor=self.level.solvation == "c-pcm")

    def grad(self, dm: np.ndarray) -> np.ndarray:
        """Return the contribution of the solvent to the gradient / Eh/bohr, shape (n_atoms, 3).

        Parameters
        ----------
        dm
            Total density matrix, shape (n_basis, n_basis).
        """
        potential = self._potential(dm[None])
        answer = self.charges.answer(potential)[0]
        of_atoms, of_points = interaction_gradient(self.mol, self.integrals.auxiliary, dm, answer)
        nuclear = self.mol.atom_charges()
        of_atoms += np.einsum("n,xng,g->nx", nuclear, self._with_nuclei("int2c2e_ip1"), answer)
        of_points += np.einsum(
            "n,xgn,g->gx", nuclear, self._with_nuclei("int2c2e_ip1", points_move=True), answer
        )
        return self.charges.gradient(potential[0]) - of_atoms - self.points.by_atom(of_points)

    def _with_nuclei(self, name: str, points_move: bool = False) -> np.ndarray:
        """Return integrals of unit charges at the nuclei with the points, the one that moves first."""
        nuclei = gto.fakemol_for_charges(self.mol.atom_coords())
        pair = (nuclei, self.integrals.auxiliary)
        return np.asarray(gto.mole.intor_cross(name, *(pair[::-1] if points_move else pair)))

    def _potential(self, densities: np.ndarray) -> np.ndarray:
        """Return the potential of nuclei and electrons at the points / Eh/e, shape (n, n_points)."""
        return self.of_nuclei - self.integrals.project(densities)

    def _get_vind(self, dms: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy of the charges / Eh and their potential matrix."""
        density = np.reshape(dms, (-1, self.mol.nao, self.mol.nao)).sum(axis=0)
        potential = self._potential(density[None])
        answer = self.charges.answer(potential)
        return float(0.5 * answer[0] @ potential[0]), -self.integrals.expand(answer)[0]

    def response(self, dms: np.ndarray) -> np.ndarray:
        """Return the changes of the potential matrix with changes of the density, of the same shape."""
        densities = np.reshape(dms, (-1, self.mol.nao, self.mol.nao))
        answer = self.charges.answer(-self.integrals.project(densities))
        return -self.integrals.expand(answer).reshape(np.shape(dms))

    _B_dot_x = response  # PySCF's name


class Minnesota(Conductor):
    """SMD (Marenich, Cramer & Truhlar, J. Phys. Chem. B 2009, 113, 6378).

    Parameters
    ----------
    mol, level, memory_gib
        See `solvent`.
    """

    def __init__(self, mol: gto.Mole, level: PySCF, memory_gib: float) -> None:
        super().__init__(mol, level, memory_gib)
        self.method = "SMD"  # PySCF then adds `get_cds`

    def get_cds(self) -> float:
        """Return the energy of cavity, dispersion and solvent structure / Eh."""
        return float(self.tension[0])

    def grad(self, dm: np.ndarray) -> np.ndarray:
        """Return the contribution of the solvent to the gradient / Eh/bohr, shape (n_atoms, 3)."""
        return super().grad(dm) + self.tension[1]

    @cached_property
    def tension(self) -> tuple[float, np.ndarray]:
        """Energy / Eh and gradient / Eh/bohr of the tension of the surface."""
        numbers = [atomic_numbers[self.mol.atom_pure_symbol(i)] for i in range(self.mol.natm)]
        atoms = SimpleNamespace(
            natm=self.mol.natm,
            atom_charges=lambda: numbers,  # a Mole does not count electrons of core potentials
            atom_coords=self.mol.atom_coords,
        )
        name = self.level.solvent
        table = SimpleNamespace(mol=atoms, solvent=name, solvent_descriptors=smd.solvent_db[name])
        energy, gradient = smd.get_cds_legacy(table)
        return energy, gradient
