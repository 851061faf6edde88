"""What jobflow 0.4 tests of ``run_locally``, asked of our manager one by one.

Flows and order of the tests are those of jobflow's ``tests/managers/test_local.py``; each looks at
responses and store. Where ``run_locally`` prints, our manager records.
"""

from __future__ import annotations

from pathlib import Path

import flows_for_tests as flows
import pytest
from jobflow import Flow, JobOrder, OutputReference
from runs_for_tests import rows

import mscflow
from mscflow.errors import CalculationError, InputError
from mscflow.executors import STORE_FILE
from mscflow.store import job_store


def documents(directory: Path) -> dict[tuple[str, int], dict]:
    """Documents of the store by uuid and index."""
    store = job_store(directory / STORE_FILE)
    store.connect()
    found = {(d["uuid"], d["index"]): d for d in store.query({}, load=True)}
    store.close()
    return found


def errors(directory: Path) -> str:
    return "\n".join(row.error for row in rows(directory))


def only_other(responses: dict, *known: str) -> str:
    (other,) = (uuid for uuid in responses if uuid not in known)
    return other


def linear(first):
    return Flow([first, flows.ended("12345")], order=JobOrder.LINEAR)


def connected() -> Flow:
    first = flows.ended("12345")
    second = flows.ended(first.output)
    return Flow([first, second], second.output, "Connected Flow")


def test_simple_job(tmp_path):
    job = flows.ended("12345")
    responses = mscflow.run(job, dir=tmp_path)
    assert responses[job.uuid][1].output == "12345_end"
    assert documents(tmp_path)[job.uuid, 1]["output"] == "12345_end"


def test_simple_flow_in_folders(tmp_path):
    job = flows.ended("12345")
    responses = mscflow.run(Flow([job], job.output), dir=tmp_path)
    assert responses[job.uuid][1].output == "12345_end"
    assert [p.name for p in (tmp_path / "jobs").iterdir()] == ["0001-ended"]
    assert responses[job.uuid][1].job_dir == tmp_path / "jobs" / "0001-ended"


def test_connected_flow(tmp_path):
    flow = connected()
    responses = mscflow.run(flow, dir=tmp_path)
    wanted = dict(zip(flow.job_uuids, ("12345_end", "12345_end_end"), strict=True))
    assert {uuid: by_index[1].output for uuid, by_index in responses.items()} == wanted
    assert {uuid: d["output"] for (uuid, _), d in documents(tmp_path).items()} == wanted


def test_nested_flow(tmp_path):
    one, two = connected(), connected()
    two.jobs[0].function_args = (one.jobs[1].output,)
    responses = mscflow.run(Flow([one, two], two.output), dir=tmp_path)
    stored = documents(tmp_path)
    for n, job in enumerate((*one.jobs, *two.jobs), start=1):
        assert responses[job.uuid][1].output == "12345" + n * "_end"
        assert stored[job.uuid, 1]["output"] == "12345" + n * "_end"


def test_addition_flow(tmp_path):
    job = flows.asks_for("addition")
    responses = mscflow.run(Flow([job], job.output), dir=tmp_path)
    assert len(responses) == 2
    other = only_other(responses, job.uuid)
    assert responses[job.uuid][1].output == 11
    assert responses[job.uuid][1].addition is not None
    assert responses[other][1].output == "11_end"
    assert documents(tmp_path)[other, 1]["output"] == "11_end"


def test_detour_flow(tmp_path):
    flow = linear(flows.asks_for("detour"))
    first, last = flow.job_uuids
    responses = mscflow.run(flow, dir=tmp_path)
    assert len(responses) == 3
    other = only_other(responses, first, last)
    assert responses[first][1].output == 11
    assert responses[first][1].detour is not None
    assert responses[other][1].output == "11_end"
    assert responses[last][1].output == "12345_end"
    stored = documents(tmp_path)
    assert stored[other, 1]["completed_at"] < stored[last, 1]["completed_at"]


def test_a_detour_of_a_detour_comes_before_what_follows(tmp_path):
    flow = linear(flows.detour_of_detours(2))
    responses = mscflow.run(flow, dir=tmp_path, n_workers=2)
    stored = documents(tmp_path)
    last = stored.pop((flow.job_uuids[1], 1))
    assert len(responses) == 4
    assert max(d["completed_at"] for d in stored.values()) < last["completed_at"]


def test_replace_flow(tmp_path):
    flow = linear(flows.asks_for("replace"))
    first, last = flow.job_uuids
    responses = mscflow.run(flow, dir=tmp_path)
    assert len(responses) == 2
    assert len(responses[first]) == 2
    assert responses[first][1].output == 11
    assert responses[first][1].replace is not None
    assert responses[first][2].output == "11_end"
    assert responses[last][1].output == "12345_end"
    stored = documents(tmp_path)
    assert stored[first, 2]["completed_at"] < stored[last, 1]["completed_at"]


