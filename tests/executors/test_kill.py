"""kill -9 at any moment loses no finished job and repeats none."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import flows_for_tests as flows

import mscflow
from mscflow.executors import STORE_FILE, Journal

DRIVER = """
import sys
import flows_for_tests as flows
import mscflow
mscflow.run(flows.forest(pause=0.1), dir=sys.argv[1], n_workers=2)
"""
N_KILLS = 50
N_JOBS = 200


def driver(directory: Path) -> subprocess.Popen:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(Path(__file__).parents[1])]),
    }
    return subprocess.Popen([sys.executable, "-c", DRIVER, directory], env=environment)


def workers(directory: Path) -> list[str]:
    """Workers that have the directory's files open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if "mscflow.executors.worker" in (process / "cmdline").read_text():
                found += [process.name] if str(directory) in str((process / "cwd").readlink()) else []
        except OSError:
            continue
    return found


def n_done(directory: Path) -> int:
    if not (directory / STORE_FILE).exists():
        return 0
    journal = Journal(directory / STORE_FILE)
    n = sum(row.n_completions > 0 for row in journal.rows())
    journal.close()
    return n


def wait(directory: Path, seconds: float, n_jobs: int) -> None:
    """Wait some seconds, or until so many jobs are done: work is left on a fast machine, too."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and n_done(directory) < n_jobs:
        time.sleep(0.05)


def test_fifty_kills_and_a_resume_equal_an_undisturbed_run(tmp_path):
    mscflow.run(flows.forest(pause=0.0), dir=tmp_path / "undisturbed")
    directory = tmp_path / "killed"
    rng = random.Random(7)
    done_before: dict = {}
    n_interrupted = 0
    for _ in range(N_KILLS):
        process = driver(directory)
        wait(directory, rng.uniform(0.3, 3.0), len(done_before) + rng.randint(1, 6))
        n_interrupted += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (directory / STORE_FILE).exists():
            journal = Journal(directory / STORE_FILE)
            done = {row.key: row.ended for row in journal.rows() if row.n_completions}
            journal.close()
            assert done_before.items() <= done.items()
            done_before = done
            with contextlib.closing(sqlite3.connect(directory / STORE_FILE)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert n_interrupted > N_KILLS / 2
    assert driver(directory).wait() == 0
    results = []
    for run in ("undisturbed", "killed"):
        journal = Journal(tmp_path / run / STORE_FILE)
        rows = journal.rows()
        assert {row.n_completions for row in rows} == {1}
        assert len(rows) >= N_JOBS
        uuids = list(dict.fromkeys(row.uuid for row in rows))
        results.append(
            sorted(
                (d["name"], d["index"], str(d["output"]))
                for d in journal.outputs(uuids)
                if "attributes" not in str(d["output"])
            )
        )
        journal.close()
    assert results[0] == results[1]
    deadline = time.time() + 5
    while workers(directory) and time.time() < deadline:
        time.sleep(0.2)
    assert workers(directory) == []
