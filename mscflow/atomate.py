"""atomate2 and mscflow in each other's flows, with the same level of theory and the same energy.

atomate2's Makers work on pymatgen molecules and lose charge and multiplicity on the way to ASE
(``AseAtomsAdaptor`` drops them). Both Makers here carry them along.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np
from atomate2.ase.jobs import AseRelaxMaker
from atomate2.ase.schemas import AseResult
from atomate2.ase.utils import TrajectoryObserver
from atomate2.forcefields.jobs import ForceFieldRelaxMaker
from jobflow import Maker, job
from pymatgen.core import Molecule

from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.jobs import STEPS_PER_ATOM
from mscflow.levels import Level, parse_level
from mscflow.tasks.document import input_hash
from mscflow.tasks.relax import Relaxation, bond_warnings, outside, relax

CALCULATOR = {"@module": "mscflow.levels.standalone", "@callable": "LevelCalculator"}
"""The ``force_field_name`` that makes atomate2's force-field Makers use a level of theory of mscflow."""


def calculator_kwargs(level: str | Level, charge: int = 0, multiplicity: int = 1) -> dict[str, Any]:
    """Return the ``calculator_kwargs`` that go with `CALCULATOR`: plain data.

    Parameters
    ----------
    level
        Level of theory, or its text form.
    charge, multiplicity
        Of the molecules; atomate2 does not pass theirs on.
    """
    return {
        "level": parse_level(level).model_dump(mode="json"),
        "charge": charge,
        "multiplicity": multiplicity,
    }


@dataclass
class Atomate2RelaxMaker(Maker):
    """A force-field Maker of atomate2 as the relax step of mscflow's flows.

    Parameters
    ----------
    name
        Name of the job.
    level
        Level of theory: the Maker's own force field is replaced by it.
    maker
        What relaxes, with its optimizer, steps and threshold; by default `ForceFieldRelaxMaker` as it is,
        with the threshold 0.02 eV/Å.
    """

    name: str = "relax"
    level: str | Level = "mace:msc-small"
    maker: ForceFieldRelaxMaker = field(
        default_factory=lambda: ForceFieldRelaxMaker(relax_cell=False, relax_kwargs={"fmax": 0.02})
    )

    def estimate_s(self, cluster: Cluster) -> float:
        """Return the rough wall time / s."""
        return STEPS_PER_ATOM * len(cluster) * parse_level(self.level).estimate(cluster).time_s

    @job(output_schema=Relaxation)
    def make(self, cluster: Cluster) -> Relaxation:
        """Return the `Relaxation` of a cluster."""
        level = parse_level(self.level)
        warnings = level.require(cluster)
        theirs = replace(
            self.maker,
            force_field_name=CALCULATOR,
            calculator_kwargs=calculator_kwargs(level, cluster.charge, cluster.multiplicity),
            relax_kwargs={
                "final_atoms_object_file": None,  # by default a file is left in the working directory
                **self.maker.relax_kwargs,
                "interval": 1,  # a `Relaxation` tells of every force call
                "use_emmet_models": True,
            },
            relax_cell=False,
        )
        started = time.perf_counter()
        result = theirs.run_ase(cluster.to_pymatgen())
        relaxed, energies, forces = _course(cluster, result)
        if self.maker.steps > 1:  # the last geometry is observed twice
            energies, forces = energies[:-1], forces[:-1]
        fmax = float(self.maker.relax_kwargs.get("fmax", 0.1))
        if not result.is_force_converged:
            warnings.append(
                f"not converged: {forces[-1]:.3f} eV/Å after {len(energies)} force calls, asked for {fmax}"
            )
        warnings += bond_warnings(cluster, relaxed)
        extrapolation = level.extrapolation(relaxed)
        warnings += outside(relaxed, level, extrapolation)
        optimizer = self.maker.optimizer_kwargs.get("optimizer", "FIRE")
        return Relaxation(
            input_hash=input_hash(
                "relax", cluster, level, fmax=fmax, max_steps=self.maker.steps, optimizer=str(optimizer)
            ),
            cluster=relaxed,
            level=level,
            level_text=level.text,
            level_hash=level.hash,
            level_description=level.description,
            energy=energies[-1],
            converged=bool(result.is_force_converged),
            n_force_calls=len(energies),
            max_force=forces[-1],
            fmax=fmax,
            energies=energies,
            max_forces=forces,
            optimizer=f"atomate2 {type(self.maker).__name__} ({optimizer})",
            extrapolation=[] if extrapolation is None else np.round(extrapolation, 2).tolist(),
            wall_time_s=time.perf_counter() - started,
            warnings=warnings,
        )


def _course(cluster: Cluster, result: Any) -> tuple[Cluster, list[float], list[float]]:
    """Return the relaxed cluster, and energy / eV and largest force / eV/Å of each geometry."""
    relaxed = cluster.replace(positions=result.final_mol_or_struct.cart_coords)
    energies = [float(energy) for energy in result.trajectory.energy]
    forces = [float(np.linalg.norm(forces, axis=1).max()) for forces in result.trajectory.forces]
    return relaxed, energies, forces


@dataclass
class MoleculeRelaxMaker(AseRelaxMaker):
    """mscflow's relaxation as a relax Maker of atomate2: a molecule in, their task document out.

    Charge and multiplicity are those of the molecule. The trajectory of the document is the relaxed
    structure alone. Their document has no place for warnings: Python's own show them.

    Parameters
    ----------
    name
        Name of the job.
    level
        Level of theory.
    fmax
        Largest force on an atom at the end / eV/Å.
    """

    name: str = "mscflow relaxation"
    relax_cell: bool = False
    steps: int = 1000
    level: str | Level = "mace:msc-small"
    fmax: float = 0.02

    def _get_calculator(self) -> Any:
        """Return a calculator for the name in the document; `run_ase` makes one per molecule."""
        from mscflow.levels.standalone import LevelCalculator

        return LevelCalculator(self.level)

    def run_ase(self, mol_or_struct: Molecule, prev_dir: str | Path | None = None) -> AseResult:  # noqa: ARG002
        """Relax a molecule.

        Raises
        ------
        InputError
            If it is a periodic structure.
        """
        if not isinstance(mol_or_struct, Molecule):
            raise InputError(f"a molecule is needed, not a periodic {type(mol_or_struct).__name__}")
        cluster = Cluster.from_pymatgen(mol_or_struct)
        result = relax(cluster, self.level, fmax=self.fmax, max_steps=self.steps)
        for message in result.warnings:
            warn(f"{cluster.name or cluster.formula}: {message}", stacklevel=2)
        atoms = result.cluster.to_ase()
        atoms.calc = parse_level(self.level).calculator(result.cluster)
        seen = TrajectoryObserver(atoms)
        seen()
        return AseResult(
            final_mol_or_struct=result.cluster.to_pymatgen(),
            final_energy=result.energy,
            trajectory=seen.to_pymatgen_trajectory(filename=None, file_format="pmg"),
            converged=result.converged,
            is_force_converged=result.converged,
            energy_downhill=result.energy < result.energies[0],
            dir_name=str(Path.cwd()),
            elapsed_time=result.wall_time_s,
        )