def test_replace_by_a_flow(tmp_path):
    flow = linear(flows.replaced_by_two())
    first, last = flow.job_uuids
    responses = mscflow.run(flow, dir=tmp_path)
    assert responses[first][1].output == 11
    outputs = sorted(str(r.output) for by_index in responses.values() for r in by_index.values())
    assert "11_end" in outputs
    assert "11_end_end" in outputs
    stored = documents(tmp_path)
    assert (
        max(d["completed_at"] for (uuid, _), d in stored.items() if uuid != last)
        < (stored[last, 1]["completed_at"])
    )
    following = flows.first_of(OutputReference(first))
    again = mscflow.run(following, dir=tmp_path / "next", earlier=[tmp_path])
    assert again[following.uuid][1].output == "11_end"


@pytest.mark.parametrize("alone", [True, False], ids=["job", "flow"])
def test_stop_jobflow(alone, tmp_path):
    stop = flows.stop_flow()
    responses = mscflow.run(stop if alone else linear(stop), dir=tmp_path)
    assert list(responses) == [stop.uuid]
    assert responses[stop.uuid][1].output == 1
    assert responses[stop.uuid][1].stop_jobflow is True
    assert list(documents(tmp_path)) == [(stop.uuid, 1)]


def test_stop_children_flow(tmp_path):
    stop = flows.stop_children()
    child, other = flows.add(stop.output, 1), flows.ended("12345")
    responses = mscflow.run(Flow([stop, child, other], other.output), dir=tmp_path)
    assert set(responses) == {stop.uuid, other.uuid}
    assert responses[stop.uuid][1].stop_children is True
    assert responses[other.uuid][1].output == "12345_end"
    assert (child.uuid, 1) not in documents(tmp_path)


def test_error_flow(tmp_path):
    bad = flows.fail()
    child = flows.ended(bad.output)
    flow = Flow([bad, child, flows.ended(child.output)])
    assert mscflow.run(flow, dir=tmp_path) == {}
    assert "this job always fails" in errors(tmp_path)
    with pytest.raises(CalculationError, match="3 of 3 jobs are not done: fail: .*this job always fails"):
        mscflow.run(flow, dir=tmp_path, ensure_success=True)
    with pytest.raises(CalculationError, match="fail failed: .*this job always fails"):
        mscflow.run(flow, dir=tmp_path, raise_immediately=True)


@pytest.mark.parametrize(("what", "n_responses"), [("replace", 1), ("detour", 2), ("addition", 2)])
def test_ensure_success_of_what_a_response_asks_for(what, n_responses, tmp_path):
    flow = linear(flows.asks_for_failure(what))
    responses = mscflow.run(flow, dir=tmp_path)
    assert len(responses) == n_responses
    assert flow.job_uuids[0] in responses
    assert "this job always fails" in errors(tmp_path)
    with pytest.raises(CalculationError, match="are not done"):
        mscflow.run(flow, dir=tmp_path, ensure_success=True)


def test_stored_data_is_kept_where_run_locally_drops_it(tmp_path):
    job = flows.stores_data("12345")
    mscflow.run(Flow([job]), dir=tmp_path)
    responses = mscflow.resume(tmp_path)
    assert responses[job.uuid][1].output == "12345_end"
    assert responses[job.uuid][1].stored_data == {"a": "message"}


def test_detour_stop_flow(tmp_path):
    flow = linear(flows.detour_that_stops())
    first, last = flow.job_uuids
    responses = mscflow.run(flow, dir=tmp_path)
    assert len(responses) == 2
    other = only_other(responses, first, last)
    assert responses[first][1].output == 11
    assert responses[first][1].detour is not None
    assert responses[other][1].output == 1
    assert set(documents(tmp_path)) == {(first, 1), (other, 1)}


def test_external_reference(tmp_path):
    first = flows.ended("12345")
    mscflow.run(first, dir=tmp_path / "one")
    second = flows.ended(OutputReference(first.uuid))
    responses = mscflow.run(second, dir=tmp_path / "two", earlier=[tmp_path / "one"])
    assert responses[second.uuid][1].output == "12345_end_end"
    assert responses[second.uuid][1].job_dir.is_dir()
    with pytest.raises(ValueError, match="not found in the flow|[Rr]eference"):
        mscflow.run(flows.ended(OutputReference(first.uuid)), dir=tmp_path / "three")
    with pytest.raises(InputError, match="no run here"):
        mscflow.run(second, dir=tmp_path / "four", earlier=[tmp_path / "none"])
