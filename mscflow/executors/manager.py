"""Run any jobflow Flow durably: every finished job is on disk, and a run that was stopped goes on."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mscflow.earlier import INDEX_FILE, write_index
from mscflow.errors import CalculationError, InputError, StaleWarning, StoreError
from mscflow.executors import worker
from mscflow.executors.driver import Driver, JobEvent, job_directory, search_path, slug
from mscflow.executors.flow_jobs import new_jobs
from mscflow.executors.job_row import NewJob, State
from mscflow.executors.journal import Journal
from mscflow.executors.site import Site
from mscflow.store import job_store

if TYPE_CHECKING:
    from jobflow import Flow, Job, Response

STORE_FILE = "store.sqlite"
LOCK_FILE = "driver.lock"
REMOTE_PROJECT = "remote_project"
"""Fact of a run whose jobs another engine runs: see `mscflow.executors.remote`."""

UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def run(
    flow: Flow | Job | list[Job],
    executor: str | Site = "local",
    dir: str | Path | None = None,  # noqa: A002 - the documented name
    *,
    campaign: str = "",
    on_event: Callable[[JobEvent], None] | None = None,
    n_workers: int = 1,
    earlier: Sequence[str | Path] = (),
    ensure_success: bool = False,
    raise_immediately: bool = False,
    reuse: bool | Sequence[str | Path] = False,
    source: str = "",
) -> dict[str, dict[int, Response]]:
    """Run a flow in a directory, or go on with it there.

    Parameters
    ----------
    flow
        What to run.
    executor
        ``"local"``: worker processes on this machine; or the `mscflow.executors.site.Site` of a batch
        system.
    dir
        The run directory; by default a new one under ``runs/``. Where it holds the same flow already, the
        run goes on; finished jobs are not repeated.
    campaign
        Text that describes the run (the campaign file), kept for the report.
    on_event
        Called in this thread whenever a job changes its state.
    n_workers
        Jobs that run side by side on this machine.
    earlier
        Directories of other runs whose results the flow refers to.
    ensure_success
        Whether a job that is not done at the end is an error.
    raise_immediately
        Whether the first job that fails ends the run.
    reuse
        Directories of other runs, or True for all that lie beside this one: relaxations, refinements and
        excitations that one of them has computed with the same structure, level, settings and versions are
        taken from it and say so (``reused_from``).
    source
        What tells apart whatever the flow was made from. A run of the same source goes on with its own jobs,
        though the flow differs: structures that are built differ in their last digits between processors.

    Returns
    -------
    dict
        ``{uuid: {index: Response}}`` of the finished jobs, as ``jobflow.run_locally`` returns it.

    Raises
    ------
    InputError
        If an earlier run is none, jobflow-remote runs the jobs of the directory, or a worker imports the
        script that calls this.
    StoreError
        If the directory holds another flow, is in use, read-only, or the disk is full.
    CalculationError
        If a job failed and the caller wants to hear of it; what is done is kept.
    """
    from jobflow.core.flow import get_flow

    _require_main()
    if executor != "local" and not isinstance(executor, Site):
        raise InputError(f"unknown executor {executor!r}: 'local', or the Site of a batch system")
    for other in (*earlier, *([] if isinstance(reuse, bool) else reuse)):
        require_run(Path(other))
    flow = get_flow(flow, allow_external_references=bool(earlier))
    directory = Path(dir) if dir is not None else _new_directory(flow.name)
    with opened(directory) as journal:
        meta = journal.meta()
        _require_local(meta, directory)
        jobs = new_jobs(flow)
        texts = {job.uuid: job.text for job in jobs}
        if not meta:
            journal.begin({**facts(flow, jobs, campaign), "source": source}, jobs)
        elif jobs_fingerprint(texts) != _stored_fingerprint(journal):
            is_same_source = bool(source) and source == meta.get("source")
            if not is_same_source or len(jobs) != len(json.loads(meta["uuids"])):
                raise StoreError(
                    f"{directory} holds another campaign or another version of {meta['name']!r}, "
                    f"not {flow.name!r}: choose another directory with --dir"
                )
        journal.describe(**_surroundings(campaign, earlier))
        _find_results(directory, reuse)
        responses = _drive(journal, directory, on_event, executor, n_workers, raise_immediately)
        if ensure_success:
            _require_success(journal)
        stored = json.loads(journal.meta()["uuids"])
    own = dict(zip(stored, [job.uuid for job in jobs], strict=True))
    return {own.get(uuid, uuid): by_index for uuid, by_index in responses.items()}


def resume(
    dir: str | Path,  # noqa: A002 - the documented name
    executor: str | Site = "local",
    *,
    on_event: Callable[[JobEvent], None] | None = None,
    n_workers: int = 1,
) -> dict[str, dict[int, Response]]:
    """Go on with the run in a directory; see `run`.

    Raises
    ------
    InputError
        If there is no run, jobflow-remote runs its jobs, or a worker imports the script that calls this.
    """
    _require_main()
    directory = Path(dir)
    require_run(directory)
    with opened(directory) as journal:
        if not journal.meta():
            raise InputError(f"{directory}: stopped before it began: start it with `mscflow run CAMPAIGN`")
        _require_local(journal.meta(), directory)
        return _drive(journal, directory, on_event, executor, n_workers)


def _surroundings(campaign: str, earlier: Sequence[str | Path]) -> dict[str, str]:
    """Return what may change whenever a run is started: texts, places of other runs, where functions are."""
    main = getattr(sys.modules["__main__"], "__file__", None)
    told = {
        "main": os.path.abspath(main) if main else "",  # noqa: PTH100 - a link stays one
        "path": json.dumps(search_path()),
    }
    if campaign:
        told["campaign"] = campaign
    if earlier:
        told["earlier"] = json.dumps([str(Path(other).resolve() / STORE_FILE) for other in earlier])
    return told


def _require_main() -> None:
    """Refuse to run anything while a worker imports the script that defines its jobs.

    Raises
    ------
    InputError
        If that is so.
    """
    if worker.importing:
        raise InputError(
            "a worker imports this script: put mscflow.run under `if __name__ == '__main__':` there"
        )


def _require_local(meta: Mapping[str, str], directory: Path) -> None:
    """Refuse a run that was submitted to jobflow-remote.

    Raises
    ------
    InputError
        If it was.
    """
    if REMOTE_PROJECT in meta:
        raise InputError(f"{directory}: jobflow-remote runs its jobs: `mscflow fetch {directory}`")


def facts(flow: Flow, jobs: Sequence[NewJob], campaign: str) -> dict[str, str]:
    """Return what a run directory knows of its flow."""
    return {
        "name": flow.name,
        "fingerprint": jobs_fingerprint({job.uuid: job.text for job in jobs}),
        "campaign": campaign,
        "created": str(time.time()),
        "uuids": json.dumps([job.uuid for job in jobs]),
        "earlier": "[]",
    }


def require_run(directory: Path) -> None:
    """Refuse a directory without a run.

    Raises
    ------
    InputError
        If there is none.
    """
    if not (directory / STORE_FILE).is_file():
        raise InputError(f"{directory}: no run here (no {STORE_FILE}): start one with `mscflow run CAMPAIGN`")


def jobs_fingerprint(jobs: Mapping[str, str]) -> str:
    """Return the SHA-256 of what a flow computes: functions, arguments, order; no uuids, no versions.

    Parameters
    ----------
    jobs
        The jobs as JSON, by uuid.
    """
    numbers = {uuid: f"job-{number}" for number, uuid in enumerate(jobs)}
    text = UUID.sub(lambda found: numbers.get(found[0], found[0]), f"[{','.join(jobs.values())}]")
    content = [
        {key: _without_versions(value) for key, value in job.items() if key not in ("hosts", "metadata")}
        for job in json.loads(text)
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _stored_fingerprint(journal: Journal) -> str:
    """Return the fingerprint of a run's jobs; what it stored itself may be that of an earlier mscflow."""
    uuids = json.loads(journal.meta()["uuids"])
    return jobs_fingerprint({row.uuid: journal.text(row.key) for row in journal.rows()[: len(uuids)]})


