"""The report opens in a real browser without an error, and its viewer, plots and tables work."""

from __future__ import annotations

import pytest
from browser_for_tests import n_colours, opened, require_sorting, require_trajectory

from mscflow.report import CampaignResults, write_comparison, write_report


@pytest.fixture
def report(documents, jobs, tmp_path):
    results = CampaignResults.from_documents(documents, jobs, name="demo", campaign="name: demo\n")
    return write_report(results, tmp_path / "report.html")


def test_a_comparison_opens_without_an_error_and_shows_all_campaigns(browser, documents, jobs, tmp_path):
    one = CampaignResults.from_documents(documents, jobs, name="formate")
    other = CampaignResults.from_documents(documents[:3], jobs, name="<b>acetate</b>")
    path = write_comparison([one, other, one], tmp_path / "comparison.html")
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.goto(path.as_uri())
    page.wait_for_selector("#plot-separations .main-svg", timeout=60_000)
    assert problems == []
    assert page.locator("h1").inner_text() == "formate 1, <b>acetate</b>, formate 2"
    rows = page.locator("#table-separations tbody tr").all_inner_texts()
    assert len({row.split("\t")[0] for row in rows}) == 3
    assert page.locator("#table-numbers tbody tr", has_text="DFT energy").inner_text().count("–") == 1
    assert page.locator("#plot-spectra .main-svg").count()
    page.close()


@pytest.mark.parametrize("width", [1280, 400])
def test_structure_and_plots_are_drawn_without_an_error(browser, report, tmp_path, width):
    page = opened(browser, report, width)
    page.screenshot(path=tmp_path / f"report-{width}.png")
    assert n_colours(page, "#viewer", tmp_path) > 1000
    for plot in ("relaxation", "separations", "exchange", "spectrum"):
        assert n_colours(page, f"#plot-{plot}", tmp_path) > 10
        assert page.locator(f"#plot-{plot} svg.main-svg").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.problems == []
    page.close()


def test_the_viewer_changes_colours_and_structure(browser, report):
    page = opened(browser, report, 1280)
    names = "document.getElementById('viewer').data.map(trace => trace.name).filter(Boolean)"
    assert page.evaluate(names) == ["P", "In", "O", "C", "H", "exchange sites"]
    labels = "document.getElementById('viewer').data.find(trace => trace.name === 'exchange sites')"
    assert page.evaluate(f"{labels}.text") == ["In1"]
    assert page.evaluate(f"{labels}.hovertext[0]").startswith("In1: Ga3+ ")
    page.select_option("#colouring", "role")
    assert sorted(page.evaluate(names)) == ["core anion", "exchange sites", "ligand", "surface cation"]
    before = page.evaluate("document.getElementById('viewer').data[0].x[0]")
    page.select_option("#which", label="start")
    assert page.evaluate("document.getElementById('viewer').data[0].x[0]") != before
    assert page.problems == []
    page.close()


def test_the_relaxation_is_played(browser, report):
    page = opened(browser, report, 1280)
    assert not page.locator("#player").is_visible()
    require_trajectory(page, n_frames=6)
    assert page.problems == []
    page.close()


def test_cells_without_a_value_come_last_and_numbers_that_are_none_break_nothing(
    browser, documents, jobs, tmp_path
):
    for job, seconds in zip(jobs, (3.0, None, 20.0, 1.5, None, 1.0, 2.0, 0.1), strict=True):
        job["wall_time_s"] = seconds
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    results.relaxation = results.relaxation.model_copy(update={"max_forces": [float("nan"), 1.0]})
    page = opened(browser, write_report(results, tmp_path / "nan.html"), 1280)
    cells = "[...document.querySelectorAll('#table-jobs tbody tr')].map(row => row.cells[2].textContent)"
    head = page.locator("#table-jobs th button").nth(2)
    numbers = ["0.1", "1.0", "1.5", "2.0", "3.0", "20.0"]
    for ordered in (numbers, numbers[::-1]):
        head.click()
        assert page.evaluate(cells) == [*ordered, "–", "–"]
    assert page.problems == []
    page.close()


def test_tables_sort_and_export(browser, report):
    page = opened(browser, report, 1280)
    require_sorting(page)
    with page.expect_download() as download:
        page.locator("button.csv[data-table=separations]").click()
    text = download.value.path().read_text()
    assert text.splitlines()[0].startswith('"pair","separation / Å"')
    assert len(text.splitlines()) == 7
    page.close()
