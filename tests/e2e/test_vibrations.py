"""A campaign with vibrations through the command line, from file to report."""

import json
import subprocess
import sys

from mscflow.campaign import parse_campaign
from mscflow.executors import STORE_FILE, Journal

CAMPAIGN = """
name: zinc
structure: {build: ZnL2, ligand: formate}
relax: {level: gfn2-xtb, fmax: 0.01}
analyse: false
vibrate: {}
"""


def test_vibrations_are_computed_at_the_level_of_the_relaxation():
    campaign = parse_campaign(CAMPAIGN)
    jobs = campaign.flow(campaign.cluster()).jobs
    assert [job.name.split()[0] for job in jobs] == ["structure", "relax", "vibrate"]
    assert jobs[-1].maker.level == "gfn2-xtb"
    other = parse_campaign(CAMPAIGN.replace("vibrate: {}", 'vibrate: {level: "mace:msc-small"}'))
    assert other.flow(other.cluster()).jobs[-1].maker.level == "mace:msc-small"


def test_the_report_shows_the_modes(tmp_path):
    (tmp_path / "zinc.yaml").write_text(CAMPAIGN)
    command = [sys.executable, "-m", "mscflow", "run", "zinc.yaml"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    directory = tmp_path / "runs" / "zinc"
    page = (directory / "report.html").read_text()
    assert "C–O stretching" in page
    assert "0 imaginary: a minimum" in page
    journal = Journal(directory / STORE_FILE)
    row = next(row for row in journal.rows() if row.name.startswith("vibrate"))
    (document,) = journal.outputs([row.uuid])
    journal.close()
    assert len(document["output"]["modes"]) == 3 * 9 - 6
    assert "blob_uuid" in document["output"]["displacements"]
    assert len(json.dumps(document["output"])) < 1e5
