"""The journal of a run: every job, its state and its outputs, in the run's SQLite file.

The driver is the only writer. What a finished job wrote, its new state and the jobs it asked for are one
transaction, so that a run can be killed at any moment and resumed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bson import json_util

from mscflow.database import explain, open_database, transaction, upsert
from mscflow.errors import StoreError
from mscflow.executors.job_row import Attempt, JobRow, NewJob, State

_COLUMNS = (
    "uuid, idx, name, state, parents, metadata, tolerant, started, ended, n_attempts, n_completions, "
    "error, host, stop, number"
)
_CREATE = f"""
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, uuid TEXT NOT NULL, idx INTEGER NOT NULL, name TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT '{State.WAITING}', parents TEXT NOT NULL, metadata TEXT NOT NULL,
    tolerant INTEGER NOT NULL, started REAL, ended REAL, n_attempts INTEGER NOT NULL DEFAULT 0,
    n_completions INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', host TEXT NOT NULL DEFAULT '',
    stop TEXT NOT NULL DEFAULT '', job TEXT NOT NULL, UNIQUE (uuid, idx))
"""

_CREATE_RESPONSES = """
CREATE TABLE IF NOT EXISTS responses (
    uuid TEXT NOT NULL, idx INTEGER NOT NULL, response TEXT NOT NULL, PRIMARY KEY (uuid, idx))
