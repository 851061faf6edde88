"""Hand flows to jobflow-remote, and bring what it computed back into a run directory.

jobflow-remote (https://matgenix.github.io/jobflow-remote) keeps jobs in a MongoDB and runs them on machines
that it reaches by SSH. The flows are ours as they are; its own commands (``jf job list``, ``jf runner
start``) work on them. A run directory of such a flow is a copy: status and report read it as any other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mscflow.errors import InputError, StoreError
from mscflow.executors.flow_jobs import new_jobs
from mscflow.executors.job_row import NewJob, State
from mscflow.executors.journal import Journal
from mscflow.executors.manager import REMOTE_PROJECT, facts, opened, require_run
from mscflow.executors.site import DEFAULT
from mscflow.yaml_file import read_model

if TYPE_CHECKING:
    from jobflow import Flow
    from jobflow_remote.config import ConfigManager
    from jobflow_remote.config.base import Project
    from jobflow_remote.jobs.data import JobDoc
    from jobflow_remote.jobs.jobcontroller import JobController

REMOTE_FLOW = "remote_flow"
OURS = {"written_by": "mscflow"}
"""Metadata of projects that were written here and may be written anew."""

FAILURES = ("FAILED", "REMOTE_ERROR")
STOPS = ("STOPPED", "USER_STOPPED")
WAITS = ("WAITING", "READY", "PAUSED")
"""States of jobflow-remote; what is none of these and not COMPLETED is on its way."""


class Placement(BaseModel):
    """Where a kind of job goes.

    Attributes
    ----------
    worker, exec_config
        Names of the project's.
    resources
        As the scheduler of the worker takes them, e.g. ``{nodes: 1, ntasks: 16, time: "12:00:00"}``.
    priority
        Which of several is submitted first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    worker: str | None = None
    exec_config: str | None = None
    resources: dict[str, Any] | None = None
    priority: int | None = None


