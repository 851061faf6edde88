"""Files are there as a whole or not at all, and others may read them."""

import os
import resource
from contextlib import contextmanager

import numpy as np
import pytest

from mscflow.levels.potentials.library import keep_file, replace_file
from mscflow.optimize.state_file import write_arrays
from mscflow.whole_file import whole


def state(directory):
    write_arrays(directory / "state.npz", {"positions": np.zeros((5000, 3))})


def table(directory):
    replace_file(directory / "models.json", bytes(100_000))


def model(directory):
    source = directory.parent / "source.model"
    if not source.exists():
        source.write_bytes(bytes(100_000))
    assert keep_file(source, "0" * 64).parent == directory


@pytest.fixture
def directory(monkeypatch, tmp_path):
    monkeypatch.setenv("MSCFLOW_DATA_DIR", str(tmp_path))
    before = os.umask(0o022)
    yield tmp_path / "models"
    os.umask(before)


@contextmanager
def full_disk():
    """Let no file grow beyond 1000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("write", [state, table, model])
def test_a_full_disk_leaves_nothing_behind_and_others_may_read(write, directory):
    write(directory)
    [file] = directory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644
    file.unlink()
    with full_disk(), pytest.raises(OSError, match="File too large"):
        write(directory)
    assert list(directory.iterdir()) == []


def test_processes_that_write_the_same_file_do_not_meet(tmp_path):
    path = tmp_path / "shared"
    with whole(path) as partial:
        partial.write_text("parent")
        child = os.fork()
        if not child:
            with whole(path) as other:
                other.write_text("child")
            os._exit(0)
        os.waitpid(child, 0)
        assert path.read_text() == "child"
    assert path.read_text() == "parent"
    assert list(tmp_path.iterdir()) == [path]
