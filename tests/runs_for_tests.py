"""What the tests of the executors read from run directories."""

from __future__ import annotations

from pathlib import Path

from mscflow.executors import STORE_FILE, JobRow, Journal


def rows(directory: Path) -> list[JobRow]:
    """Jobs of a run."""
    journal = Journal(directory / STORE_FILE)
    found = journal.rows()
    journal.close()
    return found
