"""Which tests may run side by side: files may, but not those that share the machine or dear fixtures."""

import pytest

TOGETHER = ("executors", "report")


def pytest_collection_modifyitems(items):
    """Group tests for ``pytest --dist loadgroup``: a process takes a file, or a folder of `TOGETHER`."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder in TOGETHER else str(item.path)))
