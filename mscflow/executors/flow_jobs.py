"""Jobs of a flow as rows for the journal, and those that a `Response` asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mscflow.executors.job_row import NewJob
from mscflow.executors.worker import FLOWS

if TYPE_CHECKING:
    from jobflow import Flow, Job


def new_jobs(flow: Flow) -> list[NewJob]:
    """Return the jobs of a flow as rows for the journal."""
    from jobflow import OnMissing
    from monty.json import MontyEncoder

    parents_of = {job.uuid: parents for job, parents in flow.iterflow()}
    return [
        NewJob(
            uuid=job.uuid,
            index=job.index,
            name=job.name,
            parents=tuple(sorted({*parents_of[job.uuid], *job.input_uuids} - {job.uuid})),
            metadata=job.metadata,
            tolerant=job.config.on_missing_references != OnMissing.ERROR,
            text=json.dumps(job, cls=MontyEncoder),
        )
        for job in jobs_of(flow)
    ]


def jobs_of(flow: Flow) -> Iterator[Job]:
    """Yield the jobs of a flow as they were written down.

    The order of ``Flow.iterflow`` changes from process to process where jobs do not depend on each other.
    """
    from jobflow import Flow

    for member in flow.jobs:
        if isinstance(member, Flow):
            yield from jobs_of(member)
        else:
            yield member


def asked_for(response: dict[str, Any]) -> tuple[list[NewJob], list[str]]:
    """Return the jobs a `Response` adds, and the uuids of those that are a detour."""
    from jobflow.core.flow import get_flow
    from monty.json import MontyDecoder

    added: list[NewJob] = []
    detour: list[str] = []
    for field in FLOWS:
        if field in response:
            flow = json.loads(response[field], cls=MontyDecoder)
            jobs = new_jobs(get_flow(flow, allow_external_references=True))
            added += jobs
            if field == "detour":
                detour = [job.uuid for job in jobs]
    return added, detour
