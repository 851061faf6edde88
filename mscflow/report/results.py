"""What a report is made of: the documents of a run, validated.

Documents in a store are untrusted: each is read into one of the known models by name, and nothing is
imported or executed on their behalf. One that does not validate becomes a problem shown in the report.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mscflow.reactions.energies import ReactionEnergies, ReactionEnergy
from mscflow.reactions.stability import are_free
from mscflow.tasks.analyse import Analysis
from mscflow.tasks.document import Document, without_marks
from mscflow.tasks.excite import Excitations
from mscflow.tasks.refine import Refinement
from mscflow.tasks.relax import Relaxation
from mscflow.tasks.structure import StructureDocument
from mscflow.tasks.vibrate import Vibrations

KNOWN: dict[str, type[Document]] = {
    model.__name__: model
    for model in (
        StructureDocument,
        Relaxation,
        Refinement,
        Analysis,
        Vibrations,
        Excitations,
        ReactionEnergies,
    )
}
"""Documents a report can show, by class name."""

SCREENING = " screening"
"""How the name of a job ends that ranks all candidates of a funnel."""

PARTS = {
    "structure": "structure",
    "relaxation": "relax",
    "analysis": "analyse",
    "vibrations": "vibrate",
    "refinement": "refine",
    "exchange": "exchange",
    "reactions": "reactions",
    "excitations": "excite",
}
"""Part of the report and first word of the job that makes it."""

REACTION_PARTS = ("exchange", "reactions")
"""Parts that are reaction energies."""


def _machine() -> str:
    memory = math.ceil(psutil.virtual_memory().total / 1024**3)
    return f"{psutil.cpu_count()} cores, {memory} GiB, {platform.system()} {platform.machine()}"


class JobLine(BaseModel):
    """One job of the run.

    Attributes
    ----------
    name, state, error, host
        Name, state (waiting, running, done, failed, skipped, stopped), reason of a failure, machine.
    wall_time_s, started, ended
        Wall time / s; times / s since the epoch.
    n_attempts
        How often it was started.
    uuid
        Identity in jobflow's sense; without it jobs and documents are told apart by name.
    is_own
        Whether the flow began with it, or a job that it replaced; others came into being on the way.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    state: str
    wall_time_s: float | None = None
    n_attempts: int = 0
    error: str = ""
    started: float | None = None
    ended: float | None = None
    host: str = ""
    uuid: str = ""
    is_own: bool = True

    @property
    def word(self) -> str:
        """First word of the name."""
        return self.name.partition(" ")[0]

    @property
    def reason(self) -> str:
        """Why it failed, in one line; its state where there is no reason."""
        return self.error.strip().splitlines()[-1] if self.error.strip() else self.state

    def made(self, document: Mapping[str, Any]) -> bool:
        """Return whether a document of the store is this job's."""
        key, known = ("uuid", self.uuid) if self.uuid else ("name", self.name)
        return document.get(key) == known


