"""Makers: each gives a task of `mscflow.tasks` a name and turns it into a jobflow job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from jobflow import Job, Maker, job
from pydantic import ValidationError

from mscflow.analysis.spectra import MeasuredSpectrum
from mscflow.cluster import Cluster
from mscflow.earlier import earlier_outputs
from mscflow.levels import Level, parse_level
from mscflow.levels.hessian import HessianMethod
from mscflow.tasks.analyse import Analysis, analyse
from mscflow.tasks.checkpoint import kept_state
from mscflow.tasks.document import TaskDocument, package_versions, without_marks
from mscflow.tasks.excite import Excitations, Method, excitation_input, excite
from mscflow.tasks.refine import Refinement, hessian_hash, refine, refinement_input
from mscflow.tasks.relax import Fixed, Relaxation, fixed_atoms, relax, relaxation_input
from mscflow.tasks.structure import StructureDocument, describe
from mscflow.tasks.vibrate import Vibrations, vibrate

Result = TypeVar("Result", bound=TaskDocument)

STEPS_PER_ATOM = 3
"""Relaxation steps per atom that a soft ligand shell needs, measured on In4P(O2CH)9 (for estimates only)."""

CALLS_PER_VIBRATING_ATOM = 6
"""Energies and gradients of a Hessian, per atom (for estimates only; a network needs about half)."""

EXCITE_PER_ENERGY = 2
"""Time of the excited states in units of an energy and gradient (for estimates only)."""


@dataclass
class StructureMaker(Maker):
    """Check and describe a start structure."""

    name: str = "structure"

    @job(output_schema=StructureDocument)
    def make(self, cluster: Cluster) -> StructureDocument:
        """Return the `StructureDocument` of a cluster."""
        return describe(cluster)


@dataclass
class RelaxMaker(Maker):
    """Relax a cluster; see `mscflow.tasks.relax.relax`."""

    name: str = "relax"
    level: str | Level = "mace:msc-small"
    fmax: float = 0.02
    max_steps: int = 1000
    fixed: Fixed = None
    n_frames: int = 0

    def estimate_s(self, cluster: Cluster) -> float:
        """Return the rough wall time / s."""
        return STEPS_PER_ATOM * len(cluster) * parse_level(self.level).estimate(cluster).time_s

    @job(output_schema=Relaxation)
    def make(self, cluster: Cluster) -> Relaxation:
        """Return the `Relaxation` of a cluster; run again in the same directory, it goes on."""
        level, fixed = parse_level(self.level), fixed_atoms(cluster, self.fixed)
        known = relaxation_input(cluster, level, self.fmax, self.max_steps, fixed)
        found = earlier_result(Relaxation, known, cluster)
        if found is not None and (found.trajectory or not self.n_frames):
            return found
        with kept_state("relax", cluster, level, fixed=fixed) as path:
            return relax(cluster, level, self.fmax, self.max_steps, fixed, path, self.n_frames)


@dataclass
class RefineMaker(Maker):
    """DFT single point or a few geometry steps; see `mscflow.tasks.refine.refine`."""

    name: str = "refine"
    level: str | Level = "pbe-d3bj/def2-svp"
    n_steps: int = 0
    fmax: float = 0.05
    hessian: str | Level | None = "mace:msc-small"

    def estimate_s(self, cluster: Cluster) -> float:
        """Return the rough wall time / s."""
        return (1 + self.n_steps) * parse_level(self.level).estimate(cluster).time_s

    @job(output_schema=Refinement)
    def make(self, cluster: Cluster) -> Refinement:
        """Return the `Refinement` of a cluster; run again in the same directory, it goes on."""
        level = parse_level(self.level)
        known = refinement_input(cluster, level, self.n_steps, self.fmax, self.hessian)
        if (found := earlier_result(Refinement, known, cluster)) is not None:
            return found
        cheap = hessian_hash(self.n_steps, self.hessian)
        with kept_state("refine", cluster, level, hessian=cheap) as path:
            return refine(cluster, level, self.n_steps, self.fmax, state_file=path, hessian=self.hessian)


@dataclass
class AnalyseMaker(Maker):
    """Separations, coordination, binding modes; see `mscflow.tasks.analyse.analyse`."""

    name: str = "analyse"
    of: str = "as given"

    @job(output_schema=Analysis)
    def make(self, cluster: Cluster) -> Analysis:
        """Return the `Analysis` of a cluster."""
        return analyse(cluster, of=self.of)


@dataclass
class ExciteMaker(Maker):
    """Vertical singlet excitations; see `mscflow.tasks.excite.excite`."""

    name: str = "excite"
    level: str | Level = "pbe/def2-svp"
    nstates: int = 10
    method: Method = "tda"
    measured: MeasuredSpectrum | None = None

    def estimate_s(self, cluster: Cluster) -> float:
        """Return the rough wall time / s."""
        factor = 1.0 if self.method.endswith("ris") else EXCITE_PER_ENERGY
        return factor * parse_level(self.level).estimate(cluster).time_s

    @job(output_schema=Excitations)
    def make(self, cluster: Cluster) -> Excitations:
        """Return the `Excitations` of a cluster; run again in the same directory, it goes on."""
        level = parse_level(self.level)
        known = excitation_input(cluster, level, self.nstates, self.method)
        if (found := earlier_result(Excitations, known, cluster)) is not None:
            return found.model_copy(update={"measured": self.measured})
        with kept_state("excite", cluster, level) as path:
            return excite(cluster, level, self.nstates, self.method, state_file=path, measured=self.measured)


@dataclass
class VibrateMaker(Maker):
    """Harmonic vibrations; see `mscflow.tasks.vibrate.vibrate`. Displacements go to the data store."""

    name: str = "vibrate"
    level: str | Level = "mace:msc-small"
    method: HessianMethod | None = None
    fmax: float = 0.05

    def estimate_s(self, cluster: Cluster) -> float:
        """Return the rough wall time / s."""
        return CALLS_PER_VIBRATING_ATOM * len(cluster) * parse_level(self.level).estimate(cluster).time_s

    @job(output_schema=Vibrations, data="displacements")
    def make(self, cluster: Cluster) -> Vibrations:
        """Return the `Vibrations` of a cluster; run again in the same directory, it goes on."""
        level = parse_level(self.level)
        with kept_state("vibrate", cluster, level) as path:
            return vibrate(cluster, level, method=self.method, fmax=self.fmax, state_file=path)


def earlier_result(model: type[Result], input_hash: str, cluster: Cluster) -> Result | None:
    """Return the result of an identical calculation in an earlier run, where jobs may reuse such results.

    Parameters
    ----------
    model
        Kind of document.
    input_hash
        What decides the result: task, structure, level with its files, settings. Versions must agree too.
    cluster
        The start structure, whose name and provenance the result has, as one that is computed would.
    """
    for run, output in earlier_outputs(input_hash):
        try:
            found = model.model_validate(without_marks(output))
        except ValidationError:
            continue
        if found.versions == package_versions():
            own = found.cluster.replace(name=cluster.name, provenance=cluster.provenance)
            return found.model_copy(update={"reused_from": run, "cluster": own})
    return None


def named(maker: Maker, cluster: Cluster, reference: Any = None) -> Job:
    """Return the maker's job for a cluster, named after it, with its estimated time in the metadata.

    Parameters
    ----------
    maker
        One of the Makers above (another Maker gets no estimate).
    cluster
        What the job will work on, for name and estimate.
    reference
        What is passed to the job in place of `cluster`: an output of an earlier job.
    """
    made = maker.make(cluster if reference is None else reference)
    made.name = f"{maker.name} {cluster.name or cluster.formula}"
    if hasattr(maker, "estimate_s"):
        made.update_metadata({"estimate_s": round(maker.estimate_s(cluster), 1)})
    return made
