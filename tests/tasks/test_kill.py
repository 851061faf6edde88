"""A calculation killed with -9 goes on from its files: less is left to do, and the result is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mscflow.builder import precursor
from mscflow.levels import PySCF
from mscflow.levels.dft import response_checkpoint
from mscflow.levels.dft.scf import ground_state
from mscflow.optimize.state_file import load_more
from mscflow.tasks.excite import excite
from mscflow.tasks.refine import refine

ZINC = precursor("Zn2+", "chloride")
LEVEL = PySCF(grid=0)
SCRIPT = """
from pathlib import Path
from mscflow.builder import precursor
from mscflow.levels import PySCF
from mscflow.levels.dft import scf_checkpoint
from mscflow.levels.dft.scf import ground_state
from mscflow.tasks.excite import excite
from mscflow.tasks.refine import refine
scf_checkpoint.SAVE_INTERVAL_S = 0.0
file, zinc, level = Path({path!r}), precursor("Zn2+", "chloride"), PySCF(grid=0)
{call}
"""


def killed(call: str, path: Path, is_time: Callable[[], bool]) -> None:
    """Run a call in another process and kill that with -9 as soon as it is time."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(path=str(path), call=call)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    while not is_time():
        assert process.poll() is None, "the calculation ended before it was killed"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_in_the_middle_of_a_self_consistent_field(tmp_path):
    undisturbed = ground_state(ZINC, LEVEL)
    file = tmp_path / "scf.npz"

    def has_cycles() -> bool:
        return file.exists() and response_checkpoint.np.load(file)["cycles"] >= 4

    killed("ground_state(zinc, level, keep=file)", file, has_cycles)
    found = ground_state(ZINC, LEVEL, keep=file)
    assert found.guess.startswith("checkpoint after") or found.stages == undisturbed.stages
    assert found.energy == pytest.approx(undisturbed.energy, abs=1e-5)
    if found.guess.startswith("checkpoint after"):
        assert found.cycles < undisturbed.cycles


def test_in_the_middle_of_a_geometry_step(tmp_path):
    undisturbed = refine(ZINC, LEVEL, n_steps=3)
    file = tmp_path / "refine.npz"
    killed(
        "refine(zinc, level, n_steps=3, state_file=file)",
        file,
        lambda: file.exists() and len(response_checkpoint.np.load(file)["energies"]) >= 2,
    )
    kept = json.loads(str(load_more(file)["records"]))
    found = refine(ZINC, LEVEL, n_steps=3, state_file=file)
    assert found.energies == pytest.approx(undisturbed.energies, abs=1e-3)
    assert len(found.scf) == len(undisturbed.scf)
    assert len(kept) >= 2
    assert [record.model_dump() for record in found.scf[: len(kept)]] == kept


@pytest.mark.parametrize("method", ["tda", "tddft"])
def test_in_the_middle_of_a_solve_for_excited_states(method, tmp_path, monkeypatch):
    undisturbed = excite(ZINC, LEVEL, nstates=4, method=method)
    file = tmp_path / "excite.npz"
    products = file.with_suffix(".response")
    killed(
        f"excite(zinc, level, nstates=4, method={method!r}, state_file=file)",
        file,
        lambda: len(list(products.glob("[0-9]*.npz"))) >= 3,
    )
    made: list[response_checkpoint.KeptProducts] = []
    start = response_checkpoint.KeptProducts.__init__

    def watched(self, *arguments):
        start(self, *arguments)
        made.append(self)

    monkeypatch.setattr(response_checkpoint.KeptProducts, "__init__", watched)
    found = excite(ZINC, LEVEL, nstates=4, method=method, state_file=file)
    assert [s.energy for s in found.states] == pytest.approx([s.energy for s in undisturbed.states], abs=1e-3)
    assert made[0].n_read >= 3
    assert made[0].n_computed > 0
    assert not products.exists()
