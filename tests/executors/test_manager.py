"""The manager means what jobflow.run_locally means, and refuses what it cannot use."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import flows_for_tests as flows
import pytest
from jobflow import Flow, JobStore, OnMissing, run_locally
from maggma.stores import MemoryStore
from runs_for_tests import rows, static_outputs

import mscflow
from mscflow.errors import InputError, StaleWarning, StoreError
from mscflow.executors import STORE_FILE, Journal, State
from mscflow.executors.archive import check
from mscflow.executors.flow_jobs import new_jobs
from mscflow.executors.job_row import Attempt


def memory_store() -> JobStore:
    return JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})


def two_jobs_after(first):
    return Flow([first, flows.add(first.output, 1), flows.add(1, 1)])


FLOWS = {
    "chain": lambda: flows.chain(4),
    "fan-out with replacement": lambda: Flow([flows.fan(3)]),
    "repeated replacement": lambda: Flow([flows.again(3)]),
    "addition": lambda: two_jobs_after(flows.grow(2)),
    "detour": lambda: two_jobs_after(flows.detoured(2)),
    "failure": flows.tolerant,
    "stop children": lambda: two_jobs_after(flows.stop_children()),
    "everything": lambda: flows.tree(pause=0.0),
    "large objects": lambda: Flow([b := flows.big(1000), flows.size(b.output["large"])]),
}


@pytest.mark.parametrize("name", FLOWS)
def test_same_results_as_run_locally(name, tmp_path):
    flow = FLOWS[name]()
    ours = mscflow.run(flow, dir=tmp_path / "run")
    theirs = run_locally(flow, store=memory_store(), log=False, root_dir=tmp_path)
    assert static_outputs(ours, flow) == static_outputs(theirs, flow)
    assert Counter(len(v) for v in ours.values()) == Counter(len(v) for v in theirs.values())


def test_stop_jobflow_ends_the_run(tmp_path):
    stop = flows.stop_flow()
    flow = Flow([stop, flows.add(stop.output, 1), flows.add(1, 1)])
    mscflow.run(flow, dir=tmp_path)
    states = [row.state for row in rows(tmp_path)]
    assert states.count(State.STOPPED) == 2


def test_failures_are_recorded_and_the_rest_goes_on(tmp_path):
    mscflow.run(flows.tolerant(), dir=tmp_path)
    found = {row.name: row for row in rows(tmp_path)}
    assert found["fail"].state is State.FAILED
    assert "this job always fails" in found["fail"].error
    assert found["add"].state is State.SKIPPED
    assert "needs fail" in found["add"].error
    assert found["total"].state is State.DONE


def test_what_ran_without_a_failed_parent_runs_again_with_it(tmp_path):
    late = flows.once_there(str(tmp_path / "flag"), 7)
    copes = flows.total([late.output, 5])
    copes.config.on_missing_references = OnMissing.NONE
    after = flows.add(copes.output, 1)
    aside = flows.add(1, 1)
    responses = mscflow.run(Flow([late, copes, after, aside]), dir=tmp_path / "run")
    assert [responses[made.uuid][1].output for made in (copes, after)] == [5, 6]
    (tmp_path / "flag").touch()
    responses = mscflow.resume(tmp_path / "run")
    assert [responses[made.uuid][1].output for made in (late, copes, after)] == [7, 12, 13]
    assert [row.n_attempts for row in rows(tmp_path / "run")] == [2, 2, 2, 1]


def test_what_was_replaced_without_a_failed_parent_is_named(tmp_path):
    late = flows.once_there(str(tmp_path / "flag"), 7)
    copes = flows.spread([late.output, 5])
    copes.config.on_missing_references = OnMissing.NONE
    mscflow.run(Flow([late, copes]), dir=tmp_path / "run")
    (tmp_path / "flag").touch()
    with pytest.warns(StaleWarning, match="'spread' ran without a job that is tried again"):
        responses = mscflow.resume(tmp_path / "run")
    assert responses[late.uuid][1].output == 7
    assert responses[copes.uuid][2].output == 5


def test_a_job_whose_output_is_gone_runs_again(tmp_path):
    flow = flows.chain(2)
    mscflow.run(flow, dir=tmp_path)
    with sqlite3.connect(tmp_path / STORE_FILE) as connection:
        connection.execute("DELETE FROM outputs WHERE uuid=?", [flow.job_uuids[1]])
    assert mscflow.resume(tmp_path)[flow.job_uuids[1]][1].output == 2
    assert [row.n_attempts for row in rows(tmp_path)] == [1, 2]


def test_a_long_chain_after_a_failure_is_skipped(tmp_path):
    jobs = [flows.fail()]
    for _ in range(400):
        jobs.append(flows.add(jobs[-1].output, 1))
    mscflow.run(Flow(jobs), dir=tmp_path)
    assert Counter(row.state for row in rows(tmp_path)) == {State.FAILED: 1, State.SKIPPED: 400}


def test_a_second_run_repeats_nothing_and_gives_the_same_results(tmp_path):
    flow = flows.tree(pause=0.0)
    first = mscflow.run(flow, dir=tmp_path)
    assert static_outputs(mscflow.run(flow, dir=tmp_path), flow) == static_outputs(first, flow)
    assert static_outputs(mscflow.resume(tmp_path), flow) == static_outputs(first, flow)
    assert {row.n_attempts for row in rows(tmp_path)} == {1}


def test_the_same_flow_made_again_goes_on_under_its_new_uuids(tmp_path):
    mscflow.run(flows.chain(3), dir=tmp_path)
    flow = flows.chain(3)
    responses = mscflow.run(flow, dir=tmp_path)
    assert responses[flow.job_uuids[-1]][1].output == 3
    assert {row.n_attempts for row in rows(tmp_path)} == {1}


def test_a_flow_of_parts_that_do_not_depend_on_each_other_is_known_again(tmp_path):
    for _ in range(5):  # jobflow's own order of such parts changes with the uuids
        mscflow.run(Flow([flows.chain(2) for _ in range(6)]), dir=tmp_path)
    assert {row.n_attempts for row in rows(tmp_path)} == {1}


def test_side_by_side_gives_the_same(tmp_path):
    flow = flows.tree(pause=0.0)
    one = mscflow.run(flow, dir=tmp_path / "one")
    two = mscflow.run(flow, dir=tmp_path / "two", n_workers=2)
    assert static_outputs(one, flow) == static_outputs(two, flow)


def test_a_killed_worker_is_tried_once_more(tmp_path):
    responses = mscflow.run(flows_die(tmp_path / "marker"), dir=tmp_path / "run")
    assert [r[1].output for r in responses.values()] == ["survived"]
    assert rows(tmp_path / "run")[0].n_attempts == 2


def test_a_job_that_kills_every_worker_fails_the_second_time(tmp_path):
    def no_third(event):
        assert event.row.n_attempts <= 2

    mscflow.run(Flow([flows.die(), flows.add(1, 1)]), dir=tmp_path, on_event=no_third)
    killer, other = rows(tmp_path)
    assert (killer.state, killer.n_attempts) == (State.FAILED, 2)
    assert "2 times" in killer.error
    assert other.state is State.DONE


def flows_die(marker: Path) -> Flow:
    return Flow([flows.die_once(str(marker))])


def test_output_of_jobs_goes_to_their_log_only(tmp_path, capfd):
    mscflow.run(Flow([flows.talk("hello from a job")]), dir=tmp_path)
    assert "hello" not in "".join(capfd.readouterr())
    assert "hello from a job" in next(tmp_path.glob("jobs/*/job.log")).read_text()


def test_job_names_never_become_paths(tmp_path):
    job = flows.add(1, 1)
    job.name = "../../../escape $(touch x); "
    mscflow.run(Flow([job]), dir=tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "jobs").iterdir()] == ["0001-escape-touch-x"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_the_text_of_a_run_is_that_of_its_last_start(tmp_path):
    for text in ("fwhm: 0.2", "fwhm: 0.1", ""):
        mscflow.run(flows.chain(1), dir=tmp_path, campaign=text)
    journal = Journal(tmp_path / STORE_FILE)
    assert journal.meta()["campaign"] == "fwhm: 0.1"
    journal.close()


def test_a_run_of_the_same_source_goes_on_with_its_own_jobs(tmp_path):
    """A structure that is built has other last digits on another processor."""
    first = mscflow.run(flow := Flow([flows.add(1.0, 1)]), dir=tmp_path, source="a")
    again = Flow([flows.add(1.0 + 1e-12, 1)])
    found = mscflow.run(again, dir=tmp_path, source="a")
    assert static_outputs(found, again) == static_outputs(first, flow) == [2.0]
    assert [row.n_attempts for row in rows(tmp_path)] == [1]
    for other, source in ((again, "b"), (again, ""), (flows.chain(2), "a")):
        with pytest.raises(StoreError, match="holds another campaign"):
            mscflow.run(other, dir=tmp_path, source=source)


def test_another_flow_is_refused(tmp_path):
    mscflow.run(flows.chain(2), dir=tmp_path)
    with pytest.raises(StoreError, match="holds another campaign"):
        mscflow.run(flows.chain(3), dir=tmp_path)


def test_arguments_decide_whatever_they_are_called(tmp_path):
    def flow(value):
        made = flows.size({"metadata": value, "hosts": [value], "@version": value})
        made.update_metadata({"estimate_s": len(str(value))})
        return Flow([made])

    mscflow.run(flow("a"), dir=tmp_path)
    with pytest.raises(StoreError, match="holds another campaign"):
        mscflow.run(flow("bb"), dir=tmp_path)
    with sqlite3.connect(tmp_path / STORE_FILE) as connection:  # as an earlier version computed another one
        connection.execute("UPDATE meta SET value='other' WHERE key='fingerprint'")
    mscflow.run(flow("a"), dir=tmp_path)
    assert {row.n_attempts for row in rows(tmp_path)} == {1}


SCRIPT = """
from jobflow import Flow, job
import mscflow

