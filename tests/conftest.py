"""Which tests may run side by side: files may; those that need the machine, or share dear fixtures, may not."""

import pytest

TOGETHER = ("executors", "report")


def pytest_collection_modifyitems(items):
    """Group tests for ``pytest --dist loadgroup``: a process takes a file, or a folder of `TOGETHER`."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder in TOGETHER else str(item.path)))
