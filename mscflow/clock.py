"""When this process will be ended, and whether there is time for another step."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mscflow.errors import InputError, OutOfTimeError

DEADLINES = ("MSCFLOW_DEADLINE", "SLURM_JOB_END_TIME")
"""Environment variables that say when the process will be ended / s since the epoch; Slurm has its own from
23.02 on, see ``hpc/campaign.sbatch``."""

RESERVE_S = 5.0
"""Time kept for writing the state and ending / s."""

CAUTION = 1.5
"""A step may take this many times longer than the longest so far."""


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
