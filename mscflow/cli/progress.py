"""A live display of a run on standard error: what runs, what is done, about how long is left."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mscflow.executors import JobEvent, JobRow

MARKS = {"done": "✓", "failed": "✗", "skipped": "–", "stopped": "–"}
REFRESH_S = 1.0
USUAL_COLUMNS = 80
"""Of a terminal that does not say how wide it is; a longer line would wrap, and stay."""


class Progress:
    """Shows the events of a run; on a terminal with a line that keeps moving, else one line a job.

    Parameters
    ----------
    name
        Name of the run.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: Mapping[tuple[str, int], JobRow] = {}
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._live = sys.stderr.isatty()
        self._thread = threading.Thread(target=self._refresh, daemon=True)

    def __enter__(self) -> Self:
        """Start to show."""
        if self._live:
            self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        """Leave the terminal as it was."""
        self._stop.set()
        if self._live:
            self._thread.join()
            sys.stderr.write("\r\033[K")

    def update(self, event: JobEvent) -> None:
        """Take in an event."""
        row = event.row
        self._jobs = event.jobs
        if row.state == "running":
            if not self._live:
                self._print(f"  … {row.name}")
            return
        took = f" {row.wall_time_s:.1f} s" if row.wall_time_s is not None and row.state == "done" else ""
        why = f": {row.error.strip().splitlines()[-1]}" if row.error.strip() else ""
        self._print(f"{MARKS.get(row.state, ' ')} {self._count()} {row.name}{took}{why}{self._left()}")

    def _count(self) -> str:
        done = sum(row.state == "done" for row in self._jobs.values())
        return f"[{done}/{len(self._jobs)}]"

    def _left(self) -> str:
        """Return the estimated rest: of the jobs known by now, scaled by how good the estimates were."""
        rows = list(self._jobs.values())
        ended = [row for row in rows if row.state == "done" and _estimate(row)]
        expected = sum(_estimate(row) for row in ended)
        scale = sum(row.wall_time_s or 0.0 for row in ended) / expected if expected else 1.0
        now = time.time()
        seconds = sum(
            max(0.0, _estimate(row) * scale - (now - (row.started or now) if row.state == "running" else 0.0))
            for row in rows
            if row.state in ("waiting", "running")
        )
        return f"  (about {_duration(seconds)} left)" if seconds >= 1 else ""

    def _refresh(self) -> None:
        while not self._stop.wait(REFRESH_S):
            names = ", ".join(
                f"{row.name} ({_duration(time.time() - (row.started or time.time()))})"
                for row in list(self._jobs.values())
                if row.state == "running"
            )
            elapsed = _duration(time.monotonic() - self._started)
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or USUAL_COLUMNS
            line = f"{self.name} {self._count()} {elapsed}  {names}{self._left()}"
            sys.stderr.write("\r\033[K" + line[: columns - 1])
            sys.stderr.flush()

    def _print(self, line: str) -> None:
        sys.stderr.write(("\r\033[K" if self._live else "") + line + "\n")
        sys.stderr.flush()


def _estimate(row: JobRow) -> float:
    return float(row.metadata.get("estimate_s", 0.0))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
