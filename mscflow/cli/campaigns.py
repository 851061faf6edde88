"""Commands on campaigns: run, resume, report, compare, fetch."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from mscflow.cli.arguments import Json
from mscflow.cli.limits import Memory, Walltime, limit_memory, limit_time
from mscflow.cli.output import show_json, show_table, warn
from mscflow.cli.status import jobs_of
from mscflow.errors import CalculationError, InputError, OutOfTimeError

if TYPE_CHECKING:
    from jobflow import Job

    from mscflow.executors import JobRow, Site
    from mscflow.executors.remote import Remote
    from mscflow.report import CampaignResults

Directory = Annotated[Path, typer.Argument(help="Run directory.")]
Workers = Annotated[int, typer.Option(min=1, help="Jobs that run side by side; they share the cores.")]
SiteFile = Annotated[
    Path | None, typer.Option("--site", help="YAML file of a batch system; templates lie in hpc/.")
]
REPORT_FILE = "report.html"
MIN_COMPARED = 2


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog="Example: mscflow run inputs/quickstart.yaml --dir runs/quickstart")(run)
    app.command(epilog="Example: mscflow resume runs/quickstart")(resume)
    app.command(epilog="Example: mscflow report runs/quickstart")(report)
    app.command(epilog="Example: mscflow fetch runs/quickstart")(fetch)
    app.command(epilog="Example: mscflow compare runs/formate runs/acetate -o comparison.html")(compare)


def run(
    campaign: Annotated[Path, typer.Argument(help="Campaign file (YAML).")],
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Run directory; by default runs/NAME.")
    ] = None,
    executor: Annotated[
        str, typer.Option(help="Where jobs run: local, or with --site: slurm, pbs, lsf, sge or remote.")
    ] = "local",
    site: SiteFile = None,
    workers: Workers = 1,
    walltime: Walltime = None,
    memory: Memory = None,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Take identical calculations from the runs beside this one.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show jobs and their estimated cost only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a campaign, or go on with it where its directory exists."""
    from mscflow.campaign import load_campaign
    from mscflow.cli.progress import Progress
    from mscflow.executors import Site
    from mscflow.executors import run as run_flow
    from mscflow.executors.remote import Remote, submit

    where = _where(executor, site)
    _require_no_limits(site, walltime, memory)
    if campaign.is_dir():
        raise InputError(
            f"{campaign}: a directory, no campaign file: a run goes on with mscflow resume {campaign}"
        )
    settings = load_campaign(campaign)
    cluster = settings.cluster(campaign.parent)
    warn(settings.require(cluster))
    flow = settings.flow(cluster, campaign.parent)
    if dry_run:
        rows = [{"job": job.name, "estimated time / s": _estimate_s(job)} for job in flow.jobs]
        show_json(rows) if as_json else _show_estimates(f"{settings.name}: {cluster.formula}", rows)
        if isinstance(where, Site) and not as_json:
            _show_scripts(where)
        return
    place = directory or Path("runs") / settings.name
    if isinstance(where, Remote):
        _require_plain(reuse, workers, as_json)
        numbers = submit(flow, where, place, campaign.read_text())
        typer.echo(
            f"jobs {', '.join(numbers)} are in jobflow-remote: `jf job list`; `jf runner start` runs them"
        )
        typer.echo(f"results so far: mscflow fetch {place}")
        return
    limit_time(walltime)
    limit_memory(memory)
    with Progress(settings.name) as progress:
        run_flow(
            flow,
            where,
            place,
            campaign=campaign.read_text(),
            on_event=progress.update,
            n_workers=workers,
            reuse=reuse,
            source=settings.source(campaign.parent),
        )
    _conclude(place, as_json)


