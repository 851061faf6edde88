"""What the README shows works."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_python_example_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    energy, converged = result.stdout.splitlines()[0].split()
    assert float(energy) < -2800  # eV, GFN2-like total energy
    assert converged == "True"
    assert "bridging_ligands" in result.stdout


def test_files_and_commands_of_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target
    from mscflow.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    for command in re.findall(r"\bmscflow ([a-z]+)\b", text):
        assert command in known or command in ("inputs",), command


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.py")), ids=lambda path: path.stem)
def test_workflows_can_be_imported(path):
    runpy.run_path(str(path))


def test_the_polymorphs_are_connected_by_a_balanced_reaction():
    growth = runpy.run_path(str(ROOT / "workflows" / "polymorphs.py"))["growth"]()
    assert growth.equation.startswith("Cd21Se20(O2CH)2(H2NMe)18 + 14 Cd(O2CH)2 + 12 ")
    assert growth.imbalance() == {}
