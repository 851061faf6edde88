"""Our store answers as maggma's MemoryStore does, and keeps what was committed."""

from __future__ import annotations

import flows_for_tests as flows
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobflow import run_locally
from maggma.core import Sort
from maggma.stores import MemoryStore

from mscflow.store import SQLiteStore, job_store

DOCUMENTS = [
    {
        "uuid": f"u{i % 7}",
        "index": i // 7 + 1,
        "name": ["relax", "refine"][i % 2],
        "output": {"energy": -i / 3, "tags": ["a", "b"][: i % 3], "level": {"xc": "pbe" if i % 2 else None}},
    }
    for i in range(20)
]


@pytest.fixture
def stores(tmp_path):
    ours, theirs = SQLiteStore(str(tmp_path / "s.sqlite")), MemoryStore(key="uuid")
    for store in (ours, theirs):
        store.connect()
        store.update(DOCUMENTS, key=["uuid", "index"])
    yield ours, theirs
    ours.close()


def plain(documents):
    return [{k: v for k, v in document.items() if k != "_id"} for document in documents]


QUERIES = [
    {},
    {"uuid": "u3"},
    {"uuid": "u3", "index": 2},
    {"uuid": {"$in": ["u1", "u2"]}, "index": 1},
    {"uuid": {"$in": []}},
    {"uuid": {"$ne": "u1"}},
    {"name": "refine", "output.energy": {"$lt": -2}},
    {"output.level.xc": "pbe"},
    {"output.level.xc": None},
    {"output.tags": "b"},
    {"output.tags": {"$size": 0}},
    {"$or": [{"uuid": "u1"}, {"output.energy": 0}]},
    {"name": {"$regex": "^re"}, "index": {"$gte": 2, "$lt": 3}},
    {"missing": {"$exists": False}},
]


@pytest.mark.parametrize("criteria", QUERIES, ids=str)
def test_queries(stores, criteria):
    ours, theirs = stores
    by_key = {"uuid": 1, "index": -1}
    assert plain(ours.query(criteria, sort=by_key)) == plain(theirs.query(criteria, sort=by_key))
    assert ours.count(criteria) == theirs.count(criteria)


@settings(max_examples=60, deadline=None)
@given(
    sort=st.dictionaries(
        st.sampled_from(["uuid", "index", "output.energy", "name"]), st.sampled_from([1, -1]), min_size=4
    ),
    skip=st.integers(0, 25),
    limit=st.integers(0, 25),
    properties=st.sampled_from(
        [None, ["uuid"], ["output.energy", "index"], {"output.level.xc": 1}, ["missing"]]
    ),
)
def test_sort_skip_limit_and_projection(tmp_path_factory, sort, skip, limit, properties):
    ours = SQLiteStore(str(tmp_path_factory.mktemp("s") / "s.sqlite"))
    theirs = MemoryStore()
    for store in (ours, theirs):
        store.connect()
        store.update(DOCUMENTS, key=["uuid", "index"])
    arguments = {"sort": sort, "skip": skip, "limit": limit, "properties": properties}
    assert plain(ours.query({}, **arguments)) == plain(theirs.query({}, **arguments))
    ours.close()


def test_update_replaces_by_key(stores):
    ours, theirs = stores
    for store in stores:
        store.update({"uuid": "u1", "index": 1, "name": "new"}, key=["uuid", "index"])
    assert ours.count() == theirs.count() == 20
    assert ours.query_one({"uuid": "u1", "index": 1})["name"] == "new"


def test_remove_distinct_and_groupby(stores):
    ours, theirs = stores
    for store in stores:
        store.remove_docs({"output.energy": {"$lt": -5}})
    assert ours.count() == theirs.count()
    assert sorted(ours.distinct("name")) == sorted(theirs.distinct("name"))
    groups = [
        sorted((str(key), len(list(members))) for key, members in store.groupby(["name", "index"]))
        for store in stores
    ]
    assert groups[0] == groups[1]
    last = ours.query_one({"uuid": "u1"}, sort={"index": Sort.Descending})
    assert last == next(iter(ours.query({"uuid": "u1"}, sort={"index": -1}, limit=1)))


def test_committed_documents_are_there_for_the_next_process(tmp_path):
    store = SQLiteStore(str(tmp_path / "s.sqlite"))
    store.connect()
    store.update(DOCUMENTS, key=["uuid", "index"])
    again = SQLiteStore.from_dict(store.as_dict())
    again.connect()
    assert plain(again.query({}, sort={"uuid": 1, "index": 1})) == sorted(
        DOCUMENTS, key=lambda d: (d["uuid"], d["index"])
    )


def test_jobflow_runs_on_it(tmp_path):
    store = job_store(tmp_path / "s.sqlite")
    flow = flows.tree(pause=0.0)
    run_locally(flow, store=store, log=False, ensure_success=True, root_dir=tmp_path)
    assert store.get_output(flow.job_uuids[-1], load=True) == 5 + 15 + 5 + 5
