"""Identical calculations of earlier runs are taken over; what differs in anything is computed."""

from __future__ import annotations

import sqlite3

import pytest
from flows_for_tests import once_there
from jobflow import Flow

import mscflow
from mscflow.builder import precursor
from mscflow.errors import InputError
from mscflow.executors import STORE_FILE
from mscflow.jobs import RefineMaker, RelaxMaker, named

LEVEL = "gfn2-xtb"


def relaxation(responses: dict):
    (by_index,) = responses.values()
    return by_index[1].output


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the run ``first``: zinc formate, relaxed and refined."""
    place = tmp_path_factory.mktemp("runs")
    start = precursor("Zn2+")
    relaxed = named(RelaxMaker(level=LEVEL), start)
    refined = named(RefineMaker(level="pbe/def2-svp[grid=0]"), start, relaxed.output.cluster)
    first = mscflow.run(Flow([relaxed, refined]), dir=place / "first")
    return place, first


def test_an_identical_calculation_is_taken_from_an_earlier_run(runs):
    place, first = runs
    start = precursor("Zn2+")
    relaxed = named(RelaxMaker(level=LEVEL), start)
    refined = named(RefineMaker(level="pbe/def2-svp[grid=0]"), start, relaxed.output.cluster)
    other = named(RelaxMaker(level=LEVEL), precursor("Cd2+"))
    second = mscflow.run(Flow([other, relaxed, refined]), dir=place / "second", reuse=True)
    outputs = {uuid: responses[1].output for uuid, responses in second.items()}
    assert outputs[relaxed.uuid].reused_from == outputs[refined.uuid].reused_from == "first"
    assert outputs[other.uuid].reused_from == ""
    earlier = {responses[1].output.energy for responses in first.values()}
    assert {outputs[relaxed.uuid].energy, outputs[refined.uuid].energy} == earlier


def test_a_reused_result_belongs_to_the_structure_that_was_asked_for(runs, tmp_path):
    place, _ = runs
    start = precursor("Zn2+").replace(name="mine", provenance={"source": "here"})
    found = relaxation(
        mscflow.run(RelaxMaker(level=LEVEL).make(start), dir=tmp_path / "run", reuse=[place / "first"])
    )
    assert found.reused_from == "first"
    assert (found.cluster.name, found.cluster.provenance) == ("mine", {"source": "here"})


def test_a_run_that_goes_on_without_reuse_reuses_nothing(runs, tmp_path):
    place, _ = runs
    start = once_there(str(tmp_path / "flag"), precursor("Zn2+"))
    relaxed = RelaxMaker(level=LEVEL).make(start.output)
    flow = Flow([start, relaxed])
    mscflow.run(flow, dir=tmp_path / "run", reuse=[place / "first"])
    (tmp_path / "flag").touch()
    responses = mscflow.run(flow, dir=tmp_path / "run", reuse=False)
    assert responses[relaxed.uuid][1].output.reused_from == ""


def test_nothing_is_reused_unasked(runs):
    place, _ = runs
    again = mscflow.run(named(RelaxMaker(level=LEVEL), precursor("Zn2+")), dir=place / "third")
    assert relaxation(again).reused_from == ""


@pytest.mark.parametrize("change", [{"fmax": 0.03}, {"fixed": [0]}, {"level": "gfn1-xtb"}, {"n_frames": 4}])
def test_other_settings_are_other_calculations(runs, tmp_path, change):
    place, _ = runs
    job = named(RelaxMaker(**{"level": LEVEL, **change}), precursor("Zn2+"))
    found = relaxation(mscflow.run(job, dir=tmp_path / "run", reuse=[place / "first"]))
    assert found.reused_from == ""


def test_other_versions_are_not_reused(runs, tmp_path):
    place, _ = runs
    (tmp_path / "old").mkdir()
    source = sqlite3.connect(place / "first" / STORE_FILE)
    target = sqlite3.connect(tmp_path / "old" / STORE_FILE)
    source.backup(target)
    target.execute('UPDATE outputs SET document = replace(document, \'"tblite": "\', \'"tblite": "9\')')
    target.commit()
    target.close()
    source.close()
    job = named(RelaxMaker(level=LEVEL), precursor("Zn2+"))
    assert relaxation(mscflow.run(job, dir=tmp_path / "run", reuse=True)).reused_from == ""
    with pytest.raises(InputError, match="no run here"):
        mscflow.run(RelaxMaker().make(precursor("Zn2+")), dir=tmp_path / "x", reuse=[tmp_path / "nowhere"])
    assert not (tmp_path / "x").exists()
