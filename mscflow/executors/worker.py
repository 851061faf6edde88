"""A process that runs jobs: ``python -m mscflow.executors.worker``, spoken to over its standard streams.

It never opens the run's store. A message brings the job and the documents it refers to; the answer brings
the documents it wrote and what its `Response` asks for. Messages are JSON with a length in front.
"""

from __future__ import annotations

import json
import os
import runpy
import struct
import sys
import threading
import time
import traceback
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mscflow.earlier import VARIABLE
from mscflow.errors import InputError, OutOfTimeError

if TYPE_CHECKING:
    from jobflow import Job, JobStore

PARENT_CHECK_S = 0.5
FLOWS = ("replace", "detour", "addition")
"""Fields of a `Response` that bring new jobs."""

KEPT = (*FLOWS, "stored_data")
"""Fields of a `Response`, beside its output, that are kept with the job."""

importing = False
"""Whether this process imports a script for the job functions in it."""


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Write one message."""
    from bson import json_util

    data = json_util.dumps(message).encode()
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """Read one message; None at the end of the stream."""
    from bson import json_util

    head = stream.read(8)
    if len(head) < 8:
        return None
    (length,) = struct.unpack("<Q", head)
    data = stream.read(length)
    return json_util.loads(data) if len(data) == length else None


def run_job(message: dict[str, Any]) -> dict[str, Any]:
    """Run one job.

    Parameters
    ----------
    message
        ``job``: the job as JSON text; ``documents``: documents per collection that it may refer to.

    Returns
    -------
    dict
        ``documents`` written per collection, ``response``: stop commands and, as JSON text, what is kept; or
        ``error``: the traceback; or ``postponed``: why it stopped before the end of its time.
    """
    from monty.json import MontyDecoder, MontyEncoder

    store = _memory()
    stores = {"outputs": store.docs_store, "data": store.additional_stores["data"]}
    given: dict[str, list[dict]] = message["documents"]
    for name, documents in given.items():
        stores[name].remove_docs({})
        if documents:
            stores[name].update(documents, key=["uuid", "index"] if name == "outputs" else "blob_uuid")
    try:
        job = json.loads(message["job"], cls=MontyDecoder)
        _require_function(job)
        response = job.run(store=store)
        asked = {"stop_children": response.stop_children, "stop_jobflow": response.stop_jobflow}
        kept = {
            field: json.dumps(getattr(response, field), cls=MontyEncoder)
            for field in KEPT
            if getattr(response, field) is not None
        }
    except OutOfTimeError as err:
        return {"postponed": str(err)}
    except Exception:  # noqa: BLE001 - whatever a job raises is its result
        return {"error": traceback.format_exc()}
    written = {
        "outputs": list(stores["outputs"].query({"uuid": job.uuid, "index": job.index})),
        "data": list(stores["data"].query({"job_uuid": job.uuid, "job_index": job.index})),
    }
    for documents in written.values():
        for document in documents:
            document.pop("_id", None)
    return {"documents": written, "response": {**asked, **kept}}


def _require_function(job: Job) -> None:
    """Refuse a job whose function cannot be imported here: monty leaves its description in its place.

    Raises
    ------
    InputError
        If it cannot.
    """
    if isinstance(job.function, dict):
        found = job.function
        raise InputError(
            f"no function {found.get('@callable')!r} in {found.get('@module')!r} here: put it into a module "
            "that can be imported, not into a notebook or under `if __name__ == '__main__':`"
        )


@cache
def _memory() -> JobStore:
    """Return the store of this process, for the documents of one job after the other."""
    from mscflow.store import MEMORY, job_store

    store = job_store(MEMORY)
    store.connect()
    return store


def main() -> None:
    """Serve jobs until the driver closes the stream or dies."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a job prints must not mix with the answers
    follow_parent(os.getppid())
    while (message := receive(requests)) is not None:
        log = os.open(message["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        started = time.time()
        try:
            _take_over(message)
        except (Exception, SystemExit):  # noqa: BLE001 - whatever the user's script raises
            answer = {"error": traceback.format_exc()}
        else:
            answer = run_job(message)
        sys.stderr.write(answer.get("error", ""))
        sys.stdout.flush()
        sys.stderr.flush()
        attempt = {"host": os.uname().nodename, "started": started, "ended": time.time()}
        send(answers, {**answer, "attempt": attempt})


def follow_parent(parent: int) -> None:
    """Let this process end soon after the one that started it, number `parent`, however that one ended."""

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _take_over(message: dict[str, Any]) -> None:
    """Import as the driver does: its search path, and its main script for job functions defined there."""
    global importing  # noqa: PLW0603 - one per process
    for entry in message["path"]:
        if entry not in sys.path:
            sys.path.append(entry)
    script = message["main"]
    needs_main = '"@module": "__main__"' in message["job"]
    if needs_main and script and not hasattr(sys.modules["__main__"], "__mscflow_script__"):
        importing = True
        try:
            found = runpy.run_path(script, run_name="__mp_main__")
        finally:
            importing = False
        for name, value in found.items():
            if not name.startswith("__"):
                setattr(sys.modules["__main__"], name, value)
        sys.modules["__main__"].__mscflow_script__ = script  # type: ignore[attr-defined]
    os.chdir(Path(message["directory"]))
    os.environ[VARIABLE] = message["earlier"]


if __name__ == "__main__":
    from mscflow.executors import worker  # noqa: PLW0406 - the module that others import; this is a copy of it

    worker.main()
