"""A report in a real browser, and what must work in it."""

from __future__ import annotations

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


def n_colours(page, selector, tmp_path):
    """Number of different colours in the picture of an element: an empty canvas has very few."""
    from PIL import Image

    page.locator(selector).scroll_into_view_if_needed()
    path = tmp_path / "part.png"
    page.locator(selector).screenshot(path=path)
    return len(Image.open(path).convert("RGB").getcolors(maxcolors=1 << 24))


def require_trajectory(page, n_frames):
    """Play the last structure of the list, a relaxation that kept up to `n_frames` geometries."""
    page.select_option("#which", index=page.locator("#which option").count() - 1)
    last = int(page.locator("#frame").get_attribute("max"))
    assert 1 <= last < n_frames
    place = "document.getElementById('viewer').data[1].x.slice(0, 20).join()"
    page.wait_for_function(f"document.getElementById('frame-number').textContent === '1 of {last + 1}'")
    before = page.evaluate(place)
    page.click("#play")
    page.wait_for_function(f"document.getElementById('frame').value === '{last}'", timeout=60_000)
    page.wait_for_function("document.getElementById('play').textContent === 'Play'", timeout=60_000)
    assert page.evaluate(place) != before


def require_sorting(page):
    """Sort the separations both ways."""
    rows = "[...document.querySelectorAll('#table-separations tbody tr')]"
    cells = f"{rows}.map(row => Number(row.cells[1].textContent))"
    head = page.locator("#table-separations th button").nth(1)
    head.click()
    assert page.evaluate(cells) == sorted(page.evaluate(cells))
    head.click()
    assert page.evaluate(cells) == sorted(page.evaluate(cells), reverse=True)
