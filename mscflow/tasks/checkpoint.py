"""A file with the state of a long task, so that it can go on where it stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mscflow.cluster import Cluster
from mscflow.levels import Level
from mscflow.tasks.document import input_hash


@contextlib.contextmanager
def kept_state(task: str, cluster: Cluster, level: Level, **settings: object) -> Iterator[Path]:
    """Give the path of a state file in the working directory, and delete it when the task has succeeded.

    The name follows from what is computed: a job that is run again in its directory finds its own state,
    and jobs that share a directory do not disturb each other.
    """
    path = Path(f"{task}-{input_hash(task, cluster, level, **settings)[:16]}.state.npz").resolve()
    yield path
    path.unlink(missing_ok=True)
