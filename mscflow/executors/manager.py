"""Run any jobflow Flow durably: every finished job is on disk, and a run that was stopped goes on.

The meaning of a `Response` (replace, detour, addition, stop_children, stop_jobflow) and of
``on_missing_references`` is that of ``jobflow.run_locally``. Independent jobs run side by side.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import heapq
import json
import os
import queue
import re
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from mscflow.clock import RESERVE_S, deadline
from mscflow.errors import InputError, StoreError
from mscflow.executors.journal import JobRow, Journal, NewJob, State
from mscflow.executors.local import LocalExecutor, WorkerDiedError
from mscflow.executors.pilot import PilotExecutor
from mscflow.executors.site import Site
from mscflow.executors.worker import FLOWS
from mscflow.store import job_store

if TYPE_CHECKING:
    from jobflow import Flow, Job, Response

STORE_FILE = "store.sqlite"
LOCK_FILE = "driver.lock"
ERROR_LINES = 12


Ended: TypeAlias = "queue.SimpleQueue[tuple[tuple[str, int], Future] | None]"
"""Jobs that ended, with their answers; None when the user interrupts."""


@dataclass(frozen=True)
class JobEvent:
    """Something that happened to a job, for a progress display.

    Parameters
    ----------
    row
        The job in its new state.
    jobs
        All jobs of the run known by now.
    """

    row: JobRow
    jobs: Mapping[tuple[str, int], JobRow]


def run(
    flow: Flow | Job | list[Job],
    executor: str | Site = "local",
    dir: str | Path | None = None,  # noqa: A002 - the documented name
    *,
    campaign: str = "",
    on_event: Callable[[JobEvent], None] | None = None,
    n_workers: int = 1,
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

    Returns
    -------
    dict
        ``{uuid: {index: Response}}`` of the finished jobs, as ``jobflow.run_locally`` returns it.

    Raises
    ------
    StoreError
        If the directory holds another flow, is in use, read-only, or the disk is full.
    """
    from jobflow.core.flow import get_flow

    if executor != "local" and not isinstance(executor, Site):
        raise InputError(f"unknown executor {executor!r}: 'local', or the Site of a batch system")
    flow = get_flow(flow)
    directory = Path(dir) if dir is not None else _new_directory(flow.name)
    with _opened(directory) as journal:
        meta = journal.meta()
        jobs = [job for job, _ in flow.iterflow()]
        fingerprint = flow_fingerprint(flow)
        if not meta:
            journal.begin(
                {
                    "name": flow.name,
                    "fingerprint": fingerprint,
                    "campaign": campaign,
                    "created": str(time.time()),
                    "uuids": json.dumps([job.uuid for job in jobs]),
                },
                _new_jobs(flow),
            )
        elif meta["fingerprint"] != fingerprint:
            raise StoreError(
                f"{directory} holds another campaign or another version of {meta['name']!r}, "
                f"not {flow.name!r}: choose another directory with --dir"
            )
        responses = _drive(journal, directory, on_event, executor, n_workers)
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
        If there is no run.
    """
    directory = Path(dir)
    require_run(directory)
    with _opened(directory) as journal:
        if not journal.meta():
            raise InputError(f"{directory}: stopped before it began: start it with `mscflow run CAMPAIGN`")
        return _drive(journal, directory, on_event, executor, n_workers)


def require_run(directory: Path) -> None:
    """Refuse a directory without a run.

    Raises
    ------
    InputError
        If there is none.
    """
    if not (directory / STORE_FILE).is_file():
        raise InputError(f"{directory}: no run here (no {STORE_FILE}): start one with `mscflow run CAMPAIGN`")


def flow_fingerprint(flow: Flow) -> str:
    """Return the SHA-256 of what a flow computes: functions, arguments, order; no uuids, no versions."""
    jobs = [job for job, _ in flow.iterflow()]
    text = json.dumps([json.loads(_job_text(job)) for job in jobs], sort_keys=True)
    for number, job in enumerate(jobs):
        text = text.replace(job.uuid, f"job-{number}")
    content = _without(json.loads(text), ("@version", "hosts", "metadata"))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _without(value: Any, keys: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return [_without(item, keys) for item in value] if isinstance(value, list) else value


def _job_text(job: Job) -> str:
    from monty.json import MontyEncoder

    return json.dumps(job, cls=MontyEncoder)


def _new_jobs(flow: Flow) -> list[NewJob]:
    from jobflow import OnMissing

    return [
        NewJob(
            uuid=job.uuid,
            index=job.index,
            name=job.name,
            parents=tuple(sorted({*parents, *job.input_uuids} - {job.uuid})),
            metadata=job.metadata,
            tolerant=job.config.on_missing_references != OnMissing.ERROR,
            text=_job_text(job),
        )
        for job, parents in flow.iterflow()
    ]


def _new_directory(name: str) -> Path:
    base = Path("runs") / slug(name)
    candidates = (base if n == 1 else base.with_name(f"{base.name}-{n}") for n in range(1, 10_000))
    return next(path for path in candidates if not (path / STORE_FILE).exists())


def slug(name: str) -> str:
    """Return a name as a safe file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:60] or "run"


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[Journal]:
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
) -> dict[str, dict[int, Response]]:
    journal.reopen()
    driver = _Driver(journal, directory, on_event or (lambda _: None), executor, n_workers)
    driver.run()
    return _responses(journal)