def resume(
    directory: Directory,
    executor: Annotated[str, typer.Option(help="Where jobs run: local, or slurm with --site.")] = "local",
    site: SiteFile = None,
    workers: Workers = 1,
    walltime: Walltime = None,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped; finished jobs are not repeated, failed ones are tried again."""
    from mscflow.cli.progress import Progress
    from mscflow.executors import require_run
    from mscflow.executors import resume as resume_flow
    from mscflow.executors.remote import Remote

    require_run(directory)
    where = _where(executor, site)
    if isinstance(where, Remote):
        raise InputError(f"a run on jobflow-remote goes on by itself: mscflow fetch {directory}")
    _require_no_limits(site, walltime, memory)
    limit_time(walltime)
    limit_memory(memory)
    with Progress(directory.name) as progress:
        resume_flow(directory, where, on_event=progress.update, n_workers=workers)
    _conclude(directory, as_json)


def fetch(directory: Directory, as_json: Json = False) -> None:
    """Bring states and results of a campaign on jobflow-remote into its run directory."""
    from mscflow.executors.remote import fetch as fetch_run

    counts = fetch_run(directory)
    path = _write_report(directory)
    if as_json:
        show_json({"report": str(path), "jobs": {str(state): n for state, n in counts.items()}})
    else:
        typer.echo(", ".join(f"{n} {state}" for state, n in counts.items()))
        typer.echo(f"Report: {path}")


def report(
    directory: Directory,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    images: Annotated[
        Literal["svg", "png", "pdf"] | None, typer.Option("--images", help="Write every plot as a file, too.")
    ] = None,
) -> None:
    """Write the report of a run, finished or not."""
    from mscflow.report import write_images, write_report

    results = results_of(directory)
    path = write_report(results, output or directory / REPORT_FILE)
    typer.echo(path)
    if images is not None:
        for image in write_images(results, path.parent / "images", images):
            typer.echo(image)


def compare(
    directories: Annotated[list[Path], typer.Argument(help="Run directories, two or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("comparison.html"),
) -> None:
    """Write one page that compares several runs, finished or not."""
    from mscflow.report import write_comparison

    if len(directories) < MIN_COMPARED:
        raise InputError("one run has nothing to be compared with: give two or more directories")
    typer.echo(write_comparison([results_of(directory) for directory in directories], output))


def _estimate_s(job: Job) -> float | None:
    """Return the estimated time / s, None where the job itself finds out what is to be computed."""
    from mscflow.jobs.reactions import EnergyMaker

    return None if isinstance(job.maker, EnergyMaker) else float(job.metadata.get("estimate_s", 0.0))


def _show_estimates(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the estimated time of each job, and their sum."""
    show_table(title, rows)
    times = [row["estimated time / s"] for row in rows]
    typer.echo(f"in all {sum(time for time in times if time is not None):.0f} s on this machine")
    if None in times:
        typer.echo("without –: species of exchanges and reactions follow from the relaxed structure")


def _show_scripts(site: Site) -> None:
    """Print the scripts of a site's blocks."""
    from mscflow.executors.pilot import scripts

    if site.scheduler != "slurm":
        warn([f"the scripts of {site.scheduler} blocks are written by Parsl when it submits them"])
        return
    for pool, script in scripts(site).items():
        typer.echo(f"\n# block of pool {pool}\n{script}")


def _where(executor: str, site: Path | None) -> str | Site | Remote:
    """Return the executor that is asked for."""
    from mscflow.executors import load_site
    from mscflow.executors.remote import load_remote
    from mscflow.executors.site import Scheduler

    if executor == "local" and site is None:
        return executor
    if executor not in (*get_args(Scheduler), "remote"):
        known = ", ".join([*(name for name in get_args(Scheduler) if name != "local"), "remote"])
        raise InputError(f"unknown executor {executor!r}: local, or with --site one of {known}")
    if site is None:
        raise InputError(f"--executor {executor} needs --site FILE: templates lie in hpc/")
    if executor == "remote":
        return load_remote(site)
    found = load_site(site)
    if executor not in (found.scheduler, "local"):
        raise InputError(f"{site} is for {found.scheduler}, not for {executor}")
    return found


def _require_no_limits(site: Path | None, walltime: str | None, memory: float | None) -> None:
    """Refuse limits of this process where jobs run in others, whose limits are those of the site's file."""
    for option, value in (("--walltime", walltime), ("--memory", memory)):
        if site is not None and value is not None:
            raise InputError(f"{option} is for jobs on this machine: {site} says what jobs there may take")


def _require_plain(reuse: bool, workers: int, as_json: bool) -> None:
    """Refuse what means nothing where jobflow-remote runs the jobs."""
    for option, is_given in (("--reuse", reuse), ("--workers", workers != 1), ("--json", as_json)):
        if is_given:
            raise InputError(f"{option} is for runs of this command: jobflow-remote runs these jobs itself")


def _conclude(directory: Path, as_json: bool) -> None:
    """Write the report and print its path; the command fails where a job waits or has failed.

    Raises
    ------
    OutOfTimeError
        If a job waits because time is over, whatever else has failed: a batch script goes on by its code.
    CalculationError
        If a job has failed and none waits.
    """
    path = _write_report(directory)
    jobs = jobs_of(directory)
    failed = [row for row in jobs if row.state == "failed"]
    if as_json:
        show_json({"report": str(path), "jobs": Counter(str(row.state) for row in jobs)})
    else:
        typer.echo(f"Report: {path}")
    waiting = sum(row.state == "waiting" for row in jobs)
    if waiting:
        names = ", ".join(repr(row.name) for row in failed)
        raise OutOfTimeError(
            f"{waiting} job(s) left, no time for them{f' (failed: {names})' if failed else ''}: go on with "
            f"mscflow resume {directory}"
        )
    if failed:
        reason = failed[0].error.strip().splitlines()[-1]
        raise CalculationError(f"{len(failed)} job(s) failed, the first is {failed[0].name!r}: {reason}")


def _write_report(directory: Path) -> Path:
    from mscflow.report import write_report

    return write_report(results_of(directory), directory / REPORT_FILE)


def results_of(directory: Path) -> CampaignResults:
    """Return what is known of a run."""
    from mscflow.campaign import parse_campaign
    from mscflow.executors import STORE_FILE, Journal, require_run
    from mscflow.report import CampaignResults

    require_run(directory)
    journal = Journal(directory / STORE_FILE)
    meta, rows = journal.meta(), journal.rows()
    documents = journal.outputs(list(dict.fromkeys(row.uuid for row in rows)))
    journal.close()
    own = json.loads(meta.get("uuids", "[]"))
    text = meta.get("campaign", "")
    excite, problem = None, ""
    try:
        excite = parse_campaign(text).excite if text else None
    except InputError as err:  # a text of the user's own, or a campaign of another version
        if re.search(r"^structure\s*:", text, re.MULTILINE):
            problem = f"the campaign's settings of the report are not taken: {err}"
    results = CampaignResults.from_documents(
        name=meta.get("name", directory.name),
        campaign=text,
        created=float(meta.get("created", 0.0)),
        documents=documents,
        jobs=[{**_job_fields(row), "is_own": row.uuid in own} for row in rows],
        **({"fwhm": excite.fwhm} if excite else {}),
    )
    results.problems += [problem] if problem else []
    return results


def _job_fields(row: JobRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": str(row.state),
        "wall_time_s": row.wall_time_s,
        "n_attempts": row.n_attempts,
        "error": row.error,
        "started": row.started,
        "ended": row.ended,
        "host": row.host,
        "uuid": row.uuid,
    }
