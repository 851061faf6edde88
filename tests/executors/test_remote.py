"""jobflow-remote runs our flows unchanged, on a local and a Slurm worker, and their results come back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from flows_for_tests import add
from mongo_server import mongo_server
from runs_for_tests import rows

from mscflow.errors import InputError
from mscflow.executors import STORE_FILE, Journal, State, remote, resume, run
from mscflow.executors.remote import _seconds, load_remote

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
CAMPAIGN = """\
name: remote
structure: {build: InL3, ligand: formate}
relax: {level: gfn2-xtb, fmax: 0.1}
exchange: {ions: [Ga3+], sites: all}
"""


def test_times_of_the_database_are_utc(monkeypatch):
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    try:
        assert _seconds(datetime(2026, 1, 1)) == 1767225600
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a campaign and a remote whose database runs while the test does."""
    projects = tmp_path / "jfremote"
    projects.mkdir()
    monkeypatch.setenv("JFREMOTE_PROJECTS_FOLDER", str(projects))
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    with mongo_server() as port:
        write_remote(tmp_path, port)
        yield tmp_path


def write_remote(place: Path, port: int, scheduler: str = "shell", default: str = "here") -> None:
    """Write the remote's file: two workers on this machine."""
    store = f"{{type: MongoStore, host: 127.0.0.1, port: {port}, database: test"
    environment = f"export PATH={BIN}:$PATH JFREMOTE_PROJECTS_FOLDER={place / 'jfremote'} OMP_NUM_THREADS=1"
    (place / "remote.yaml").write_text(f"""\
project:
  name: tests
  workers:
    here: {{type: local, scheduler_type: shell, work_dir: {place / "jobs"}, pre_run: "{environment}"}}
    there: {{type: local, scheduler_type: {scheduler}, work_dir: {place / "jobs"}, pre_run: "{environment}"}}
  queue:
    store: {store}, collection_name: jobs}}
  jobstore:
    docs_store: {store}, collection_name: outputs}}
    additional_stores:
      data: {store}, collection_name: blobs}}
  runner: {{delay_checkout: 1, delay_check_run_status: 1, delay_advance_status: 1}}
jobs:
  default: {{worker: {default}}}
  analyse: {{worker: there}}
""")