def _responses(journal: Journal) -> dict[str, dict[int, Response]]:
    from jobflow import Response
    from monty.json import MontyDecoder

    responses: dict[str, dict[int, Response]] = defaultdict(dict)
    done = {row.key: row for row in journal.rows() if row.state is State.DONE}
    store = job_store(journal.path)
    store.connect()
    for document in store.query({}, load=True):
        key = (document["uuid"], document["index"])
        responses[key[0]][key[1]] = Response(
            output=MontyDecoder().process_decoded(document["output"]),
            stop_children=done[key].stop == "children",
            stop_jobflow=done[key].stop == "jobflow",
        )
    store.close()
    return dict(responses)


@contextlib.contextmanager
def _interrupts_into(ended: Ended) -> Iterator[None]:
    """Turn Ctrl-C into an event of the queue; a second one interrupts at once.

    An exception raised at any instruction may be swallowed where Python cannot propagate it (destructors,
    callbacks of C libraries), and the run would go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def interrupted(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        ended.put(None)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Driver:
    """The scheduling of one run: which jobs are ready, what follows from the end of one."""

    def __init__(
        self,
        journal: Journal,
        directory: Path,
        on_event: Callable[[JobEvent], None],
        executor: str | Site,
        n_workers: int,
    ) -> None:
        self.journal = journal
        self.directory = directory.resolve()
        self.on_event = on_event
        self.where = executor
        self.n_workers = n_workers
        self.jobs: dict[tuple[str, int], JobRow] = {}
        self.keys: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.children: dict[str, set[tuple[str, int]]] = defaultdict(set)
        self.ready: list[tuple[int, tuple[str, int]]] = []
        self.stopped = False
        self.deaths: dict[tuple[str, int], int] = defaultdict(int)
        self.deadline = deadline()

    def run(self) -> None:
        """Run until nothing is ready and nothing runs, or until the time is over."""
        self._load(self.journal.rows())
        for key in list(self.jobs):
            self._consider(key)
        if not self.ready:
            return
        ended: Ended = queue.SimpleQueue()
        executor: LocalExecutor | PilotExecutor
        if isinstance(self.where, Site):
            executor = PilotExecutor(self.where, self.directory)
        else:
            executor = LocalExecutor(self.n_workers)
        n_running = 0
        try:
            with _interrupts_into(ended):
                while (self.ready and not self._is_late()) or n_running:
                    while self.ready and n_running < executor.n_workers and not self._is_late():
                        self._submit(executor, heapq.heappop(self.ready)[1], ended)
                        n_running += 1
                    event = ended.get()
                    if event is None:
                        raise KeyboardInterrupt
                    n_running -= 1
                    self._end(*event, executor)
        finally:
            executor.close()

    def _is_late(self) -> bool:
        """Return whether the process will be ended too soon for another job."""
        return self.deadline is not None and time.time() + RESERVE_S > self.deadline

    def _load(self, rows: Sequence[JobRow]) -> None:
        """Take in new or changed rows of the journal."""
        for row in rows:
            if row.key not in self.jobs:
                self.keys[row.uuid].append(row.key)
            for parent in row.parents:
                self.children[parent].add(row.key)
            self.stopped |= row.stop == "jobflow"
            self.jobs[row.key] = row

    def _standing(self, uuid: str) -> State:
        """Return the common state of all indices of a job; one that is unknown here was done elsewhere."""
        states = {self.jobs[key].state for key in self.keys.get(uuid, ())}
        for state in (State.STOPPED, State.WAITING, State.RUNNING, State.FAILED, State.SKIPPED):
            if state in states:
                return state
        return State.DONE

    def _consider(self, key: tuple[str, int]) -> None:
        """Make a waiting job ready, or settle it, if its parents allow a decision."""
        row = self.jobs[key]
        if row.state is not State.WAITING:
            return
        if self.stopped:
            self._settle(key, State.STOPPED, "a job stopped the flow")
            return
        standings = {parent: self._standing(parent) for parent in row.parents}
        halted = [
            p for p, s in standings.items()
            if s is State.STOPPED or any(self.jobs[k].stop == "children" for k in self.keys.get(p, ()))
        ]  # fmt: skip
        if halted:
            self._settle(key, State.STOPPED, f"stopped by {self._names(halted)}")
        elif State.WAITING in standings.values() or State.RUNNING in standings.values():
            return
        else:
            bad = [p for p, s in standings.items() if s in (State.FAILED, State.SKIPPED)]
            if bad and not row.tolerant:
                self._settle(key, State.SKIPPED, f"needs {self._names(bad)}, which failed or was skipped")
            else:
                heapq.heappush(self.ready, (row.number, key))

    def _names(self, uuids: Sequence[str]) -> str:
        return ", ".join(sorted({self.jobs[key].name for uuid in uuids for key in self.keys[uuid]}))

    def _settle(self, key: tuple[str, int], state: State, reason: str) -> None:
        self.journal.settle(key, state, reason)
        self._changed(key)
        for child in sorted(self.children[key[0]], key=lambda k: self.jobs[k].number):
            self._consider(child)

    def _changed(self, key: tuple[str, int]) -> None:
        self._load([self.journal.row(key)])
        self.on_event(JobEvent(self.jobs[key], MappingProxyType(self.jobs)))

    def _submit(
        self,
        executor: LocalExecutor | PilotExecutor,
        key: tuple[str, int],
        ended: Ended,
    ) -> None:
        row = self.jobs[key]
        place = self.directory / "jobs" / f"{row.number:04d}-{slug(row.name)}"
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StoreError(f"{place}: cannot be written: {err.strerror}") from err
        self.journal.start(key)
        self._changed(key)
        documents = self._documents(row.parents)
        main = getattr(sys.modules["__main__"], "__file__", None)
        future = executor.submit(
            {
                "name": row.name,
                "job": self.journal.text(key),
                "documents": {
                    "outputs": documents,
                    "data": self.journal.blobs(_found(documents, "blob_uuid", "store")),
                },
                "path": [os.path.abspath(entry) for entry in sys.path],  # noqa: PTH100 - "" is this directory
                "main": os.path.abspath(main) if main else None,  # noqa: PTH100
                "directory": str(place),
                "log": str(place / "job.log"),
            }
        )
        future.add_done_callback(lambda done: ended.put((key, done)))

    def _documents(self, uuids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the outputs of jobs, and those that these outputs refer to in turn."""
        documents: list[dict[str, Any]] = []
        known: set[str] = set()
        wanted = list(uuids)
        while wanted:
            known.update(wanted)
            found = self.journal.outputs(wanted)
            documents += found
            references = _found([d["output"] for d in found], "uuid", "attributes")
            wanted = [uuid for uuid in dict.fromkeys(references) if uuid not in known]
        return documents

    def _end(self, key: tuple[str, int], future: Future, executor: LocalExecutor | PilotExecutor) -> None:
        """Commit what a job did and see what may run now."""
        try:
            answer = future.result()
        except WorkerDiedError as err:
            self.deaths[key] += 1
            if self.deaths[key] < executor.max_attempts:
                heapq.heappush(self.ready, (self.jobs[key].number, key))
            else:
                self._settle(key, State.FAILED, f"{err}, {executor.max_attempts} times")
            return
        if "postponed" in answer:
            self.journal.postpone(key, answer["postponed"])
            if executor.goes_on:
                heapq.heappush(self.ready, (self.jobs[key].number, key))
            else:
                self.ready.clear()
            self._changed(key)
            return
        if "error" in answer:
            self._settle(key, State.FAILED, "\n".join(answer["error"].strip().splitlines()[-ERROR_LINES:]))
            return
        added, detour = _asked_for(answer["response"])
        stop = next((s for s in ("jobflow", "children") if answer["response"][f"stop_{s}"]), "")
        last = len(self.jobs)
        self.journal.finish(key, answer["documents"], added, detour, stop)
        self._load(self.journal.rows(after=0 if detour else last))
        self._changed(key)
        affected = {*self.children[key[0]], *((job.uuid, job.index) for job in added)}
        if stop == "jobflow":
            affected = set(self.jobs)
            self.ready.clear()
        for other in sorted(affected, key=lambda k: self.jobs[k].number):
            self._consider(other)


def _asked_for(response: dict[str, Any]) -> tuple[list[NewJob], list[str]]:
    """Return the jobs a `Response` adds, and the uuids of those that are a detour."""
    from jobflow.core.flow import get_flow
    from monty.json import MontyDecoder

    added: list[NewJob] = []
    detour: list[str] = []
    for field in FLOWS:
        if field in response:
            flow = json.loads(response[field], cls=MontyDecoder)
            jobs = _new_jobs(get_flow(flow, allow_external_references=True))
            added += jobs
            if field == "detour":
                detour = [job.uuid for job in jobs]
    return added, detour


def _found(value: Any, key: str, mark: str) -> list[str]:
    """Return all values of `key` in the dictionaries within `value` that also have the key `mark`."""
    if isinstance(value, dict):
        if key in value and mark in value:
            return [value[key]]
        return [found for item in value.values() for found in _found(item, key, mark)]
    return [found for item in value for found in _found(item, key, mark)] if isinstance(value, list) else []