@job
def double(x):
    return 2 * x

mscflow.run(double(1), dir="mine")
"""


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (SCRIPT, "a worker imports this script: put mscflow.run under `if __name__ == '__main__':`"),
        (SCRIPT + 'assert __name__ == "__main__"', "put mscflow.run under"),
        ("import sys\nif __name__ != '__main__': sys.exit(3)\n" + SCRIPT, "SystemExit: 3"),
    ],
)
def test_a_script_that_cannot_be_imported_is_said(tmp_path, script, reason):
    (tmp_path / "script.py").write_text(script)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=False, timeout=100)
    (row,) = rows(tmp_path / "mine")
    assert row.state is State.FAILED
    assert reason in row.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "script.py"]


def test_a_script_under_main_runs(tmp_path):
    text = SCRIPT.replace("mscflow.run", "if __name__ == '__main__':\n    mscflow.run")
    (tmp_path / "script.py").write_text(text)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, timeout=100)
    assert [row.state for row in rows(tmp_path / "mine")] == [State.DONE]


def test_jobs_of_a_script_are_resumed_without_it(tmp_path):
    (tmp_path / "beside.py").write_text("def twice(x):\n    return 2 * x\n")
    imports = "import mscflow\nfrom beside import twice\nfrom pathlib import Path"
    text = SCRIPT.replace("import mscflow", imports)
    text = text.replace("mscflow.run", "if __name__ == '__main__':\n    mscflow.run")
    late = f"    assert Path({str(tmp_path / 'flag')!r}).exists()\n    return twice(x)"
    (tmp_path / "script.py").write_text(text.replace("    return 2 * x", late))
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, timeout=100)
    assert [row.state for row in rows(tmp_path / "mine")] == [State.FAILED]
    (tmp_path / "flag").touch()
    command = [sys.executable, "-m", "mscflow", "resume", tmp_path / "mine"]
    subprocess.run(command, check=True, timeout=100)
    assert [row.state for row in rows(tmp_path / "mine")] == [State.DONE]


def test_a_function_that_cannot_be_imported_is_named(tmp_path):
    (tmp_path / "gone.py").write_text("from jobflow import job\n\n@job\ndef one():\n    return 1\n")
    script = "import gone, mscflow; open('gone.py', 'w').close(); mscflow.run([gone.one()], dir='run')"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=100)
    assert "no function 'one' in 'gone' here: put it into a module" in rows(tmp_path / "run")[0].error


def test_an_earlier_run_that_was_moved_is_named(tmp_path):
    first = flows.add(1, 1)
    mscflow.run([first], dir=tmp_path / "a")
    late = flows.once_there(str(tmp_path / "flag"), 1)
    last = flows.add(first.output, late.output)
    flow = Flow([late, last])
    mscflow.run(flow, dir=tmp_path / "b", earlier=[tmp_path / "a"])
    (tmp_path / "a").rename(tmp_path / "moved")
    (tmp_path / "flag").touch()
    with pytest.raises(InputError, match=f"{tmp_path / 'a'}: results of this earlier run are needed"):
        mscflow.resume(tmp_path / "b")
    assert not (tmp_path / "a").exists()
    responses = mscflow.run(flow, dir=tmp_path / "b", earlier=[tmp_path / "moved"])
    assert responses[last.uuid][1].output == 3


def test_times_and_machine_are_those_of_the_worker(tmp_path):
    journal = Journal(tmp_path / STORE_FILE)
    journal.begin({"name": "x"}, new_jobs(flow := flows.chain(1)))
    journal.reopen()
    key = (flow.job_uuids[0], 1)
    journal.start(key)
    journal.settle(key, State.WAITING, "no time", Attempt("node7", 100.0, 130.0))
    row = journal.row(key)
    assert (row.host, row.wall_time_s, row.error) == ("node7", 30.0, "no time")
    journal.start(key)
    journal.finish(key, {}, [], ran=Attempt("node8", 200.0, 210.0))
    row = journal.row(key)
    assert (row.state, row.host, row.wall_time_s, row.error) == (State.DONE, "node8", 10.0, "")
    journal.close()


def test_a_run_that_was_stopped_before_it_began(tmp_path):
    Journal(tmp_path / STORE_FILE).close()
    with pytest.raises(InputError, match="stopped before it began"):
        mscflow.resume(tmp_path)
    responses = mscflow.run(flows.chain(2), dir=tmp_path)
    assert len(responses) == 2


def test_nothing_to_resume(tmp_path):
    with pytest.raises(InputError, match="no run here"):
        mscflow.resume(tmp_path)


def test_unknown_executor(tmp_path):
    with pytest.raises(InputError, match="unknown executor 'cloud'"):
        mscflow.run(flows.chain(1), executor="cloud", dir=tmp_path)


def test_two_drivers_on_one_directory_are_refused(tmp_path):
    flow = flows.chain(1)
    problems = []

    def second(event):
        with pytest.raises(StoreError, match="another mscflow is running here") as caught:
            mscflow.resume(tmp_path)
        problems.append(caught)

    mscflow.run(flow, dir=tmp_path, on_event=second)
    assert problems


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system; CI is root")


@needs_root
def test_a_directory_that_cannot_be_written(tmp_path):
    mount = tmp_path / "readonly"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", mount], check=True)
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            mscflow.run(flows.chain(1), dir=mount / "run")
    finally:
        subprocess.run(["umount", mount], check=True)


@needs_root
def test_a_run_that_cannot_be_written_can_be_read(tmp_path):
    mount = tmp_path / "colleague"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount], check=True)
    try:
        made = flows.chain(2)
        mscflow.run(made, dir=mount / "run")
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        assert [row.state for row in rows(mount / "run")] == [State.DONE] * 2
        assert check(mount / "run" / STORE_FILE) == []
        command = [sys.executable, "-m", "mscflow", "report", mount / "run", "-o", tmp_path / "mine.html"]
        subprocess.run(command, check=True, timeout=100)
        later = flows.add(made.output, 1)
        responses = mscflow.run([later], dir=tmp_path / "later", earlier=[mount / "run"])
        assert responses[later.uuid][1].output == 3
        with pytest.raises(StoreError, match="cannot be written"):
            mscflow.resume(mount / "run")
    finally:
        subprocess.run(["umount", mount], check=True)


@needs_root
def test_a_full_disk_loses_nothing(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], check=True)
    try:
        flow = Flow([flows.add(1, 1), flows.padding(3_000_000)])
        with pytest.raises(StoreError, match="disk is full"):
            mscflow.run(flow, dir=mount / "run")
        subprocess.run(["mount", "-o", "remount,size=50m", mount], check=True)
        responses = mscflow.resume(mount / "run")
        assert responses[flow.job_uuids[0]][1].output == 2
        assert len(responses[flow.job_uuids[1]][1].output) == 3_000_000
        assert rows(mount / "run")[0].n_attempts == 1
    finally:
        subprocess.run(["umount", mount], check=True)


def test_a_newer_store_and_a_foreign_file_are_refused(tmp_path):
    mscflow.run(flows.chain(1), dir=tmp_path)
    with sqlite3.connect(tmp_path / STORE_FILE) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StoreError, match="newer mscflow"):
        mscflow.resume(tmp_path)
    (tmp_path / "other").mkdir()
    with sqlite3.connect(tmp_path / "other" / STORE_FILE) as connection:
        connection.execute("CREATE TABLE x (y)")
    with pytest.raises(StoreError, match="no mscflow store"):
        mscflow.resume(tmp_path / "other")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / STORE_FILE).write_text("this is not a database at all" * 50)
    with pytest.raises(StoreError, match="damaged"):
        mscflow.resume(tmp_path / "text")


def test_workers_end_with_the_run(tmp_path):
    mscflow.run(flows.chain(1), dir=tmp_path)
    running = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    )
    assert "mscflow.executors.worker" not in running.stdout
