"""Tables of how results were obtained: levels of theory, jobs, versions."""

from __future__ import annotations

from datetime import UTC, datetime

from mscflow.reactions.energies import ReactionEnergies
from mscflow.report.results import CampaignResults
from mscflow.report.tables.table import Table


def levels_table(results: CampaignResults) -> Table:
    """Return the level of theory of each part."""
    parts = (
        ("relaxation", results.relaxation),
        ("vibrations", results.vibrations),
        ("refinement", results.refinement),
        ("exchange energies", results.exchange),
        ("reaction energies", results.reactions),
        ("excitations", results.excitations),
    )
    rows = [
        (
            part,
            document.energy_level if isinstance(document, ReactionEnergies) else document.level_text,
            document.level_description,
            ", ".join(found[:12] for found in document.level_hash.split(", ")) or "–",
        )
        for part, document in parts
        if document is not None
    ]
    return Table("levels", "Levels of theory", ("part", "level", "description", "hash"), rows)


def jobs_table(results: CampaignResults) -> Table:
    """Return all jobs with state and time."""
    rows = [
        (
            job.name,
            job.state,
            f"{job.wall_time_s:.1f}" if job.wall_time_s is not None else "–",
            str(job.n_attempts),
            datetime.fromtimestamp(job.started, UTC).strftime("%Y-%m-%d %H:%M:%S") if job.started else "–",
            job.error.strip().splitlines()[-1] if job.error.strip() else "–",
        )
        for job in results.jobs
    ]
    columns = ("job", "state", "wall time / s", "attempts", "started (UTC)", "error")
    return Table("jobs", "Jobs", columns, rows)


def versions_table(results: CampaignResults) -> Table:
    """Return package versions and input hashes."""
    documents = [
        (part, document)
        for part in (
            "structure",
            "relaxation",
            "analysis",
            "vibrations",
            "refinement",
            "exchange",
            "reactions",
            "excitations",
        )
        if (document := getattr(results, part)) is not None
    ]
    rows = [
        (
            part,
            ", ".join(f"{package} {version}" for package, version in document.versions.items()),
            document.input_hash[:16],
        )
        for part, document in documents
    ]
    return Table("versions", "Versions and input hashes", ("part", "packages", "input hash"), rows)
