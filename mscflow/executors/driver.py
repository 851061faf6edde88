"""The scheduling of one run: which jobs are ready, what follows from the end of one.

The meaning of a `Response` (replace, detour, addition, stop_children, stop_jobflow) and of
``on_missing_references`` is that of ``jobflow.run_locally``. Independent jobs run side by side.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from mscflow.clock import RESERVE_S, deadline
from mscflow.earlier import INDEX_FILE
from mscflow.errors import CalculationError, InputError, StoreError
from mscflow.executors.flow_jobs import asked_for
from mscflow.executors.job_row import Attempt, JobRow, State
from mscflow.executors.journal import Journal
from mscflow.executors.local import LocalExecutor, WorkerDiedError
from mscflow.executors.pilot import PilotExecutor
from mscflow.executors.site import Site
from mscflow.executors.worker import KEPT

ERROR_LINES = 12
LOG_FILE = "job.log"

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


class Driver:
    """The scheduling of one run; see `mscflow.executors.manager.run` for what it is given."""

    def __init__(
        self,
        journal: Journal,
        directory: Path,
        on_event: Callable[[JobEvent], None],
        executor: str | Site,
        n_workers: int,
        raise_immediately: bool = False,
    ) -> None:
        self.journal = journal
        self.earlier: list[Journal] = []
        self.raise_immediately = raise_immediately
        self.directory = directory.resolve()
        self.on_event = on_event
        self.where = executor
        self.n_workers = n_workers
        self.jobs: dict[tuple[str, int], JobRow] = {}
        self.keys: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.awaited: dict[tuple[str, int], list[str]] = {}
        self.watchers: dict[str, set[tuple[str, int]]] = defaultdict(set)
        self.detours: dict[str, list[str]] = defaultdict(list)
        self.ready: list[tuple[int, tuple[str, int]]] = []
        self.stopped = False
        self.deaths: dict[tuple[str, int], int] = defaultdict(int)
        self.deadline = deadline()
        self.meta = journal.meta()
        self.path = list(dict.fromkeys([*json.loads(self.meta.get("path", "[]")), *search_path()]))

    def run(self) -> None:
        """Run until nothing is ready and nothing runs, or until the time is over."""
        self.detours.update(self.journal.detours())
        self._load(self.journal.rows())
        self._consider(self.jobs)
        if not self.ready:
            return
        self.earlier = self._opened_earlier()
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
            for journal in self.earlier:
                journal.close()

    def _opened_earlier(self) -> list[Journal]:
        """Open the runs whose results this one refers to.

        Raises
        ------
        InputError
            If one is not there any more.
        """
        files = [Path(file) for file in json.loads(self.meta.get("earlier", "[]"))]
        for file in files:
            if not file.is_file():
                raise InputError(
                    f"{file.parent}: results of this earlier run are needed, and it is not there any more: "
                    "move it back, or start the flow again with earlier=[where it is now]"
                )
        return [Journal(file) for file in files]

    def _is_late(self) -> bool:
        """Return whether the process will be ended too soon for another job."""
        return self.deadline is not None and time.time() + RESERVE_S > self.deadline

    def _load(self, rows: Sequence[JobRow]) -> None:
        """Take in new or changed rows of the journal."""
        for row in rows:
            if row.key not in self.jobs:
                self.keys[row.uuid].append(row.key)
            self.stopped |= row.stop == "jobflow"
            self.jobs[row.key] = row

    def _standing(self, uuid: str) -> State:
        """Return the common state of all indices of a job; one that is unknown here was done elsewhere."""
        states = {self.jobs[key].state for key in self.keys.get(uuid, ())}
        for state in (State.STOPPED, State.WAITING, State.RUNNING, State.FAILED, State.SKIPPED):
            if state in states:
                return state
        return State.DONE

    def _consider(self, keys: Iterable[tuple[str, int]]) -> None:
        """Make waiting jobs ready, or settle them, where their parents allow a decision, in their order."""
        todo = [(self.jobs[key].number, key) for key in keys]
        heapq.heapify(todo)
        while todo:
            for key in self._consider_one(heapq.heappop(todo)[1]):
                heapq.heappush(todo, (self.jobs[key].number, key))

    def _consider_one(self, key: tuple[str, int]) -> Iterable[tuple[str, int]]:
        """Make one job ready, or settle it and return the jobs to be considered next.

        Otherwise it watches one job that has not ended, so that the end of a job costs the same however many
        wait for it.
        """
        row = self.jobs[key]
        if row.state is not State.WAITING:
            return ()
        if self.stopped:
            return self._settle(key, State.STOPPED, "a job stopped the flow")
        if (blocker := self._blocker(row)) is not None:
            self.watchers[blocker].add(key)
            return ()
        standings = {parent: self._standing(parent) for parent in row.parents}
        halted = [
            p for p, s in standings.items()
            if s is State.STOPPED or any(self.jobs[k].stop == "children" for k in self.keys.get(p, ()))
        ]  # fmt: skip
        bad = [p for p, s in standings.items() if s in (State.FAILED, State.SKIPPED)]
        if halted:
            return self._settle(key, State.STOPPED, f"stopped by {self._names(halted)}")
        if bad and not row.tolerant:
            return self._settle(key, State.SKIPPED, f"needs {self._names(bad)}, which failed or was skipped")
        heapq.heappush(self.ready, (row.number, key))
        return ()

    def _blocker(self, row: JobRow) -> str | None:
        """Return the uuid of a job that must have ended before another begins and has not.

        These are its parents, their detours, the detours of these, and so on.
        """
        awaited = self.awaited.setdefault(row.key, list(row.parents))
        while awaited:
            if self._standing(awaited[-1]) in (State.WAITING, State.RUNNING):
                return awaited[-1]
            awaited += self.detours.get(awaited.pop(), ())
        return None

    def _names(self, uuids: Sequence[str]) -> str:
        return ", ".join(sorted({self.jobs[key].name for uuid in uuids for key in self.keys[uuid]}))

    def _settle(
        self, key: tuple[str, int], state: State, reason: str, ran: Attempt | None = None
    ) -> set[tuple[str, int]]:
        """Record that a job will not be done, and return the jobs that watched it."""
        self.journal.settle(key, state, reason, ran)
        self._changed(key)
        return self.watchers.pop(key[0], set())

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
        place = job_directory(self.directory, row)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StoreError(f"{place}: cannot be written: {err.strerror}") from err
        self.journal.start(key)
        self._changed(key)
        documents = self._documents(row.parents)
        future = executor.submit(
            {
                "name": row.name,
                "job": self.journal.text(key),
                "documents": {
                    "outputs": documents,
                    "data": self._blobs(_found(documents, "blob_uuid", "store")),
                },
                "path": self.path,
                "main": self.meta.get("main", ""),
                "directory": str(place),
                "earlier": str(self.directory / INDEX_FILE),
                "log": str(place / LOG_FILE),
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
            found = [d for journal in (self.journal, *self.earlier) for d in journal.outputs(wanted)]
            documents += found
            references = _found([d["output"] for d in found], "uuid", "attributes")
            wanted = [uuid for uuid in dict.fromkeys(references) if uuid not in known]
        return documents

    def _blobs(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return large objects of outputs."""
        return [blob for journal in (self.journal, *self.earlier) for blob in journal.blobs(keys)]

    def _end(self, key: tuple[str, int], future: Future, executor: LocalExecutor | PilotExecutor) -> None:
        """Commit what a job did and see what may run now."""
        try:
            answer = future.result()
        except WorkerDiedError as err:
            self.deaths[key] += 1
            if self.deaths[key] < executor.max_attempts:
                heapq.heappush(self.ready, (self.jobs[key].number, key))
            else:
                self._consider(self._settle(key, State.FAILED, f"{err}, {executor.max_attempts} times"))
            return
        ran = Attempt(**answer["attempt"])
        if "postponed" in answer:
            self.deaths[key] = 0
            self.journal.settle(key, State.WAITING, answer["postponed"], ran)
            if executor.goes_on:
                heapq.heappush(self.ready, (self.jobs[key].number, key))
            else:
                self.ready.clear()
            self._changed(key)
            return
        if "error" in answer:
            lines = answer["error"].strip().splitlines()[-ERROR_LINES:]
            self._consider(self._settle(key, State.FAILED, "\n".join(lines), ran))
            if self.raise_immediately:
                raise CalculationError(f"{self.jobs[key].name} failed: {lines[-1]}")
            return
        added, detour = asked_for(answer["response"])
        stop = next((s for s in ("jobflow", "children") if answer["response"][f"stop_{s}"]), "")
        last = len(self.jobs)
        asked = {field: answer["response"][field] for field in KEPT if field in answer["response"]}
        self.journal.finish(key, answer["documents"], added, detour, stop, asked, ran)
        if detour:
            self.detours[key[0]] += detour
        self._load(self.journal.rows(after=last))
        self._changed(key)
        affected = {*self.watchers.pop(key[0], ()), *((job.uuid, job.index) for job in added)}
        if stop == "jobflow":
            affected = set(self.jobs)
            self.ready.clear()
        self._consider(affected)


def _found(value: Any, key: str, mark: str) -> list[str]:
    """Return all values of `key` in the dictionaries within `value` that also have the key `mark`."""
    if isinstance(value, dict):
        if key in value and mark in value:
            return [value[key]]
        return [found for item in value.values() for found in _found(item, key, mark)]
    return [found for item in value for found in _found(item, key, mark)] if isinstance(value, list) else []


def search_path() -> list[str]:
    """Return where this process looks for modules."""
    return [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - "" is this directory


def job_directory(directory: Path, row: JobRow) -> Path:
    """Return where in a run directory a job works."""
    return directory / "jobs" / f"{row.number:04d}-{slug(row.name)}"


def slug(name: str) -> str:
    """Return a name as a safe file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:60] or "run"