def jf(*arguments: str) -> str:
    """Run a command of jobflow-remote."""
    result = subprocess.run(
        [BIN / "jf", "-p", "tests", *arguments], capture_output=True, text=True, timeout=300, input="y\n"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def mscflow(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of ours."""
    command = [BIN / "mscflow", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def submit(place: Path) -> subprocess.CompletedProcess[str]:
    """Submit the campaign."""
    (place / "jobs").mkdir(exist_ok=True)
    options = ["--executor", "remote", "--site", place / "remote.yaml", "--dir", place / "run"]
    return mscflow("run", place / "campaign.yaml", *options)


def submitted(place: Path) -> Path:
    """Submit the campaign and return its run directory."""
    result = submit(place)
    assert result.returncode == 0, result.stderr
    return place / "run"


def run_until_done(place: Path, directory: Path, seconds: float = 300) -> None:
    """Let jobflow-remote's own runner work until no job is left, fetching what there is."""
    with (place / "runner.log").open("w") as log:
        runner = subprocess.Popen([BIN / "jf", "-p", "tests", "runner", "run"], stdout=log, stderr=log)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = mscflow("fetch", directory)
            assert result.returncode == 0, result.stderr
            states = {row.state for row in rows(directory)}
            if not states & {State.WAITING, State.RUNNING}:
                return
            assert State.FAILED not in states, [row.error for row in rows(directory)]
            time.sleep(2)
        raise AssertionError((place / "runner.log").read_text() + jf("job", "list"))
    finally:
        runner.terminate()
        runner.wait(timeout=30)


def energies(directory: Path) -> dict[str, float]:
    """Reaction energies of a run / eV by equation."""
    journal = Journal(directory / STORE_FILE)
    documents = [d["output"] for d in journal.outputs([row.uuid for row in journal.rows()])]
    journal.close()
    found = [d for d in documents if isinstance(d, dict) and "reactions" in d]
    return {reaction["equation"]: reaction["energy"] for d in found for reaction in d["reactions"]}


@pytest.mark.slow
def test_a_campaign_runs_under_jobflow_remote_and_comes_back(place):
    directory = submitted(place)
    assert "relax" in jf("job", "list")
    run_until_done(place, directory)
    assert {row.state for row in rows(directory)} == {State.DONE}
    here = place / "local"
    result = mscflow("run", place / "campaign.yaml", "--dir", here)
    assert result.returncode == 0, result.stderr
    assert energies(directory) == pytest.approx(energies(here), abs=1e-6)
    assert sorted(row.name for row in rows(directory)) == sorted(row.name for row in rows(here))
    assert (directory / "report.html").exists()
    workers = {row.name.split()[0]: row.host for row in rows(directory)}
    assert workers["analyse"] == "there"
    assert workers["relax"] == "here"
    with pytest.raises(InputError, match="mscflow fetch"):
        resume(directory)


@pytest.mark.slow
def test_a_slurm_worker_takes_the_jobs(place, slurm):
    text = (place / "remote.yaml").read_text()
    port = int(text.split("port: ")[1].split(",")[0])
    write_remote(place, port, scheduler="slurm", default="there")
    directory = submitted(place)
    run_until_done(place, directory)
    assert {row.state for row in rows(directory)} == {State.DONE}
    assert {row.host for row in rows(directory)} == {"there"}


def test_what_was_submitted_is_not_run_here(place):
    directory = submitted(place)
    for command in (["resume", directory], ["run", place / "campaign.yaml", "--dir", directory]):
        result = mscflow(*command)
        assert result.returncode == 2
        assert f"jobflow-remote runs its jobs: `mscflow fetch {directory}`" in result.stderr
    assert {row.state for row in rows(directory)} == {State.WAITING}


def test_jobflow_remote_that_is_not_installed_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jobflow_remote", None)
    with pytest.raises(InputError, match=r"pip install 'mscflow\[remote\]'"):
        remote.submit(add(1, 2), load_remote(ROOT / "hpc" / "remote.yaml"), tmp_path / "run")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("worker: here", "worker: nowhere", "jobs.default: project tests has no 'nowhere': here, there"),
        ("scheduler_type: shell", "scheduler_type: shel", "project.workers.here.local.scheduler_type"),
        ("\njobs:", "\njob:", "job: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_remote_is_one_line(place, old, new, message):
    path = place / "remote.yaml"
    path.write_text(path.read_text().replace(old, new, 1))
    result = submit(place)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (place / "run" / STORE_FILE).exists()


def test_a_database_that_does_not_answer_is_one_line(place):
    path = place / "remote.yaml"
    text = path.read_text().replace(
        "database: test", "database: test, mongoclient_kwargs: {serverSelectionTimeoutMS: 500}"
    )
    path.write_text(re.sub(r"port: \d+", "port: 9", text))
    result = submit(place)
    assert result.returncode == 2
    assert "the database of project tests does not answer: 127.0.0.1:9" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_project_written_by_hand_is_not_overwritten(place):
    store = "{type: MongoStore, host: localhost, database: mine, collection_name: jobs}"
    mine = place / "jfremote" / "tests.yaml"
    mine.write_text(f"name: tests\nqueue: {{store: {store}}}\n")
    before = mine.read_text()
    result = submit(place)
    assert result.returncode == 2
    assert "of yours" in result.stderr
    assert mine.read_text() == before


def test_the_template_is_complete():
    assert load_remote(ROOT / "hpc" / "remote.yaml").jobs["refine"].worker == "cluster"


def test_a_run_that_was_not_submitted_is_not_fetched(tmp_path):
    run(add(1, 2), dir=tmp_path / "run")
    result = mscflow("fetch", tmp_path / "run")
    assert result.returncode == 2
    assert "mscflow resume" in result.stderr
