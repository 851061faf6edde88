"""PySCF as an ASE calculator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

if TYPE_CHECKING:
    from mscflow.cluster import Cluster
    from mscflow.levels.dft.scf import GroundState
    from mscflow.levels.pyscf import PySCF


class PySCFCalculator(Calculator):
    """Energy / eV and forces / eV/Å of a cluster; each geometry starts from the density before it.

    Parameters
    ----------
    cluster
        Charge, multiplicity and elements; the positions are those of the atoms.
    level
        The level of theory.
    density
        Spin densities from which the first geometry starts, shape (2, n_basis, n_basis); later those of the
        geometry before.
    keep
        File for the density of a calculation that is going on; see `mscflow.levels.dft.scf_checkpoint`.

    Attributes
    ----------
    conv_tol
        Threshold of the SCF / Eh of the geometries to come, where it is not the level's.
    is_loose
        Whether the last geometry was computed with such a threshold.
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
        self.conv_tol: float | None = None
        self.is_loose = False
        self._again = False
        self.states: list[GroundState] = []

    def forget(self) -> None:
        """Compute the last geometry again when it is asked for next, from its density."""
        self.results.clear()
        self._again = True

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: Any = all_changes,
    ) -> None:
        """Compute the ground state of the atoms' positions, and forces where they are asked for."""
        from mscflow.levels.dft.scf import forces, ground_state

        super().calculate(atoms, properties, system_changes)
        if not self.states or system_changes or self._again:
            self._again = True  # until the field has converged: ASE has taken the new positions
            if self.states and self.states[-1].mf is not None:
                self.density = self.states[-1].density
                self.states[-1].mf = None  # orbitals and integrals of the geometry before
            cluster = self.cluster.replace(positions=self.atoms.positions)
            state = ground_state(cluster, self.level, self.density, keep=self.keep, conv_tol=self.conv_tol)
            self.states.append(state)
            self.is_loose, self._again = self.conv_tol is not None, False
        self.results["energy"] = self.states[-1].energy
        if "forces" in (properties or ()) and "forces" not in self.results:
            self.results["forces"] = np.asarray(forces(self.states[-1]))
