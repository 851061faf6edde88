"""`mscflow models`: list, fetch, add and remove."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mscflow.builder import build
from mscflow.files import write
from mscflow.levels.potentials.registry import shipped_models

ROOT = Path(__file__).parents[2]
SHIPPED = shipped_models()["msc-small"].path


@pytest.fixture
def mscflow(tmp_path):
    """Run a command with its own data directory and a network that refuses everything."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MSCFLOW_DATA_DIR": str(tmp_path / "data"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "https_proxy": "http://127.0.0.1:9",
    }

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "mscflow", *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run


def test_the_list_says_what_is_known_of_every_model(mscflow):
    models = {model["name"]: model for model in json.loads(mscflow("models", "--json").stdout)}
    assert models["msc-small"]["present"]
    assert models["msc-small"]["size_bytes"] == SHIPPED.stat().st_size
    assert models["polar-1-m"]["needs"] == "graph_longrange"
    assert {"In", "P", "Cd", "Se"} <= set(models["medium-mpa-0"]["elements"])
    assert models["medium-mpa-0"]["sha256"] is None
    assert "mace:medium-mpa-0" in mscflow("models").stdout


def test_a_closed_network_is_one_line_and_exit_code_1(mscflow, tmp_path):
    result = mscflow("models", "fetch", "medium-mpa-0")
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert "licence MIT" in lines[0]
    assert "cannot be downloaded from https://github.com/ACEsuit" in lines[-1]
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_a_registered_model_relaxes_a_cluster(mscflow, tmp_path):
    refused = mscflow("models", "add", SHIPPED, "--name", "mine")
    assert (refused.returncode, "pass --trust" in refused.stderr) == (2, True)
    added = mscflow("models", "add", SHIPPED, "--name", "mine", "--trust")
    assert added.returncode == 0, added.stderr
    assert "charge ignored, spin ignored" in added.stdout
    start = write(build("ZnL2"), tmp_path / "zn.xyz")
    result = mscflow("relax", start, "--level", "mace:mine", "--fmax", "0.1", "--json")
    assert json.loads(result.stdout)["level_text"] == "mace:mine"
    assert mscflow("models", "remove", "mine").returncode == 0
    assert mscflow("models", "remove", "mine").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models", "fetch", "medium-mpa"), "did you mean 'medium-mpa-0'"),
        (("models", "add", "none.model", "--name", "x", "--trust"), "none.model: no such file"),
        (("models", "add", SHIPPED, "--name", "../x", "--trust"), "cannot be the name of a model"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(mscflow, arguments, message):
    result = mscflow(*arguments)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr
