"""The state of a run: a tree of its jobs, the end of failed logs, and a view that ends with the run."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import flows_for_tests as flows
import pytest
from jobflow import Flow

import mscflow
from mscflow.cli.status import jobs_of, tree


@pytest.fixture
def directory(tmp_path):
    first = flows.add(1, 2)
    second = flows.add(first.output, 3)
    bad = flows.fail()
    first.name, second.name, bad.name = "first", "second", "bad"
    mscflow.run(Flow([first, second, bad]), dir=tmp_path / "run")
    return tmp_path / "run"


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mscflow", "status", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def test_jobs_stand_below_what_they_wait_for(directory):
    assert [line["job"] for line in tree(jobs_of(directory))] == ["first", "  └ second", "bad"]


def test_a_job_that_was_replaced_stays_above_what_replaced_it(tmp_path):
    first = flows.fan(2)
    last = flows.add(first.output, 1)
    first.name, last.name = "fan", "last"
    mscflow.run(Flow([first, last]), dir=tmp_path / "run")
    assert [line["job"] for line in tree(jobs_of(tmp_path / "run"))] == [
        "fan",
        "      └ last",
        "add",
        "add",
        "  └ total",
        "    └ store_inputs",
    ]


def test_status_says_where_jobs_ran_and_shows_the_end_of_failed_logs(directory):
    result = command(directory)
    assert result.returncode == 0
    assert "2 done, 1 failed" in result.stdout
    assert f"bad: {directory / 'jobs'}" in result.stdout
    assert "\n    RuntimeError: this job always fails" in result.stdout
    assert '    raise RuntimeError("this job always fails")' in result.stdout
    rows = json.loads(command(directory, "--json").stdout)
    assert {row["where"] for row in rows} != {""}
    assert [row["state"] for row in rows] == ["done", "done", "failed"]


def test_watching_ends_with_the_run(tmp_path):
    slow = flows.add(1, 2, pause=4)
    run = threading.Thread(target=mscflow.run, args=(slow,), kwargs={"dir": tmp_path / "run"})
    run.start()
    while not (tmp_path / "run" / "store.sqlite").exists():
        pass
    result = command(tmp_path / "run", "--watch")
    run.join()
    assert result.returncode == 0
    assert result.stdout.strip().endswith("1 done")
