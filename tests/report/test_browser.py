"""The report opens in a real browser without an error, and its viewer, plots and tables work."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import sync_playwright

from mscflow.report import CampaignResults, write_comparison, write_report

FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "chromium is needed to test the report: apt-get install chromium"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def report(documents, jobs, tmp_path):
    results = CampaignResults.from_documents(documents, jobs, name="demo", campaign="name: demo\n")
    return write_report(results, tmp_path / "report.html")


def opened(browser, report, width):
    page = browser.new_page(viewport={"width": width, "height": 1400})
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda line: page.problems.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda r: page.problems.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None,
    )
    page.goto(report.as_uri())
    page.wait_for_selector("#viewer[data-ready=yes]", timeout=60_000)
    page.wait_for_timeout(1000)
    return page


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


def n_colours(page, selector, tmp_path):
    """Number of different colours in the picture of an element: an empty canvas has very few."""
    from PIL import Image

    page.locator(selector).scroll_into_view_if_needed()
    path = tmp_path / "part.png"
    page.locator(selector).screenshot(path=path)
    return len(Image.open(path).convert("RGB").getcolors(maxcolors=1 << 24))


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
    page.select_option("#which", index=page.locator("#which option").count() - 1)
    last = int(page.locator("#frame").get_attribute("max"))
    assert 1 <= last <= 5
    place = "document.getElementById('viewer').data[1].x.slice(0, 20).join()"
    page.wait_for_function(f"document.getElementById('frame-number').textContent === '1 of {last + 1}'")
    before = page.evaluate(place)
    page.click("#play")
    page.wait_for_function(f"document.getElementById('frame').value === '{last}'", timeout=60_000)
    page.wait_for_function("document.getElementById('play').textContent === 'Play'", timeout=60_000)
    assert page.evaluate(place) != before
    assert page.problems == []
    page.close()


def test_tables_sort_and_export(browser, report):
    page = opened(browser, report, 1280)
    rows = "[...document.querySelectorAll('#table-separations tbody tr')]"
    cells = f"{rows}.map(row => Number(row.cells[1].textContent))"
    head = page.locator("#table-separations th button").nth(1)
    head.click()
    assert page.evaluate(cells) == sorted(page.evaluate(cells))
    head.click()
    assert page.evaluate(cells) == sorted(page.evaluate(cells), reverse=True)
    with page.expect_download() as download:
        page.locator("button.csv[data-table=separations]").click()
    text = download.value.path().read_text()
    assert text.splitlines()[0].startswith('"pair","separation / Å"')
    assert len(text.splitlines()) == 7
    page.close()