class Remote(BaseModel):
    """A project of jobflow-remote, and which of its workers does what.

    Attributes
    ----------
    project
        Name of a project that exists, or a whole one as jobflow-remote describes it (``jf project
        generate`` writes an example); it is then written where jobflow-remote looks for it.
    jobs
        Placement for each kind of job (a word of its name: relax, refine, excite, ...); ``default`` is for
        the others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: str | dict[str, Any]
    jobs: dict[str, Placement] = Field(default_factory=dict)


def load_remote(path: Path) -> Remote:
    """Read the YAML file of a remote.

    Raises
    ------
    InputError
        If the file is missing or breaks the schema.
    """
    return read_model(path, Remote, hint=": a template is hpc/remote.yaml")


def project_of(remote: Remote) -> Project:
    """Return the project, written to a file of its own where the remote describes it.

    Raises
    ------
    InputError
        If it breaks jobflow-remote's rules, does not exist, or one that was written by hand has its name.
    """
    config, base = _jobflow_remote()
    if isinstance(remote.project, str):
        project = _known_project(remote.project)
        _require_safe(project)
        return project
    try:
        project = base.Project.model_validate(remote.project)
    except ValidationError as err:
        problem = err.errors(include_url=False)[0]
        where = ".".join(str(part) for part in ("project", *problem["loc"]))
        raise InputError(f"{where}: {problem['msg'].splitlines()[0]}") from err
    _write(project, config.ConfigManager())
    return project


def _known_project(name: str) -> Project:
    """Return a project that jobflow-remote knows.

    Raises
    ------
    InputError
        If it does not.
    """
    config, base = _jobflow_remote()
    try:
        project: Project = config.ConfigManager().get_project(name)
    except base.ConfigError as err:
        raise InputError(f"jobflow-remote has no project {name!r}: `jf project list`") from err
    return project


def _write(project: Project, manager: ConfigManager) -> None:
    """Write a project, with schedulers that clean names of jobs, in place of an earlier one of ours.

    Raises
    ------
    InputError
        If there is a project of this name that was not written here.
    """
    from mscflow.executors.schedulers import SAFE

    for worker in project.workers.values():
        if isinstance(worker.scheduler_type, str) and worker.scheduler_type in SAFE:
            worker.scheduler_type = SAFE[worker.scheduler_type]().as_dict()
    project.metadata = {**(project.metadata or {}), **OURS}
    there = manager.projects_data.get(project.name)
    if there is not None and OURS.items() - (there.project.metadata or {}).items():
        raise InputError(
            f"{there.filepath} is a project {project.name!r} of yours: give this one another name"
        )
    if there is not None:
        manager.remove_project(project.name, remove_folders=False)
    manager.projects_folder.mkdir(parents=True, exist_ok=True)
    manager.create_project(project)
    Path(manager.projects_data[project.name].filepath).chmod(0o600)


def _require_safe(project: Project) -> None:
    """Refuse workers whose scripts would hold names of jobs unquoted.

    Raises
    ------
    InputError
        If there are any.
    """
    from mscflow.executors.schedulers import SAFE

    for name, worker in project.workers.items():
        if isinstance(worker.scheduler_type, str) and worker.scheduler_type in SAFE:
            safe = json.dumps(SAFE[worker.scheduler_type]().as_dict())
            raise InputError(
                f"worker {name} of project {project.name} writes names of jobs into its scripts unquoted: "
                f"give it the scheduler_type {safe}"
            )


def submit(flow: Flow, remote: Remote, directory: Path, campaign: str = "") -> list[str]:
    """Hand a flow to jobflow-remote and write its jobs into a run directory.

    Parameters
    ----------
    flow
        What to run.
    remote
        Where.
    directory
        A new run directory, for `fetch`.
    campaign
        Text that describes the run, kept for the report.

    Returns
    -------
    list of str
        The numbers by which ``jf`` knows the jobs.

    Raises
    ------
    InputError
        If jobflow-remote is not installed, or a worker or exec_config is unknown.
    StoreError
        If the directory holds a run already, or the database does not answer.
    """
    project = project_of(remote)
    from jobflow_remote import set_run_config, submit_flow  # after the question whether it is installed

    for kind, placement in _default_first(remote):
        _require_known(project, kind, placement)
        settings = placement.model_dump(exclude_none=True)
        set_run_config(flow, name_filter="" if kind == DEFAULT else kind, **settings)
    with opened(directory) as journal, _database(project) as controller:
        if journal.meta():
            raise StoreError(f"{directory} holds a run already: choose another directory with --dir")
        jobs = new_jobs(flow)
        _prepare(controller)
        numbers = submit_flow(flow, project=project.name)
        told = {REMOTE_PROJECT: project.name, REMOTE_FLOW: flow.uuid}
        journal.begin({**facts(flow, jobs, campaign), **told}, jobs)
        return numbers


@contextmanager
def _database(project: Project) -> Iterator[JobController]:
    """Give the controller of a project; a database that does not answer is one line.

    Raises
    ------
    StoreError
        If it does not.
    """
    from pymongo.errors import PyMongoError

    try:
        yield project.get_job_controller()
    except PyMongoError as err:
        reason = str(err).split(",")[0]
        raise StoreError(f"the database of project {project.name} does not answer: {reason}") from err


def _prepare(controller: JobController) -> None:
    """Set up a database that jobflow-remote has never used, as ``jf admin reset`` does."""
    if controller.auxiliary.find_one({"next_id": {"$exists": True}}) is None:
        controller.reset(max_limit=1)


def fetch(directory: Path) -> Counter[State]:
    """Bring states and results of a submitted flow into its run directory; return how many jobs are where.

    Raises
    ------
    InputError
        If the directory holds no run that was submitted.
    StoreError
        If the database does not answer.
    """
    require_run(directory)
    with opened(directory) as journal:
        meta = journal.meta()
        if REMOTE_PROJECT not in meta:
            raise InputError(
                f"{directory}: not submitted to jobflow-remote: `mscflow resume` goes on with it"
            )
        with _database(_known_project(meta[REMOTE_PROJECT])) as controller:
            documents = sorted(controller.get_jobs_doc(flow_ids=meta[REMOTE_FLOW]), key=_number)
            journal.reopen()  # what is not to be had leaves everything as it was
            known = {row.key: row.state for row in journal.rows()}
            for document in documents:
                key = (document.uuid, document.index)
                if key not in known:
                    journal.add([_new_job(document)])
                if known.get(key) is not State.DONE:
                    _update(journal, key, document, controller)
        return Counter(row.state for row in journal.rows())


def _update(journal: Journal, key: tuple[str, int], document: JobDoc, controller: JobController) -> None:
    """Write down what became of a job."""
    found, reason = document.state.value, ""
    state = State.WAITING if found in WAITS else State.RUNNING
    if found == "COMPLETED":
        state = State.DONE
        journal.finish(key, _results(controller, *key), [])
    elif found in FAILURES:
        state, reason = State.FAILED, document.error or document.remote.error or found
    elif found in STOPS:
        state = State.STOPPED
    started, ended = _seconds(document.start_time), _seconds(document.end_time)
    journal.note(key, state, reason, started, ended, document.worker)


def _seconds(time: datetime | None) -> float | None:
    return time.replace(tzinfo=UTC).timestamp() if time else None  # MongoDB's times are UTC and do not say so


def _results(controller: JobController, uuid: str, index: int) -> dict[str, list[dict[str, Any]]]:
    """Return the documents of a job: its output, and the large objects in additional stores."""
    store = controller.jobstore
    outputs = [_bare(found) for found in store.query({"uuid": uuid, "index": index}, load=False)]
    blobs = [
        _bare(found)
        for other in store.additional_stores.values()
        for found in other.query({"job_uuid": uuid, "job_index": index})
    ]
    return {"outputs": outputs, "data": blobs}


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "_id"}


def _new_job(document: JobDoc) -> NewJob:
    """Return a row for a job that came into being on the way."""
    from jobflow import OnMissing
    from monty.json import MontyEncoder

    job = document.job
    return NewJob(
        uuid=document.uuid,
        index=document.index,
        name=job.name,
        parents=tuple(document.parents or ()),
        metadata=job.metadata,
        tolerant=job.config.on_missing_references != OnMissing.ERROR,
        text=json.dumps(job, cls=MontyEncoder),
    )


def _number(document: JobDoc) -> int:
    digits = "".join(char for char in document.db_id if char.isdigit())
    return int(digits or 0)


def _default_first(remote: Remote) -> list[tuple[str, Placement]]:
    return sorted(remote.jobs.items(), key=lambda item: item[0] != DEFAULT)


def _require_known(project: Project, kind: str, placement: Placement) -> None:
    for name, known in ((placement.worker, project.workers), (placement.exec_config, project.exec_config)):
        if name is not None and name not in known:
            raise InputError(f"jobs.{kind}: project {project.name} has no {name!r}: {', '.join(known)}")


def _jobflow_remote() -> tuple[Any, Any]:
    try:
        from jobflow_remote import config
        from jobflow_remote.config import base
    except ImportError as err:
        raise InputError("jobflow-remote is not installed: pip install 'mscflow[remote]'") from err
    return config, base
