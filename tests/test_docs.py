"""The tutorials run, and print what they show."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from jobflow import Response

import mscflow
from mscflow.builder import build
from mscflow.executors import STORE_FILE, Journal
from mscflow.files import write
from mscflow.tasks.analyse import analyse

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.md"))
SCREENING = TUTORIALS[0].parents[1] / "screening.md"
BLOCK = re.compile(r"```(python|sh|text)\n(.*?)```", re.DOTALL)
MARK = "# end of a block\n"


def test_the_series_of_ligands_shows_only_what_there_is():
    program = runpy.run_path(str(TUTORIALS[0].parents[2] / "workflows" / "ligand_series.py"))
    clusters = {ligand: build("In4P", ligand) for ligand in ("formate", "acetate")}
    responses = {name: {1: Response(analyse(cluster, of="built"))} for name, cluster in clusters.items()}
    table = program["table"](responses, {name: name for name in clusters})
    assert list(table.columns) == ["all", "shortest"]
    assert table.notna().all(axis=None)


def test_the_reference_lists_every_name_and_has_a_place_for_it():
    conf = runpy.run_path(str(SCREENING.parent / "conf.py"))
    source = [(SCREENING.parent / "api" / "index.md").read_text()]
    conf["take_in"](None, "api/index", source)
    listed = dict(re.findall(r"`mscflow\.(\w+) <([\w.]+)>`", source[0]))
    assert sorted(listed) == sorted(name for name in mscflow.__all__ if not name.startswith("__"))
    pages = "".join(page.read_text() for page in (SCREENING.parent / "api").glob("*.md"))
    for target in listed.values():
        assert f":: {target.rpartition('.')[0]}\n" in pages, target


def test_the_script_of_a_screening_runs_a_shard_and_goes_on_with_it(tmp_path):
    (shard,) = (code for kind, code in BLOCK.findall(SCREENING.read_text()) if kind == "python")
    (tmp_path / "shard.py").write_text(shard)
    (tmp_path / "structures").mkdir()
    for name in ("InL3", "ZnL2"):
        write(build(name), tmp_path / "structures" / f"{name}.xyz")
    for _ in range(2):
        done = subprocess.run([sys.executable, "shard.py", "1"], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    rows = Journal(tmp_path / "runs" / "1" / STORE_FILE).rows()
    assert [(row.name, row.state, row.n_attempts) for row in rows] == [
        (f"{word} Zn(O2CH)2", "done", 1) for word in ("structure", "relax", "analyse")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_and_prints_what_it_shows(page, tmp_path):
    blocks = BLOCK.findall(page.read_text())
    (tmp_path / "tutorial.py").write_text(session(blocks))
    result = subprocess.run(
        [sys.executable, "tutorial.py"], capture_output=True, text=True, cwd=tmp_path, timeout=600
    )
    assert result.returncode == 0, result.stdout + result.stderr
    printed = result.stdout.split(MARK)
    for n, (kind, shown) in enumerate(blocks):
        if kind == "text":
            assert printed[n - 1] == shown


def session(blocks: list[tuple[str, str]]) -> str:
    """Return a program that runs the blocks of a page one after the other, shell commands among them."""
    programs = str(Path(sys.executable).parent)
    commands = f"import os, subprocess\nos.environ['PATH'] = {programs!r} + ':' + os.environ['PATH']\n"
    lines = {
        "python": lambda text: text,
        "sh": lambda text: f"subprocess.run(['sh', '-ec', {text!r}], check=True)\n",
        "text": lambda text: "",
    }
    return commands + "".join(
        lines[kind](text) + f"print({MARK!r}, end='', flush=True)\n" for kind, text in blocks
    )
