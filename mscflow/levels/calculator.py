"""PySCF as an ASE calculator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

if TYPE_CHECKING:
    from mscflow.cluster import Cluster
    from mscflow.levels.pyscf import PySCF
    from mscflow.levels.scf import GroundState


class PySCFCalculator(Calculator):
    """Energy / eV and forces / eV/Å of a cluster; each geometry starts from the density before it.

    Parameters
    ----------
    cluster
        Charge, multiplicity and elements; the positions are those of the atoms.
    level
        The level of theory.
    density
        Spin densities from which the first geometry starts, shape (2, n_basis, n_basis).
    keep
        File for the density of a calculation that is going on; see `mscflow.levels.scf_checkpoint`.

    Attributes
    ----------
    states
        Ground states so far, without their PySCF objects but for the last.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(
        self, cluster: Cluster, level: PySCF, density: np.ndarray | None = None, keep: Path | None = None
    ) -> None:
        super().__init__()
        self.cluster = cluster
        self.level = level
        self.density = density
        self.keep = keep
        self.states: list[GroundState] = []

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: Any = all_changes,
    ) -> None:
        """Compute the ground state of the atoms' positions, and forces where they are asked for."""
        from mscflow.levels.scf import forces, ground_state

        super().calculate(atoms, properties, system_changes)
        if not self.states or system_changes:
            density = self.states[-1].density if self.states else self.density
            cluster = self.cluster.replace(positions=self.atoms.positions)
            state = ground_state(cluster, self.level, density=density, keep=self.keep)
            if self.states:
                self.states[-1].mf = None  # orbitals and integrals of the geometry before
            self.states.append(state)
        self.results["energy"] = self.states[-1].energy
        if "forces" in (properties or ()) and "forces" not in self.results:
            self.results["forces"] = np.asarray(forces(self.states[-1]))