"""
_CREATE_DETOURS = """
CREATE TABLE IF NOT EXISTS detours (uuid TEXT NOT NULL, detour TEXT NOT NULL, PRIMARY KEY (uuid, detour))
"""


class Journal:
    """The job table of a run.

    Parameters
    ----------
    path
        The run's SQLite file; made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_database(path)
        self._has_log = self._read("PRAGMA journal_mode") == [("wal",)]
        if not self._read("SELECT 1 FROM sqlite_master WHERE name='meta'"):
            with self._transaction() as connection:
                connection.execute(_CREATE)
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
                )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _transaction(self) -> transaction:
        return transaction(self._connection, self.path)

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises
        ------
        StoreError
            If the file is damaged or cannot be read.
        """
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as err:
            raise explain(err, self.path) from err

    def _document(self, text: str) -> dict[str, Any]:
        try:
            return json_util.loads(text)
        except ValueError as err:
            raise StoreError(
                f"{self.path}: a document cannot be read: `mscflow store check` names it"
            ) from err

    def meta(self) -> dict[str, str]:
        """Return facts of the run: campaign, hash, times."""
        return dict(self._read("SELECT key, value FROM meta"))

    def begin(self, meta: dict[str, str], jobs: Sequence[NewJob]) -> None:
        """Record a run and all its jobs before any of them runs."""
        with self._transaction() as connection:
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            self._add(jobs)

    def describe(self, **facts: str) -> None:
        """Replace facts of the run."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())

    def rows(self, after: int = 0) -> list[JobRow]:
        """Return the jobs with a number larger than `after`, in order."""
        query = f"SELECT {_COLUMNS} FROM jobs WHERE number > ? ORDER BY number"  # noqa: S608 - our columns
        return [_row(values) for values in self._read(query, [after])]

    def row(self, key: tuple[str, int]) -> JobRow:
        """Return one job."""
        query = f"SELECT {_COLUMNS} FROM jobs WHERE uuid=? AND idx=?"  # noqa: S608 - our columns
        return _row(self._read(query, key)[0])

    def text(self, key: tuple[str, int]) -> str:
        """Return a job as JSON."""
        found = self._read("SELECT job FROM jobs WHERE uuid=? AND idx=?", key)
        if not found:
            raise StoreError(f"{self.path}: no job {key[0]} with index {key[1]}")
        return found[0][0]

    def outputs(self, uuids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the output documents of jobs."""
        return [
            self._document(text)
            for uuid in uuids
            for (text,) in self._read("SELECT document FROM outputs WHERE uuid=? ORDER BY idx", [uuid])
        ]

    def blobs(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return large objects by their key."""
        return [
            self._document(text)
            for key in keys
            for (text,) in self._read("SELECT document FROM data WHERE blob=?", [key])
        ]

    def asked(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Return what the `Response` of finished jobs asked for or kept beside their output."""
        found = self._read("SELECT uuid, idx, response FROM responses")
        return {(uuid, index): json.loads(text) for uuid, index, text in found}

    def detours(self) -> dict[str, list[str]]:
        """Return the uuids of the detours of jobs: their children wait for these, come what may."""
        found: dict[str, list[str]] = {}
        for uuid, detour in self._read("SELECT uuid, detour FROM detours"):
            found.setdefault(uuid, []).append(detour)
        return found

    def start(self, key: tuple[str, int]) -> None:
        """Record that a job is being run; not forced to the disk: what a power cut loses is run again."""
        if self._has_log:  # without one the file itself could be damaged
            self._connection.execute("PRAGMA synchronous=NORMAL")
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state=?, started=?, ended=NULL, error='', host=?, n_attempts=n_attempts+1 "
                "WHERE uuid=? AND idx=?",
                (State.RUNNING, time.time(), os.uname().nodename, *key),
            )
        self._connection.execute("PRAGMA synchronous=FULL")

    def finish(
        self,
        key: tuple[str, int],
        documents: dict[str, list[dict[str, Any]]],
        added: Sequence[NewJob],
        detour: Sequence[str] = (),
        stop: str = "",
        asked: dict[str, Any] | None = None,
        ran: Attempt | None = None,
    ) -> None:
        """Commit a finished job: its documents, its state and the jobs it asked for, all or nothing.

        Parameters
        ----------
        key
            The job.
        documents
            What it wrote, per collection.
        added
            Jobs of its `Response`.
        detour
            uuids of those that must have ended before the job's own children begin.
        stop
            What its `Response` stops: ``children``, ``jobflow`` or nothing.
        asked
            Other parts of its `Response`, to be given back by `Journal.asked`.
        ran
            Where and when it ran; by default where it was started, until now.
        """
        with self._transaction() as connection:
            for collection, members in documents.items():
                upsert(connection, collection, members)
            self._end(key, State.DONE, "", ran)
            connection.execute(
                "UPDATE jobs SET stop=?, n_completions=n_completions+1 WHERE uuid=? AND idx=?", (stop, *key)
            )
            if asked:
                connection.execute(
                    "INSERT OR REPLACE INTO responses VALUES (?, ?, ?)", (*key, json.dumps(asked))
                )
            connection.executemany(
                "INSERT OR IGNORE INTO detours VALUES (?, ?)", [(key[0], d) for d in detour]
            )
            self._add(added)

    def settle(self, key: tuple[str, int], state: State, reason: str, ran: Attempt | None = None) -> None:
        """Record that a job failed, is skipped, or stopped in time and waits, and why; see `finish`."""
        with self._transaction():
            self._end(key, state, reason, ran)

    def _end(self, key: tuple[str, int], state: State, reason: str, ran: Attempt | None) -> None:
        """Record the end of an attempt, inside a transaction."""
        host, started, ended = (ran.host, ran.started, ran.ended) if ran else (None, None, time.time())
        self._connection.execute(
            "UPDATE jobs SET state=?, error=?, host=coalesce(?, host), started=coalesce(?, started), ended=? "
            "WHERE uuid=? AND idx=?",
            (state, reason, host, started, ended, *key),
        )

    def add(self, jobs: Sequence[NewJob]) -> None:
        """Record jobs that came into being on the way."""
        with self._transaction():
            self._add(jobs)

    def note(
        self,
        key: tuple[str, int],
        state: State,
        reason: str = "",
        started: float | None = None,
        ended: float | None = None,
        host: str = "",
    ) -> None:
        """Record what another engine says of a job that it runs; times in s since the epoch."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state=?, error=?, started=?, ended=?, host=?, n_attempts=max(n_attempts, ?) "
                "WHERE uuid=? AND idx=?",
                (state, reason, started, ended, host, int(started is not None), *key),
            )

    def reopen(self) -> None:
        """Make every job that was interrupted, failed or was skipped wait again."""
        with self._transaction() as connection:
            connection.execute(_CREATE_RESPONSES)
            connection.execute(_CREATE_DETOURS)
            connection.execute(
                "UPDATE jobs SET state=?, error='', ended=NULL WHERE state NOT IN (?, ?)",
                (State.WAITING, State.DONE, State.STOPPED),
            )

    def reopen_done(self) -> list[str]:
        """Make finished jobs wait again whose output is gone, or that ran without a parent that waits again.

        Their outputs are removed. To be called after `Journal.reopen`, by the driver that runs them.

        Returns
        -------
        list of str
            Names of jobs that ran without such a parent and cannot run again: others took their place.
        """
        with self._transaction() as connection:
            stored = set(connection.execute("SELECT uuid, idx FROM outputs"))
            rows = self.rows()
            last = {row.uuid: row.index for row in sorted(rows, key=lambda row: row.index)}
            waiting = {row.uuid for row in rows if row.state is State.WAITING}
            done = [row for row in rows if row.state is State.DONE]
            again: dict[tuple[str, int], JobRow] = {}
            n_before = -1
            while len(again) > n_before:
                n_before = len(again)
                for row in done:
                    is_stale = row.key not in stored or not waiting.isdisjoint(row.parents)
                    if is_stale and row.index == last[row.uuid] and row.key not in again:
                        again[row.key] = row
                        waiting.add(row.uuid)
            for key in again:
                connection.execute(
                    "UPDATE jobs SET state=?, ended=NULL, stop='' WHERE uuid=? AND idx=?",
                    (State.WAITING, *key),
                )
                for table in ("outputs", "responses"):
                    connection.execute(f"DELETE FROM {table} WHERE uuid=? AND idx=?", key)  # noqa: S608 - ours
        return [row.name for row in done if row.key not in again and not waiting.isdisjoint(row.parents)]

    def _add(self, jobs: Sequence[NewJob]) -> None:
        self._connection.executemany(
            "INSERT INTO jobs (uuid, idx, name, parents, metadata, tolerant, job) VALUES (?,?,?,?,?,?,?)",
            [
                (
                    j.uuid,
                    j.index,
                    j.name,
                    json.dumps(j.parents),
                    json_util.dumps(j.metadata),
                    j.tolerant,
                    j.text,
                )
                for j in jobs
            ],
        )


def _row(values: tuple[Any, ...]) -> JobRow:
    fields = list(values)
    fields[3] = State(fields[3])
    fields[4] = tuple(json.loads(fields[4]))
    fields[5] = json_util.loads(fields[5])
    fields[6] = bool(fields[6])
    return JobRow(*fields)
