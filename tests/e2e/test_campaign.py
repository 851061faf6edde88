"""A whole campaign through the command line: finished, killed and resumed, and under plain jobflow."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from mscflow.campaign import parse_campaign
from mscflow.executors import STORE_FILE, Journal

CAMPAIGN = """
name: small
structure: {build: InL3, ligand: formate}
relax: {level: "mace:msc-small", fmax: 0.02}
refine: {level: "pbe-d3bj/def2-svp[grid=1]"}
exchange: {ions: [Zn2+, Ga3+]}
excite: {level: "pbe/def2-svp[grid=1]", nstates: 3}
"""
N_KILLS = 6
VARIES = {"wall_time_s", "stages"}
"""What differs between two runs of the same calculation: times, also inside the lines about SCF stages."""


def start(*arguments, cwd: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "mscflow", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def documents(directory: Path) -> dict[str, object]:
    """Outputs by job name, without what varies; uuids of references are left out too."""
    journal = Journal(directory / STORE_FILE)
    rows = journal.rows()
    found = journal.outputs(list(dict.fromkeys(row.uuid for row in rows)))
    assert {(row.state, row.n_completions) for row in rows} == {("done", 1)}
    journal.close()
    return {
        f"{d['name']} {d['index']}": stripped(d["output"])
        for d in found
        if "attributes" not in str(d["output"])
    }


def stripped(value):
    if isinstance(value, dict):
        return {k: stripped(v) for k, v in value.items() if k not in VARIES and not k.startswith("@")}
    return [stripped(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("undisturbed")
    (place / "small.yaml").write_text(CAMPAIGN)
    process = start("run", "small.yaml", cwd=place)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert output.strip() == "Report: runs/small/report.html"
    assert "✓" in errors
    return place / "runs" / "small"


def test_the_report_has_all_parts_with_numbers(undisturbed):
    text = (undisturbed / "report.html").read_text()
    assert "not there yet" not in text
    for key in ("ligands", "scf", "exchange", "species", "states", "levels", "jobs", "versions"):
        assert f'id="table-{key}"' in text
    energies = re.findall(r"<td>([+-]\d+\.\d{3})</td>", text)
    assert len(energies) >= 2
    found = [document for document in documents(undisturbed).values() if isinstance(document, dict)]
    (excitations,) = (document for document in found if "states" in document)
    (refinement,) = (document for document in found if isinstance(document.get("scf"), list))
    assert [row[1:4] for row in cells(text, "states")] == [
        [f"{s['energy']:.3f}", f"{s['wavelength']:.1f}", f"{s['oscillator_strength']:.4f}"]
        for s in excitations["states"]
    ]
    assert [(row[3], row[6]) for row in cells(text, "scf")] == [
        (str(scf["cycles"]), f"{scf['energy']:.6f}") for scf in [*refinement["scf"], excitations["scf"]]
    ]


def cells(page: str, key: str) -> list[list[str]]:
    """Cells of a table of a report, row by row."""
    table = page.split(f'id="table-{key}"')[1].split("</table>")[0]
    return [re.findall(r"<td>(.*?)</td>", row) for row in table.split("<tr>")[2:]]


def test_status_lists_every_job(undisturbed):
    process = start("status", undisturbed, "--json", cwd=undisturbed)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    rows = json.loads(output)
    assert {row["state"] for row in rows} == {"done"}
    assert sum(row["job"].startswith("relax ") for row in rows) >= 3


def test_running_again_repeats_nothing(undisturbed):
    process = start("run", undisturbed.parents[1] / "small.yaml", "--dir", undisturbed, cwd=undisturbed)
    errors = process.communicate()[1]
    assert process.returncode == 0
    assert "✓" not in errors
    documents(undisturbed)


def test_a_changed_campaign_is_refused_in_its_directory(undisturbed, tmp_path):
    (tmp_path / "other.yaml").write_text(CAMPAIGN.replace("0.02", "0.03"))
    process = start("run", "other.yaml", "--dir", undisturbed, cwd=tmp_path)
    errors = process.communicate()[1]
    assert process.returncode == 2
    assert "holds another campaign" in errors


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_gives_the_same_numbers(undisturbed, tmp_path):
    (tmp_path / "small.yaml").write_text(CAMPAIGN)
    directory = tmp_path / "runs" / "small"
    rng = random.Random(11)
    for _ in range(N_KILLS):
        started = (directory / STORE_FILE).exists()
        process = start(*(("resume", directory) if started else ("run", "small.yaml")), cwd=tmp_path)
        time.sleep(rng.uniform(2.0, 12.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = start("run", "small.yaml", cwd=tmp_path)
    assert process.wait() == 0, process.communicate()[1]
    ours, theirs = documents(directory), documents(undisturbed)
    assert ours.keys() == theirs.keys()
    for name, document in ours.items():
        assert_close(document, theirs[name], name)


def test_ctrl_c_stops_and_resume_goes_on(tmp_path):
    campaign = "name: tiny\nstructure: {build: ZnL2}\nrelax: {level: gfn2-xtb}\nexchange: {ions: [Cd2+]}\n"
    (tmp_path / "tiny.yaml").write_text(campaign)
    process = start("run", "tiny.yaml", cwd=tmp_path)
    wait_for_a_running_job(tmp_path / "runs" / "tiny")
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1]
    assert process.returncode in (130, -signal.SIGINT), errors  # a shell calls both 130
    assert "Traceback" not in errors
    process = start("resume", "runs/tiny", cwd=tmp_path)
    assert process.wait() == 0, process.communicate()[1]
    documents(tmp_path / "runs" / "tiny")


def wait_for_a_running_job(directory: Path) -> None:
    while not (directory / STORE_FILE).exists():
        time.sleep(0.05)
    journal = Journal(directory / STORE_FILE)
    while not any(row.state == "running" for row in journal.rows()):
        time.sleep(0.01)
    journal.close()


@pytest.mark.slow
def test_the_same_flow_runs_under_plain_jobflow(undisturbed, tmp_path):
    campaign = parse_campaign(CAMPAIGN)
    store = JobStore(MemoryStore())
    run_locally(
        campaign.flow(campaign.cluster()), store=store, log=False, ensure_success=True, root_dir=tmp_path
    )
    theirs = {
        f"{d['name']} {d['index']}": stripped(d["output"])
        for d in store.query({})
        if "attributes" not in str(d["output"])
    }
    ours = documents(undisturbed)
    assert theirs.keys() == ours.keys()
    for name, document in ours.items():
        assert_close(theirs[name], document, name)


def assert_close(a, b, where):
    """Compare documents; PySCF's threads add the last digits in another order each time."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_close(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for n, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_close(x, y, f"{where}.{n}")
    elif isinstance(a, float):
        # Energies converge with the square of the error of the density, populations and states with itself.
        loose = ".electronic." in where or ".states." in where
        assert a == pytest.approx(b, rel=1e-6, abs=1e-3 if loose else 1e-5), where
    elif not where.endswith(("hash", "bonds", "cycles")):
        assert a == b, where


def test_failed_jobs_leave_a_report_and_exit_code_1(tmp_path):
    # Azide is no ligand with a molecular reference.
    (tmp_path / "close.xyz").write_text("4\n\nIn 0 0 0\nN 0 0 2.0\nN 0 0 3.2\nN 0 0 4.35\n")
    campaign = (
        "name: bad\nstructure: {file: close.xyz}\nrefine: {level: pbe/def2-svp}\nexchange: {ions: [Ga3+]}\n"
    )
    (tmp_path / "bad.yaml").write_text(campaign)
    process = start("run", "bad.yaml", cwd=tmp_path)
    _output, errors = process.communicate()
    assert process.returncode == 1, errors
    assert "job(s) failed" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    text = (tmp_path / "runs" / "bad" / "report.html").read_text()
    assert "no molecular reference for ligand N3" in text
