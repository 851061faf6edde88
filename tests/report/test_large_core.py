"""The campaign on a large core from the command line: nothing breaks, and its report works in a browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from browser_for_tests import n_colours, opened, require_sorting, require_trajectory

from mscflow.campaign.campaign import N_FRAMES
from mscflow.executors import STORE_FILE, Journal

OVERLAP = """plot => {
  const [legend, area] = [".legend", ".gridlayer"].map(part => document.querySelector(`${plot} ${part}`));
  return legend ? legend.getBoundingClientRect().bottom - area.getBoundingClientRect().top : 0;
}"""
"""By how many pixels the legend of a plot reaches over its data."""

CAMPAIGN = Path(__file__).parents[2] / "inputs" / "in26p13.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the campaign with one exchange."""
    place = tmp_path_factory.mktemp("large")
    campaign = yaml.safe_load(CAMPAIGN.read_text())
    campaign["exchange"] = {"ions": ["Ga3+"], "sites": campaign["exchange"]["sites"][:1]}
    (place / "large.yaml").write_text(yaml.safe_dump(campaign))
    command = [sys.executable, "-m", "mscflow", "run", "large.yaml", "--dir", "large"]
    process = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return place / "large"


@pytest.mark.slow
def test_the_core_stays_whole(run):
    journal = Journal(run / STORE_FILE)
    [row] = [row for row in journal.rows() if row.name == "relax In26P13(O2CH)39"]
    [document] = journal.outputs([row.uuid])
    journal.close()
    assert document["output"]["converged"]
    damage = ("broken", "left", "reacted")
    assert not [line for line in document["output"]["warnings"] if any(word in line for word in damage)]


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_its_report_works(browser, run, tmp_path, width):
    page = opened(browser, run / "report.html", width)
    assert n_colours(page, "#viewer", tmp_path) > 1000
    for plot in ("relaxation", "separations", "exchange"):
        assert n_colours(page, f"#plot-{plot}", tmp_path) > 10
        assert page.evaluate(OVERLAP, f"#plot-{plot}") <= 0
    require_sorting(page)
    require_trajectory(page, n_frames=N_FRAMES)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.problems == []
    page.close()
