"""What the journal of a run knows of a job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """State of a job: skipped after a parent that failed, stopped at the wish of a parent that is done."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"


@dataclass(frozen=True)
class JobRow:
    """One job of a run.

    Parameters
    ----------
    uuid, index, name
        Identity in jobflow's sense.
    state
        Where it stands.
    parents
        uuids it waits for.
    metadata
        The job's metadata.
    tolerant
        Whether it runs although a parent failed (``on_missing_references`` other than ``error``).
    started, ended
        Times / s since the epoch.
    n_attempts, n_completions
        How often it was started, and how often a result was committed.
    error
        Traceback or reason of a failure.
    host
        Machine of the last attempt.
    stop
        ``children`` or ``jobflow`` where its `Response` asked to stop these, else empty.
    number
        Position in the run.
    """

    uuid: str
    index: int
    name: str
    state: State
    parents: tuple[str, ...]
    metadata: dict[str, Any]
    tolerant: bool
    started: float | None
    ended: float | None
    n_attempts: int
    n_completions: int
    error: str
    host: str
    stop: str
    number: int

    @property
    def key(self) -> tuple[str, int]:
        """Uuid and index."""
        return self.uuid, self.index

    @property
    def wall_time_s(self) -> float | None:
        """Wall time of the last attempt / s."""
        return self.ended - self.started if self.started is not None and self.ended is not None else None


@dataclass(frozen=True)
class Attempt:
    """An attempt at a job that has come to an end.

    Parameters
    ----------
    host
        Machine on which it ran.
    started, ended
        Times there / s since the epoch.
    """

    host: str
    started: float
    ended: float


@dataclass(frozen=True)
class NewJob:
    """A job to be added.

    Parameters
    ----------
    uuid, index, name, parents, metadata, tolerant
        As in `JobRow`.
    text
        The job as JSON.
    """

    uuid: str
    index: int
    name: str
    parents: tuple[str, ...]
    metadata: dict[str, Any]
    tolerant: bool
    text: str
