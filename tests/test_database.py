"""The file of a run on file systems of every kind."""

from __future__ import annotations

from pathlib import Path

import flows_for_tests as flows
import pytest
from runs_for_tests import rows

import mscflow
from mscflow import database
from mscflow.database import is_shared

MOUNTS = r"""
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local xfs rw 0 0
scratch /mnt/my\040scratch lustre rw,flock 0 0
none /proc proc rw 0 0
""".strip()


@pytest.mark.parametrize(
    ("directory", "shared"),
    [
        ("/data/run", False),
        ("/home/me/runs/x", True),
        ("/home/local/x", False),
        ("/homes/x", False),
        ("/mnt/my scratch/x", True),
    ],
)
def test_file_systems_that_machines_share_are_known(directory, shared):
    assert is_shared(Path(directory), MOUNTS) is shared


@pytest.mark.parametrize(("kind", "has_log"), [("nfs4", False), ("ext4", True)])
def test_a_shared_file_system_has_no_log(tmp_path, monkeypatch, kind, has_log):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"somewhere / {kind} rw 0 0\n")
    monkeypatch.setattr(database, "MOUNTS", mounts)
    found = []

    def look(_):
        found.append(sorted(path.suffix for path in (tmp_path / "run").glob("store.sqlite*")))
        assert rows(tmp_path / "run")

    flow = flows.chain(3)
    responses = mscflow.run(flow, dir=tmp_path / "run", on_event=look)
    assert responses[flow.job_uuids[-1]][1].output == 3
    assert any(".sqlite-wal" in names for names in found) is has_log
