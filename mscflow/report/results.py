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

from mscflow.reactions.energies import ReactionEnergies
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
            The first valid document of each kind whose job belongs to the campaign itself; those of
            single species of a reaction are left to the summary of the reactions.
        """
        parts: dict[str, Document] = {}
        screenings: list[Document] = []
        problems: list[str] = []
        fields = {name: field.annotation for name, field in cls.model_fields.items()}
        for document in documents:
            output = document.get("output")
            kind = output.get("@class") if isinstance(output, Mapping) else None
            if kind not in KNOWN:
                continue
            model = KNOWN[kind]
            own = (name for name, annotation in fields.items() if annotation == model | None)
            part = next((name for name in own if document.get("name") in _makers(name, jobs)), None)
            is_screening = model is ReactionEnergies and str(document.get("name")).endswith(SCREENING)
            if not is_screening and (part is None or part in parts):
                continue
            try:
                valid = model.model_validate(without_marks(output))
                if is_screening:
                    screenings.append(valid)
                elif part is not None:
                    parts[part] = valid
            except ValidationError as err:
                first = err.errors(include_url=False)[0]
                where = ".".join(str(piece) for piece in first["loc"])
                problems.append(
                    f"document of job {document.get('name')!r} cannot be read: {where}: {first['msg']}"
                )
        lines = [JobLine(**job) for job in jobs]
        return cls(jobs=lines, problems=problems, screenings=screenings, **parts, **facts)

    def job(self, part: str) -> JobLine | None:
        """Return the first job that makes a part, None where the campaign does not ask for it."""
        return next((job for job in self.jobs if job.name.split()[:1] == [PARTS[part]]), None)

    def missing(self) -> list[str]:
        """Return one line for each part that was asked for and is not there, with the reason."""
        lines = []
        for part in PARTS:
            job = self.job(part)
            if job is None or getattr(self, part) is not None:
                continue
            reason = job.error.strip().splitlines()[-1] if job.error.strip() else job.state
            lines.append(f"{part}: {reason}")
        return lines

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
        return list(dict.fromkeys(found))


def _makers(part: str, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the name of the campaign's own job for a part; later ones are species of a reaction."""
    names = [str(job["name"]) for job in jobs]
    if part in ("exchange", "reactions"):
        return [name for name in names if name.split()[:1] == [part] and name.endswith(" energies")]
    return [name for name in names if name.split()[:1] == [PARTS[part]]][:1]
