"""Flows on a real Slurm with two virtual nodes: blocks come, go and are lost; results and jobs are not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import flows_for_tests as flows
import psutil
import pytest
from chemistry_for_tests import SITE as CHEMISTRY_SITE
from chemistry_for_tests import chemistry
from jobflow import Flow
from runs_for_tests import rows, static_outputs

import mscflow
from mscflow.errors import InputError
from mscflow.executors import STORE_FILE, Site, load_site
from mscflow.executors.pilot import _provider, scripts

ROOT = Path(__file__).parents[2]
SITES = [*sorted((ROOT / "hpc").glob("slurm*.yaml")), ROOT / "hpc" / "pbs.yaml"]
SITE = {
    "scheduler": "slurm",
    "pools": {"small": {"cores": 2, "memory_gib": 1, "walltime": "00:10:00", "max_blocks": 2}},
    "address": "127.0.0.1",
}


def blocks() -> list[str]:
    """Blocks that are pending or running."""
    listed = subprocess.run(["squeue", "-h", "-o", "%i %T"], capture_output=True, text=True, check=True)
    return [line.split()[0] for line in listed.stdout.splitlines() if "COMPLETING" not in line]


def until(condition, seconds: float = 60.0) -> None:
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "waited in vain"
        time.sleep(0.2)


def outputs(responses: dict) -> list:
    return sorted(str(r.output) for by_index in responses.values() for r in by_index.values())


def test_jobs_run_on_both_nodes_and_nothing_is_left(slurm, tmp_path):
    flow = Flow([flows.node(2.0) for _ in range(4)])
    responses = mscflow.run(flow, Site.model_validate(SITE), tmp_path / "run")
    nodes = Counter(by_index[1].output for by_index in responses.values())
    assert set(nodes) == {"n1", "n2"}
    assert sum(nodes.values()) == 4
    until(lambda: not blocks())


def test_a_flow_means_the_same_there(slurm, tmp_path):
    flow = flows.tree(pause=0.0)
    local = mscflow.run(flow, dir=tmp_path / "local")
    there = mscflow.run(flow, Site.model_validate(SITE), tmp_path / "there")
    assert static_outputs(there, flow) == static_outputs(local, flow)
    assert len(outputs(there)) == len(outputs(local))
    assert Counter(row.state for row in rows(tmp_path / "there")) == Counter(
        row.state for row in rows(tmp_path / "local")
    )


def test_cancelled_blocks_cost_another_attempt_and_nothing_else(slurm, tmp_path):
    flow = Flow([flows.node(4.0) for _ in range(4)])
    cancelled = []

    def cancel() -> None:
        until((tmp_path / "run" / STORE_FILE).exists)
        until(lambda: any(row.state == "done" for row in rows(tmp_path / "run")))
        cancelled.extend(running_blocks())
        subprocess.run(["scancel", *cancelled], check=True)

    thread = threading.Thread(target=cancel)
    thread.start()
    responses = mscflow.run(flow, Site.model_validate(SITE), tmp_path / "run")
    thread.join()
    assert cancelled
    assert len(responses) == 4
    attempts = [row.n_attempts for row in rows(tmp_path / "run")]
    assert max(attempts) == 2
    until(lambda: not blocks())


def running_blocks() -> list[str]:
    listed = subprocess.run(
        ["squeue", "-h", "-t", "RUNNING", "-o", "%i"], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


DRIVER = """
import sys
sys.path.insert(0, {tests!r})
import flows_for_tests as flows
import mscflow
from chemistry_for_tests import SITE as CHEMISTRY_SITE
from chemistry_for_tests import chemistry
from jobflow import Flow
from mscflow.executors import Site
mscflow.run(Flow([flows.node(1.5) for _ in range(8)]), Site.model_validate({site!r}), {directory!r})
"""


def test_a_killed_driver_leaves_nothing_behind_once_its_run_goes_on(slurm, tmp_path):
    directory = tmp_path / "run"
    script = DRIVER.format(tests=str(ROOT / "tests"), site=SITE, directory=str(directory))
    driver = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    until((directory / STORE_FILE).exists)
    until(lambda: sum(row.state == "done" for row in rows(directory)) >= 2)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    done = {row.key for row in rows(directory) if row.state == "done"}
    assert blocks()
    responses = mscflow.resume(directory, Site.model_validate(SITE))
    assert len(responses) == 8
    assert all(row.n_attempts == 1 for row in rows(directory) if row.key in done)
    until(lambda: not blocks())
    left = [
        p for p in psutil.process_iter(["cmdline"]) if "interchange.py" in " ".join(p.info["cmdline"] or ())
    ]
    assert left == []


def test_a_job_that_is_longer_than_a_block_goes_on_in_the_next(slurm, tmp_path):
    pool = {"cores": 2, "memory_gib": 1, "walltime": "00:01:00"}
    site = Site.model_validate({**SITE, "pools": {"short": pool}})
    responses = mscflow.run(Flow([flows.count_to(70, str(tmp_path / "state"))]), site, tmp_path / "run")
    (response,) = (by_index[1] for by_index in responses.values())
    assert response.output["counted"] == 70
    assert response.output["blocks"] >= 2


def test_a_job_that_stopped_in_time_leaves_its_block(slurm, tmp_path):
    """A step takes more than a third of a block: after one there is no time for another."""
    pool = {"cores": 2, "memory_gib": 1, "walltime": "00:01:00"}
    site = Site.model_validate({**SITE, "pools": {"short": pool}})
    flow = Flow([flows.count_to(2, str(tmp_path / "state"), pause=20.0)])
    responses = mscflow.run(flow, site, tmp_path / "run")
    (response,) = (by_index[1] for by_index in responses.values())
    assert response.output == {"counted": 2, "blocks": 2}
    (row,) = rows(tmp_path / "run")
    assert row.n_attempts == len(list((tmp_path / "run" / "parsl").glob("*/block-*"))) == 2


STAND_IN = """\
echo "$MSCFLOW_DEADLINE $(date +%s) $*" >> {place}/calls
[ "$(wc -l < {place}/calls)" -gt 1 ] || exit 75
"""


def test_the_script_of_one_allocation_knows_its_end_and_submits_itself_again(slurm, tmp_path):
    """What stands for mscflow here writes down what it is told, and has time left over the second time."""
    activate = tmp_path / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f"mscflow() {{ bash {tmp_path}/mscflow.sh $@; }}\n")
    (tmp_path / "mscflow.sh").write_text(STAND_IN.format(place=tmp_path))
    text = (ROOT / "hpc" / "campaign.sbatch").read_text()
    for line, small in (("--time=12:00:00", "--time=3"), ("--mem=32G", "--mem=100M"), ("task=16", "task=1")):
        assert line in text
        text = text.replace(line, small)
    (tmp_path / "campaign.sbatch").write_text(text)
    command = ["sbatch", "campaign.sbatch", "campaign.yaml", "run"]
    subprocess.run(command, cwd=tmp_path, check=True)
    until(lambda: (tmp_path / "calls").exists() and not blocks())
    calls = [line.split(maxsplit=2) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [call[2] for call in calls] == ["run campaign.yaml --dir run"] * 2
    for end, now, _ in calls:
        assert 100 < int(end) - int(now) <= 180


def test_dry_run_prints_the_scripts():
    (text,) = scripts(Site.model_validate(SITE)).values()
    assert "#SBATCH --mem=1g" in text
    assert "#SBATCH --cpus-per-task=2" in text
    assert "#SBATCH --time=10" in text
    assert "export MSCFLOW_MEMORY_GIB=1" in text


@pytest.mark.parametrize(("name", "is_shown"), [("slurm", True), ("pbs", False)])
def test_a_dry_run_prints_what_it_can(name, is_shown):
    options = ["--executor", name, "--site", ROOT / "hpc" / f"{name}.yaml", "--dry-run"]
    command = [sys.executable, "-m", "mscflow", "run", ROOT / "inputs" / "quickstart.yaml", *options]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ("#SBATCH" in plain.stdout) is is_shown
    assert ("are written by Parsl" in plain.stderr) is not is_shown
    for_machines = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(for_machines.stdout)[0]["job"].startswith("structure")


def test_a_block_of_pbs_asks_for_everything_once(tmp_path, monkeypatch):
    """The text that is submitted; the qsub here only gives it a number."""
    (tmp_path / "qsub").write_text("#!/bin/sh\necho 1.server\n")
    (tmp_path / "qsub").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    site = load_site(ROOT / "hpc" / "pbs.yaml")
    pool = site.pools["large"].model_copy(update={"gpus": 2})
    provider = _provider(site, pool, "mark")
    provider.script_dir = str(tmp_path)
    assert provider.submit("process_worker_pool.py", 1) == "1.server"
    (script,) = tmp_path.glob("parsl*")
    (select,) = (line for line in script.read_text().splitlines() if "select" in line)
    assert select == "#PBS -l select=1:ncpus=48:mem=180gb:ngpus=2"


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_templates_are_valid(path):
    site = load_site(path)
    assert site.pool_of("refine In4P") == site.jobs["refine"]
    assert site.pool_of("relax In4P") == site.jobs["default"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pools: {}", "pools: Dictionary should have at least 1 item"),
        ("pools: {a: {cores: 0, memory_gib: 1}}", "pools.a.cores"),
        ("pools: {a: {cores: 1, memory_gib: 1}}\njobs: {refine: b}", "there is no pool 'b': a"),
        ("pools: {a: {cores: 1, memory_gib: 1, walltime: 4h}}", "pools.a.walltime"),
        ("pools: [", "YAML syntax"),
        ("", r"site.yaml: settings, one `name: value` a line, are needed, not None"),
        ("# für alle Knoten", "cannot be read as text in UTF-8"),
    ],
)
def test_a_broken_site_is_refused(text, message, tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=message):
        load_site(path)


@pytest.fixture(scope="module")
def energies_here(tmp_path_factory) -> list[float]:
    return energies(mscflow.run(chemistry(), dir=tmp_path_factory.mktemp("here") / "run"))


def energies(responses: dict) -> list[float]:
    return sorted(by_index[1].output.energy for by_index in responses.values())


def require_same_chemistry(directory: Path, responses: dict, expected: list[float]) -> None:
    assert energies(responses) == pytest.approx(expected, abs=1e-3)
    assert Counter(str(row.state) for row in rows(directory)) == {"done": len(expected)}
    assert all(row.n_completions == 1 for row in rows(directory))
    until(lambda: not blocks())


@pytest.mark.slow
def test_chemistry_on_two_nodes_is_that_of_this_process(slurm, energies_here, tmp_path):
    responses = mscflow.run(chemistry(), CHEMISTRY_SITE, tmp_path / "run")
    require_same_chemistry(tmp_path / "run", responses, energies_here)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["a block is cancelled", "a worker process is killed"])
def test_chemistry_survives(fault, slurm, energies_here, tmp_path):
    directory, done = tmp_path / "run", []

    def disturb() -> None:
        until((directory / STORE_FILE).exists)
        until(lambda: any(row.state == "running" for row in rows(directory)) and running_blocks())
        until(lambda: cancel_a_block() if fault == "a block is cancelled" else kill_a_worker())
        done.append(fault)

    thread = threading.Thread(target=disturb)
    thread.start()
    responses = mscflow.run(chemistry(), CHEMISTRY_SITE, directory)
    thread.join()
    assert done
    require_same_chemistry(directory, responses, energies_here)


@pytest.mark.slow
def test_chemistry_survives_blocks_that_run_out_of_time(slurm, energies_here, tmp_path):
    pool = {"cores": 2, "memory_gib": 3, "walltime": "00:01:00", "max_blocks": 1}
    site = Site.model_validate({**CHEMISTRY_SITE.model_dump(), "pools": {"small": pool, "large": pool}})
    responses = mscflow.run(chemistry(5), site, tmp_path / "run")
    require_same_chemistry(tmp_path / "run", responses, sorted(5 * energies_here))
    blocks_used = list((tmp_path / "run" / "parsl").glob("*/block-*"))
    assert len(blocks_used) > len(site.pools)


def cancel_a_block() -> bool:
    return subprocess.run(["scancel", running_blocks()[0]]).returncode == 0


def kill_a_worker() -> bool:
    """Kill a process that runs jobs in a block, if there is one."""
    for process in psutil.process_iter(["cmdline"]):
        if "mscflow.executors.worker" in (process.info["cmdline"] or ()) and in_a_block(process):
            process.kill()
            return True
    return False


def in_a_block(process: psutil.Process) -> bool:
    return any("process_worker_pool" in " ".join(parent.cmdline()) for parent in process.parents())


@pytest.mark.slow
def test_chemistry_survives_a_killed_driver(slurm, energies_here, tmp_path):
    directory = tmp_path / "run"
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "import mscflow\nfrom chemistry_for_tests import SITE, chemistry\n"
        f"mscflow.run(chemistry(), SITE, {str(directory)!r})\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    until((directory / STORE_FILE).exists)
    until(lambda: any(row.state == "done" for row in rows(directory)), 120)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    responses = mscflow.resume(directory, CHEMISTRY_SITE)
    require_same_chemistry(directory, responses, energies_here)
