"""Worker processes on this machine, with a submit → future interface."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from mscflow.errors import MscflowError
from mscflow.executors.worker import receive, send

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerDiedError(MscflowError):
    """The process of a job ended without an answer (killed, or out of memory)."""


class LocalExecutor:
    """Run jobs in persistent worker processes; the cores are shared out among them.

    Parameters
    ----------
    n_workers
        Number of jobs that run side by side.
    """

    goes_on = False
    """A job that stopped in time for the end of the process waits for the next run."""

    max_attempts = 2
    """Attempts of a job whose process dies."""

    def __init__(self, n_workers: int = 1) -> None:
        self.n_workers = n_workers
        self._tasks: queue.SimpleQueue[tuple[dict[str, Any], Future] | None] = queue.SimpleQueue()
        self._processes: dict[int, subprocess.Popen] = {}
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(n,), daemon=True) for n in range(n_workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, message: dict[str, Any]) -> Future:
        """Queue a job (see `mscflow.executors.worker.run_job`); its answer is the future's result."""
        future: Future = Future()
        self._tasks.put((message, future))
        return future

    def close(self) -> None:
        """End all workers at once; jobs that run are lost."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        for process in list(self._processes.values()):
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join(timeout=5)

    def _serve(self, number: int) -> None:
        while not self._closed and (task := self._tasks.get()) is not None:
            message, future = task
            try:
                process = self._process(number)
                assert process.stdin is not None  # noqa: S101 - opened with pipes
                assert process.stdout is not None  # noqa: S101 - opened with pipes
                send(process.stdin, message)
                answer = receive(process.stdout)
            except (OSError, ValueError) as err:
                future.set_exception(WorkerDiedError(f"the worker process could not be used: {err}"))
                continue
            if answer is None:
                code = process.wait()
                why = "killed, perhaps out of memory" if code < 0 else f"exit code {code}"
                future.set_exception(WorkerDiedError(f"the worker process died ({why})"))
            else:
                future.set_result(answer)

    def _process(self, number: int) -> subprocess.Popen:
        process = self._processes.get(number)
        if process is None or process.poll() is not None:
            process = subprocess.Popen(
                [sys.executable, "-m", "mscflow.executors.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment(),
                start_new_session=True,
            )
            self._processes[number] = process
        return process

    def _environment(self) -> dict[str, str]:
        """Return the environment of a worker: its share of the cores, and where this package lies."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        share = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // self.n_workers))
        places = (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))
        return {
            **dict.fromkeys(THREAD_VARIABLES, share),
            "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait must not take the cores of other programs
            **os.environ,
            "PYTHONPATH": os.pathsep.join(place for place in places if place),
        }
