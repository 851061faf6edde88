"""What lets a long task stop in the middle and go on: a file with its state, and a look at the clock."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from mscflow.cluster import Cluster
from mscflow.errors import InputError, OutOfTimeError
from mscflow.levels import Level
from mscflow.tasks.document import input_hash

DEADLINES = ("MSCFLOW_DEADLINE", "SLURM_JOB_END_TIME")
"""Environment variables that say when the process will be ended / s since the epoch."""

RESERVE_S = 5.0
"""Time kept for writing the state and ending / s."""

CAUTION = 1.5
"""A step may take this many times longer than the longest so far."""


@contextlib.contextmanager
def kept_state(task: str, cluster: Cluster, level: Level, **settings: object) -> Iterator[Path]:
    """Give the path of a state file in the working directory, and delete it when the task has succeeded.

    The name follows from what is computed: a job that is run again in its directory finds its own state,
    and jobs that share a directory do not disturb each other.
    """
    path = Path(f"{task}-{input_hash(task, cluster, level, **settings)[:16]}.state.npz").resolve()
    yield path
    path.unlink(missing_ok=True)


class Clock:
    """Ends a task before the process is ended.

    Attributes
    ----------
    deadline
        When the process will be ended / s since the epoch; None: nobody says.
    """

    def __init__(self) -> None:
        self.deadline = deadline()
        self._last = time.time()
        self._longest = 0.0

    def is_over(self) -> bool:
        """Return whether another step might not end in time; called once a step."""
        now = time.time()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        return self.deadline is not None and now + CAUTION * self._longest + RESERVE_S > self.deadline


def deadline() -> float | None:
    """Return the earliest of `DEADLINES`.

    Raises
    ------
    InputError
        If one of them is no number.
    """
    given = {name: os.environ[name] for name in DEADLINES if os.environ.get(name)}
    try:
        return min((float(value) for value in given.values()), default=None)
    except ValueError:
        raise InputError(f"seconds since the epoch are expected, not {given}") from None


def out_of_time(what: str, path: Path) -> OutOfTimeError:
    """Return the error with which a task ends whose state is kept."""
    return OutOfTimeError(f"{what}: no time for another step; its state is kept in {path.name}")
