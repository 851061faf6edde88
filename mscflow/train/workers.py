"""Processes of the trainer, one core each."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from mscflow.executors.worker import follow_parent


@contextlib.contextmanager
def workers(n: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of `n` processes that end with this one, however it ends.

    After an error what has not begun is not begun any more.
    """
    context = multiprocessing.get_context("spawn")
    with _one_thread():
        pool = ProcessPoolExecutor(n, context, follow_parent, (os.getpid(),))
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that start meanwhile use one core each."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
