"""What the tests of the executors read from runs and their directories."""

from __future__ import annotations

from pathlib import Path

from jobflow import Flow, OutputReference

from mscflow.executors import STORE_FILE, JobRow, Journal


def rows(directory: Path) -> list[JobRow]:
    """Jobs of a run."""
    journal = Journal(directory / STORE_FILE)
    found = journal.rows()
    journal.close()
    return found


def static_outputs(responses: dict, flow: Flow) -> list:
    """Last output of each job of the flow; dynamic jobs get new uuids each time they are made."""
    return [last(responses, uuid) for uuid in flow.job_uuids if uuid in responses]


def last(responses: dict, uuid: str):
    """Last output of a job; a reference to another job's output is followed."""
    output = responses[uuid][max(responses[uuid])].output
    return last(responses, output.uuid) if isinstance(output, OutputReference) else output
