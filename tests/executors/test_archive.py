"""Stores are checked, taken apart and put together without losing or changing anything."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import flows_for_tests as flows
import numpy as np
import pytest

import mscflow
from mscflow.builder import precursor
from mscflow.errors import InputError, StoreError
from mscflow.executors.archive import check, export, merge, store_file, take_in
from mscflow.jobs import VibrateMaker
from mscflow.store import job_store


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs: numbers, and vibrations with a large object."""
    place = tmp_path_factory.mktemp("runs")
    mscflow.run(flows.fan(3), dir=place / "numbers")
    mscflow.run(VibrateMaker(level="gfn2-xtb").make(precursor("Zn2+")), dir=place / "vibrations")
    return place


def contents(path) -> list:
    store = job_store(path)
    store.connect()
    found = sorted(map(str, store.query({}, load=True)))
    store.close()
    return found


@pytest.mark.parametrize("name", ["numbers", "vibrations"])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_what_is_exported_is_imported_again(runs, tmp_path, name, suffix):
    path = store_file(runs / name)
    assert check(path) == []
    n = export(path, tmp_path / f"all{suffix}")
    assert take_in(tmp_path / f"all{suffix}", tmp_path / "copy.sqlite") == n
    assert contents(tmp_path / "copy.sqlite") == contents(path)
    assert check(tmp_path / "copy.sqlite") == []


def test_what_is_there_is_not_exported_over(runs, tmp_path):
    path = store_file(runs / "numbers")
    before = contents(path)
    export(path, tmp_path / "back.jsonl.gz")
    for place, target in ((tmp_path / "back.jsonl.gz", path), (path, tmp_path / "back.jsonl.gz")):
        with pytest.raises(StoreError, match="there already"):
            export(place, target)
    assert contents(path) == before
    assert take_in(tmp_path / "back.jsonl.gz", tmp_path / "copy.sqlite") == len(before)


def test_an_export_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "bad.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="damaged"):
        export(tmp_path / "bad.sqlite", tmp_path / "all.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.sqlite"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("all.jsonl.gz", lambda whole: whole[: len(whole) // 2]),
        ("all.jsonl.gz", lambda whole: b"x" + whole),
        ("all.jsonl.gz", lambda whole: whole[:40] + bytes(40) + whole[80:]),
        ("all.jsonl", lambda whole: whole.replace(b'"', b"\xff", 1)),
    ],
)
def test_a_damaged_export_is_refused_and_nothing_is_written(runs, tmp_path, name, change):
    export(store_file(runs / "numbers"), tmp_path / name)
    (tmp_path / name).write_bytes(change((tmp_path / name).read_bytes()))
    with pytest.raises(InputError, match=f"{name}: no whole file that `mscflow store export` wrote"):
        take_in(tmp_path / name, tmp_path / "out.sqlite")
    assert not (tmp_path / "out.sqlite").exists()


def test_merged_stores_have_the_documents_of_all(runs, tmp_path):
    paths = [store_file(runs / name) for name in ("numbers", "vibrations", "numbers")]
    merge(paths, tmp_path / "all.sqlite")
    assert contents(tmp_path / "all.sqlite") == sorted(contents(paths[0]) + contents(paths[1]))
    assert check(tmp_path / "all.sqlite") == []
    with pytest.raises(StoreError, match="there already"):
        merge(paths, tmp_path / "all.sqlite")


def test_different_results_of_one_job_are_not_merged(runs, tmp_path):
    path = store_file(runs / "numbers")
    export(path, tmp_path / "all.jsonl")
    text = (tmp_path / "all.jsonl").read_text()
    (tmp_path / "all.jsonl").write_text(text.replace('"output": 3', '"output": 4'))
    take_in(tmp_path / "all.jsonl", tmp_path / "changed.sqlite")
    with pytest.raises(StoreError, match="different results"):
        merge([path, tmp_path / "changed.sqlite"], tmp_path / "both.sqlite")
    assert not (tmp_path / "both.sqlite").exists()


def test_other_results_of_a_job_are_not_taken_in(runs, tmp_path):
    path = tmp_path / "store.sqlite"
    path.write_bytes(store_file(runs / "numbers").read_bytes())
    before = contents(path)
    export(path, tmp_path / "all.jsonl")
    assert take_in(tmp_path / "all.jsonl", path) == len(before)
    text = (tmp_path / "all.jsonl").read_text()
    (tmp_path / "all.jsonl").write_text(text.replace('"output": 3', '"output": 4'))
    with pytest.raises(StoreError, match="different results"):
        take_in(tmp_path / "all.jsonl", path)
    assert contents(path) == before


def test_a_run_that_took_in_other_documents_can_be_resumed(runs, tmp_path):
    made = flows.chain(2)
    mscflow.run(made, dir=tmp_path / "run")
    export(store_file(runs / "numbers"), tmp_path / "all.jsonl")
    take_in(tmp_path / "all.jsonl", store_file(tmp_path / "run"))
    assert set(mscflow.resume(tmp_path / "run")) == set(made.job_uuids)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE outputs SET document='{' WHERE id=1", "no readable document"),
        ("UPDATE outputs SET document='{\"blob_uuid\": ' WHERE id=1", "no readable document"),
        ("UPDATE outputs SET uuid='other' WHERE id=1", "filed under"),
        ("DELETE FROM outputs", "its output is gone"),
        ("DELETE FROM data", "large object that is gone"),
        ("UPDATE jobs SET job='{'", "cannot be read"),
    ],
)
def test_every_kind_of_damage_is_named(runs, tmp_path, statement, problem):
    copied = tmp_path / "store.sqlite"
    source = sqlite3.connect(store_file(runs / "vibrations"))
    target = sqlite3.connect(copied)
    source.backup(target)
    target.execute(statement)
    target.commit()
    source.close()
    target.close()
    assert any(problem in line for line in check(copied))


def test_a_report_says_that_a_document_is_damaged(runs, tmp_path):
    source = sqlite3.connect(store_file(runs / "numbers"))
    target = sqlite3.connect(tmp_path / "store.sqlite")
    source.backup(target)
    target.execute("UPDATE outputs SET document='{'")
    target.commit()
    source.close()
    target.close()
    command = [sys.executable, "-m", "mscflow", "report", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert "a document cannot be read: `mscflow store check` names it" in result.stderr


@pytest.mark.parametrize("command", ["store check", "status", "report"])
def test_damaged_pages_are_named(runs, tmp_path, command):
    whole = store_file(runs / "numbers").read_bytes()
    path = tmp_path / "store.sqlite"
    rng = np.random.default_rng(0)
    path.write_bytes(whole[:8192] + rng.bytes(len(whole) - 8192))
    result = subprocess.run(
        [sys.executable, "-m", "mscflow", *command.split(), str(tmp_path)], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "problem(s)" in result.stderr or "damaged" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: no exported document"),
        ('{"collection": "x", "document": {}}', "unknown collection 'x'"),
    ],
)
def test_a_foreign_file_is_refused_and_nothing_is_written(tmp_path, text, message):
    (tmp_path / "in.jsonl").write_text(text)
    with pytest.raises(InputError, match=message):
        take_in(tmp_path / "in.jsonl", tmp_path / "out.sqlite")
    assert not (tmp_path / "out.sqlite").exists()
    with pytest.raises(InputError, match="no store here"):
        store_file(tmp_path)