class CampaignResults(BaseModel):
    """Everything a report shows.

    Attributes
    ----------
    name
        Name of the campaign.
    campaign
        The campaign file.
    created
        Start of the run / s since the epoch.
    fwhm
        Width of the Gaussians of the spectrum / eV.
    structure, relaxation, refinement, analysis, vibrations, exchange, reactions, excitations
        The parts that are there.
    screenings
        Energies of all candidates, where only the best were refined.
    jobs
        All jobs.
    problems
        Documents that could not be read, and why.
    machine
        The machine that made the report.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    campaign: str = ""
    created: float = 0.0
    fwhm: float = 0.2
    structure: StructureDocument | None = None
    relaxation: Relaxation | None = None
    refinement: Refinement | None = None
    analysis: Analysis | None = None
    vibrations: Vibrations | None = None
    exchange: ReactionEnergies | None = None
    reactions: ReactionEnergies | None = None
    excitations: Excitations | None = None
    screenings: list[ReactionEnergies] = Field(default_factory=list)
    jobs: list[JobLine] = Field(default_factory=list)
    problems: list[str] = Field(default_factory=list)
    machine: str = Field(default_factory=_machine)

    @classmethod
    def from_documents(
        cls, documents: Sequence[Mapping[str, Any]], jobs: Sequence[Mapping[str, Any]] = (), **facts: Any
    ) -> CampaignResults:
        """Read the output documents of a run's jobs.

        Parameters
        ----------
        documents
            As they lie in the store: ``name`` of the job and ``output``.
        jobs
            Fields of `JobLine` for every job.
        facts
            Other fields.

        Returns
        -------
        CampaignResults
            The first valid document of each kind whose job belongs to the flow itself; those of single
            species of a reaction are left to the reaction energies. Of these, whatever the name of their
            job, the last that hold exchanges and the last of other reactions.
        """
        lines = [JobLine(**job) for job in jobs]
        parts: dict[str, Document] = {}
        screenings: list[Document] = []
        problems: list[str] = []
        for document in documents:
            output = document.get("output")
            kind = output.get("@class") if isinstance(output, Mapping) else None
            if kind not in KNOWN:
                continue
            model, name = KNOWN[kind], str(document.get("name"))
            part = part_of(model)
            if part is not None:
                job = _own_job(part, lines)
                if part in parts or job is None or not job.made(document):
                    continue
            try:
                valid = model.model_validate(without_marks(output))
            except ValidationError as err:
                first = err.errors(include_url=False)[0]
                where = ".".join(str(piece) for piece in first["loc"])
                problems.append(f"document of job {name!r} cannot be read: {where}: {first['msg']}")
                continue
            if part is not None:
                parts[part] = valid
            elif name.endswith(SCREENING):
                screenings.append(valid)
            elif isinstance(valid, ReactionEnergies) and name != f"at {valid.geometry_level} energies":
                part = part_of_energies(valid, name)
                if part in parts:
                    problems.append(f"{part}: only the energies of the last job, {name!r}, are shown")
                parts[part] = valid
        problems += _not_shown(lines)
        return cls(jobs=lines, problems=problems, screenings=screenings, **parts, **facts)

    def job(self, part: str) -> JobLine | None:
        """Return the first job that makes a part, None where the campaign does not ask for it."""
        return _own_job(part, self.jobs)

    def missing(self) -> list[str]:
        """Return one line for each part that was asked for and is not there, with the reason."""
        return [
            f"{part}: {self._reason(part, job)}"
            for part in PARTS
            if (job := self.job(part)) is not None and getattr(self, part) is None
        ]

    def _reason(self, part: str, job: JobLine) -> str:
        """Return why a part is not there: what became of its job, or of those that job was replaced by."""
        if job.state != "done":
            return job.reason
        later = [other for other in self.jobs if part in REACTION_PARTS and other.word == job.word]
        for state in ("failed", "skipped", "stopped", "running", "waiting"):
            for other in later:
                if other.state == state:
                    return f"job {other.name!r}: {other.reason}"
        return "no document that can be read"

    def warnings(self) -> list[str]:
        """Return all warnings of the parts, what is missing, and what could not be read."""
        found = [f"Not there: {line}" for line in self.missing()] + list(self.problems)
        for part in PARTS:
            document = getattr(self, part)
            if document is not None:
                found += [f"{part}: {warning}" for warning in document.warnings]
                if run := getattr(document, "reused_from", ""):
                    found.append(f"{part}: taken from the run {run}, not computed here")
        for part in ("exchange", "reactions"):
            energies: ReactionEnergies | None = getattr(self, part)
            if energies is not None:
                found += [f"{part}: {line}" for line in energies.failed]
        for energies in (self.exchange, *self.screenings):
            found += _lower_arrangements(energies)
        return list(dict.fromkeys(found))


def part_of(model: type[Document]) -> str | None:
    """Return the part that a kind of document makes; None where its content decides, or for none."""
    fields = CampaignResults.model_fields
    return next(
        (part for part in PARTS if part not in REACTION_PARTS and fields[part].annotation == model | None),
        None,
    )


def part_of_energies(energies: ReactionEnergies, job: str = "") -> str:
    """Return the part of reaction energies: exchange, or other reactions.

    Parameters
    ----------
    energies
        Reaction energies.
    job
        Name of their job, which decides where there is no reaction.
    """
    is_exchange = any(row.ion and not row.kind for row in energies.reactions)
    by_name = not energies.reactions and job.startswith("exchange")
    return "exchange" if is_exchange or by_name else "reactions"


def comparable(energies: ReactionEnergies | None) -> dict[tuple[str, int, str], list[ReactionEnergy]]:
    """Return the reactions whose energies may be compared, by `group`, number of ions and level.

    Those with changed species are left out, unless there are no others.
    """
    if energies is None:
        return {}
    found: dict[tuple[str, int, str], list[ReactionEnergy]] = {}
    for row in energies.reactions:
        found.setdefault((row.group, row.n, row.level or energies.energy_level), []).append(row)
    return {key: [row for row in rows if not row.changed] or rows for key, rows in sorted(found.items())}


def rough_levels(energies: ReactionEnergies | None) -> list[str]:
    """Return the levels of some energies at which ions cannot be compared: all but density functionals."""
    texts = [] if energies is None else energies.energy_level.split(", ")
    return [text for text in texts if text.startswith(("mace:", "gfn"))]


def excitation_level(excitations: Excitations) -> str:
    """Return the method of excitations, without its details, and their level."""
    method = excitations.method.removeprefix("singlet ").partition(" (")[0]
    return f"{method}, {excitations.level_text}"


def cost_name(energies: ReactionEnergies, ion: str) -> str:
    """Return what the costs of an ion in `mscflow.reactions.stability.compositions` are."""
    return f"ΔG({energies.temperature or 0:g} K)" if are_free(energies, ion) else "ΔE"


def _lower_arrangements(energies: ReactionEnergies | None) -> list[str]:
    """Return a line where another arrangement of the ligands lies lower than the first, which is analysed."""
    if energies is None:
        return []
    by_level: dict[str, dict[int, float]] = {}
    for row in energies.reactions:
        by_level.setdefault(row.level or energies.energy_level, {})[row.arrangement] = row.offset
    lines = []
    for level, offsets in by_level.items():
        lowest = min(offsets, key=lambda number: offsets[number])
        if 1 in offsets and offsets[lowest] < offsets[1]:
            difference = offsets[1] - offsets[lowest]
            lines.append(
                f"exchange: arrangement {lowest} of the ligands is {difference:.2f} eV lower than the "
                f"structure that is analysed, at {level}"
            )
    return lines


def _own_job(part: str, jobs: Sequence[JobLine]) -> JobLine | None:
    """Return the flow's own job for a part; those of species came into being on the way."""
    return next((job for job in jobs if job.is_own and job.word == PARTS[part]), None)


def _not_shown(jobs: Sequence[JobLine]) -> list[str]:
    """Return a line for each part of which the flow has more: other clusters, not other arrangements."""
    found = []
    for part in PARTS:
        names = {
            job.uuid or job.name: job.name
            for job in jobs
            if job.is_own and job.word == PARTS[part] and " (arrangement " not in job.name
        }
        shown, *others = names.values() or [""]
        if others and part not in REACTION_PARTS:
            found.append(f"{part}: that of {shown!r} is shown, {len(others)} further of this run are not")
    return found
