"""The report of a campaign on In26P13(O2CH)39 in a real browser."""

import subprocess
import sys

import pytest
from browser_for_tests import n_colours, opened, require_sorting, require_trajectory

CAMPAIGN = """\
name: large
structure: {build: In26P13, ligand: formate}
relax: {level: "mace:msc-small"}
exchange: {ions: [Ga3+], sites: [27]}
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    place = tmp_path_factory.mktemp("large")
    (place / "large.yaml").write_text(CAMPAIGN)
    command = [sys.executable, "-m", "mscflow", "run", "large.yaml", "--dir", "run"]
    subprocess.run(command, cwd=place, check=True)
    return place / "run" / "report.html"


@pytest.mark.slow
def test_a_large_core_is_shown_sorted_and_played(browser, report, tmp_path):
    page = opened(browser, report, 1280)
    assert n_colours(page, "#viewer", tmp_path) > 1000
    for plot in ("relaxation", "separations", "exchange", "stability"):
        assert page.locator(f"#plot-{plot} svg.main-svg").count() > 0
    require_sorting(page)
    require_trajectory(page, n_frames=24)
    assert report.stat().st_size < 10e6
    assert page.problems == []
    page.close()


def test_it_fits_on_a_narrow_screen(browser, report):
    page = opened(browser, report, 400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.problems == []
    page.close()
