"""Long tasks stop before they are ended, and go on where they stopped."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase.build import molecule
from jobflow import JobStore
from maggma.stores import MemoryStore
from runs_for_tests import rows

import mscflow
from mscflow.builder import build, precursor
from mscflow.clock import RESERVE_S, Clock
from mscflow.cluster import Cluster
from mscflow.errors import InputError, OutOfTimeError
from mscflow.jobs import RefineMaker, RelaxMaker, VibrateMaker
from mscflow.levels import XTB, PySCF
from mscflow.levels.dft import scf_checkpoint
from mscflow.levels.dft.scf import ground_state
from mscflow.store import job_store
from mscflow.tasks.excite import excite
from mscflow.tasks.refine import refine
from mscflow.tasks.relax import relax
from mscflow.tasks.vibrate import vibrate

WATER = Cluster.from_ase(molecule("H2O"))
STRETCHED = WATER.replace(positions=1.08 * WATER.positions)
LEVEL = PySCF(grid=0)


@pytest.fixture
def deadline(monkeypatch):
    """Set in how many seconds from now the process will be ended, beyond what is kept for ending."""

    def set_in(seconds: float) -> None:
        monkeypatch.setenv("MSCFLOW_DEADLINE", str(time.time() + RESERVE_S + seconds))

    yield set_in
    monkeypatch.delenv("MSCFLOW_DEADLINE", raising=False)


def test_the_earliest_deadline_counts_and_nonsense_is_refused(deadline, monkeypatch):
    assert not Clock().is_over()
    deadline(100)
    assert not Clock().is_over()
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time())))
    assert Clock().is_over()
    monkeypatch.setenv("SLURM_JOB_END_TIME", "tomorrow")
    with pytest.raises(InputError, match="tomorrow"):
        Clock()


def test_a_relaxation_stops_in_time_and_ends_as_one_that_was_never_stopped(deadline, tmp_path):
    start, file = build("In4P"), tmp_path / "state.npz"
    undisturbed = relax(start, fmax=0.05)
    n_stops = 0
    while True:
        deadline(0.03)
        try:
            found = relax(start, fmax=0.05, state_file=file)
            break
        except OutOfTimeError:
            assert file.exists()
            n_stops += 1
            assert n_stops < 1000
    assert n_stops >= 2
    assert found.energy == undisturbed.energy
    assert found.n_force_calls == undisturbed.n_force_calls
    np.testing.assert_array_equal(found.cluster.positions, undisturbed.cluster.positions)


def test_a_file_that_is_no_state_is_refused(tmp_path):
    empty, array = tmp_path / "empty.npz", tmp_path / "array.npy"
    empty.touch()
    np.save(array, np.zeros(3))
    for file in (empty, array):
        with pytest.raises(InputError, match="is not a state of a relaxation: delete it"):
            relax(precursor("Zn2+"), state_file=file)


@pytest.mark.parametrize(("before", "after"), [(20, 4), (0, 20), (4, 20), (20, 0)])
def test_a_relaxation_that_goes_on_keeps_as_many_geometries_as_it_is_asked_for(before, after, tmp_path):
    start, file = build("ZnL2"), tmp_path / "state.npz"
    begun = relax(start, fmax=0.1, state_file=file, n_frames=before)
    found = relax(start, fmax=0.005, state_file=file, n_frames=after)
    assert found.n_force_calls > begun.n_force_calls
    assert len(found.trajectory) <= after
    if after:
        assert (len(found.trajectory) > before) == (after > before)
        np.testing.assert_allclose(found.trajectory[0], start.positions, atol=1e-3)


def test_vibrations_stop_in_time_and_end_as_those_that_were_never_stopped(deadline, tmp_path, monkeypatch):
    cluster = relax(WATER, "gfn2-xtb", fmax=0.001).cluster
    undisturbed = vibrate(cluster, "gfn2-xtb")
    monkeypatch.chdir(tmp_path)
    job = VibrateMaker(level="gfn2-xtb").make(cluster)
    deadline(-RESERVE_S)
    for n_rows in range(1, 4):
        with pytest.raises(OutOfTimeError, match="vibrations of H2O with gfn2-xtb: no time"):
            job.run(JobStore(MemoryStore()))
        (file,) = tmp_path.glob("vibrate-*.npz")
        assert np.load(file)["rows"].shape == (n_rows, 12)
    deadline(1e4)
    calls = []
    found = vibrate(cluster, "gfn2-xtb", progress=lambda *done: calls.append(done), state_file=file)
    assert calls[0] == (8, 18)
    np.testing.assert_allclose(found.frequencies, undisturbed.frequencies, atol=0.01)
    np.testing.assert_allclose(
        [mode.intensity for mode in found.modes], [mode.intensity for mode in undisturbed.modes], atol=1e-3
    )
    with pytest.raises(InputError, match=r"belongs to other vibrations \(structure, level or displacement"):
        vibrate(cluster, "gfn1-xtb", state_file=file)
    store = job_store(tmp_path / "store.sqlite")
    store.connect()
    job.run(store)
    assert not file.exists()


def test_a_file_that_is_no_state_of_vibrations_is_refused(tmp_path):
    relax(WATER, "gfn2-xtb", state_file=tmp_path / "state.npz")
    with pytest.raises(InputError, match="is not a state of vibrations: delete it"):
        vibrate(WATER, "gfn2-xtb", state_file=tmp_path / "state.npz")


def test_a_refinement_goes_on_after_its_last_step(deadline, tmp_path):
    file, level = tmp_path / "state.npz", PySCF(grid=1)  # on grid 0 forces are no slopes: 0.4 eV/Å off
    undisturbed = refine(STRETCHED, level, n_steps=12, fmax=0.1, hessian=None)
    deadline(-RESERVE_S)
    with pytest.raises(OutOfTimeError, match="kept"):
        refine(STRETCHED, level, n_steps=12, fmax=0.1, hessian=None, state_file=file)
    deadline(1e4)
    found = refine(STRETCHED, level, n_steps=12, fmax=0.1, hessian=None, state_file=file)
    assert found.converged
    assert found.n_steps == undisturbed.n_steps
    assert len(found.scf) == len(undisturbed.scf)
    assert found.scf[0].energy == pytest.approx(undisturbed.scf[0].energy, abs=1e-6)
    assert found.energy == pytest.approx(undisturbed.energy, abs=1e-4)


def test_a_refinement_that_begins_with_another_hessian_is_another_one(deadline, tmp_path, monkeypatch):
    file = tmp_path / "state.npz"
    refine(STRETCHED, LEVEL, n_steps=1, hessian=None, state_file=file)
    with pytest.raises(InputError, match="belongs to another"):
        refine(STRETCHED, LEVEL, n_steps=1, hessian="mace:msc-small", state_file=file)
    monkeypatch.chdir(tmp_path)
    deadline(-RESERVE_S)
    for hessian in (None, "mace:msc-small"):
        job = RefineMaker(level=LEVEL, n_steps=1, hessian=hessian).make(STRETCHED)
        with pytest.raises(OutOfTimeError):
            job.run(JobStore(MemoryStore()))
    assert len(list(tmp_path.glob("refine-*"))) == 2  # each would find its own


def test_a_converged_field_is_not_computed_again(tmp_path):
    file = tmp_path / "scf.npz"
    first, again = (ground_state(WATER, LEVEL, keep=file) for _ in range(2))
    assert again.energy == first.energy
    assert again.stages == first.stages
    np.testing.assert_array_equal(again.density, first.density)
    other = ground_state(STRETCHED, LEVEL, keep=file)
    assert other.energy != first.energy


def test_an_interrupted_field_goes_on_from_its_density(tmp_path, monkeypatch):
    file, cluster = tmp_path / "scf.npz", precursor("Zn2+")
    undisturbed = ground_state(cluster, LEVEL)
    monkeypatch.setattr(scf_checkpoint, "SAVE_INTERVAL_S", 0.0)
    call = scf_checkpoint.ScfCheckpoint.__call__

    def dies(self, variables):
        call(self, variables)
        if self.cycles == undisturbed.cycles - 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(scf_checkpoint.ScfCheckpoint, "__call__", dies)
    with pytest.raises(KeyboardInterrupt):
        ground_state(cluster, LEVEL, keep=file)
    monkeypatch.undo()
    found = ground_state(cluster, LEVEL, keep=file)
    assert found.guess == f"checkpoint after {undisturbed.cycles - 2} cycles"
    assert found.cycles < undisturbed.cycles - 3
    assert found.energy == pytest.approx(undisturbed.energy, abs=1e-5)


def test_a_damaged_file_is_as_good_as_none(tmp_path):
    file = tmp_path / "scf.npz"
    for content in (b"half a file", b""):
        file.write_bytes(content)
        assert not ground_state(WATER, LEVEL, keep=file).guess.startswith("checkpoint")


def test_a_run_stops_in_time_and_goes_on(deadline, tmp_path):
    from jobflow import Flow

    first = RelaxMaker(level=XTB(), fmax=0.1).make(build("In4P"))
    second = RefineMaker(level=LEVEL).make(WATER)
    flow = Flow([first, second])
    deadline(2.0)
    mscflow.run(flow, dir=tmp_path / "run", n_workers=2)
    (stopped,) = (row for row in rows(tmp_path / "run") if row.name.startswith("relax"))
    assert stopped.state == "waiting"
    assert "no time for another step" in stopped.error
    deadline(1e4)
    mscflow.resume(tmp_path / "run")
    assert [row.state for row in rows(tmp_path / "run")] == ["done", "done"]
    assert not list((tmp_path / "run" / "jobs").rglob("*.state*.npz"))


def test_excitations_stop_in_time_and_go_on(deadline, tmp_path):
    file = tmp_path / "state.npz"
    deadline(-RESERVE_S)
    with pytest.raises(OutOfTimeError, match="self-consistent field after 1 cycles: no time"):
        excite(WATER, LEVEL, nstates=1, state_file=file)
    deadline(1e4)
    ground_state(WATER, LEVEL, grid=0, keep=file)
    deadline(-RESERVE_S)
    with pytest.raises(OutOfTimeError, match="tda excitations of H2O: no time"):
        excite(WATER, LEVEL, nstates=1, state_file=file)
    deadline(1e4)
    found = excite(WATER, LEVEL, nstates=1, state_file=file)
    assert found.states[0].energy == pytest.approx(excite(WATER, LEVEL, nstates=1).states[0].energy, abs=1e-3)