def _without_versions(value: Any) -> Any:
    """Return plain data without the versions of packages beside the classes of objects."""
    if isinstance(value, dict):
        marks = ("@version",) if "@module" in value else ()
        return {key: _without_versions(item) for key, item in value.items() if key not in marks}
    return [_without_versions(item) for item in value] if isinstance(value, list) else value


def _new_directory(name: str) -> Path:
    base = Path("runs") / slug(name)
    candidates = (base if n == 1 else base.with_name(f"{base.name}-{n}") for n in range(1, 10_000))
    return next(path for path in candidates if not (path / STORE_FILE).exists())


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[Journal]:
    """Open a run directory for its only driver."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / LOCK_FILE).open("w")
    except OSError as err:
        raise StoreError(
            f"{directory}: cannot be written ({err.strerror}): choose a writable directory with --dir"
        ) from err
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise StoreError(f"{directory}: another mscflow is running here: wait for it or stop it") from err
        except OSError as err:
            raise StoreError(
                f"{directory}: files cannot be locked here ({err.strerror}): choose a directory on a file "
                "system with locks (Lustre: mounted with -o flock)"
            ) from err
        journal = Journal(directory / STORE_FILE)
        try:
            yield journal
        finally:
            journal.close()


def _drive(
    journal: Journal,
    directory: Path,
    on_event: Callable[[JobEvent], None] | None,
    executor: str | Site,
    n_workers: int,
    raise_immediately: bool = False,
) -> dict[str, dict[int, Response]]:
    journal.reopen()
    for name in journal.reopen_done():
        warnings.warn(
            f"{name!r} ran without a job that is tried again, and other jobs took its place: its result "
            "stays as it is; for a complete one start a new run with --reuse",
            StaleWarning,
            stacklevel=3,
        )
    driver = Driver(journal, directory, on_event or (lambda _: None), executor, n_workers, raise_immediately)
    driver.run()
    return _responses(journal, driver.directory)


def _find_results(directory: Path, reuse: bool | Sequence[str | Path]) -> None:
    """Write the index in which jobs find results of other runs; without any there is none."""
    index = directory.resolve() / INDEX_FILE
    if reuse is True:
        write_index(sorted(directory.resolve().parent.glob(f"*/{STORE_FILE}")), index)
    elif reuse:
        write_index([Path(other) / STORE_FILE for other in reuse], index)
    else:
        index.unlink(missing_ok=True)


def _require_success(journal: Journal) -> None:
    """Refuse a run with jobs that are not done.

    Raises
    ------
    CalculationError
        If there are any.
    """
    rows = journal.rows()
    missing = [row for row in rows if row.state is not State.DONE]
    if missing:
        first = missing[0]
        reason = first.error.splitlines()[-1] if first.error else first.state
        raise CalculationError(f"{len(missing)} of {len(rows)} jobs are not done: {first.name}: {reason}")


def _responses(journal: Journal, directory: Path) -> dict[str, dict[int, Response]]:
    from jobflow import Response
    from monty.json import MontyDecoder

    responses: dict[str, dict[int, Response]] = defaultdict(dict)
    done = {row.key: row for row in journal.rows() if row.state is State.DONE}
    asked = journal.asked()
    store = job_store(journal.path)
    store.connect()
    for document in store.query({}, load=True):
        key = (document["uuid"], document["index"])
        if key not in done:
            continue  # taken in from another store
        responses[key[0]][key[1]] = Response(
            output=MontyDecoder().process_decoded(document["output"]),
            stop_children=done[key].stop == "children",
            stop_jobflow=done[key].stop == "jobflow",
            job_dir=job_directory(directory, done[key]),
            **{field: json.loads(text, cls=MontyDecoder) for field, text in asked.get(key, {}).items()},
        )
    store.close()
    return dict(responses)
