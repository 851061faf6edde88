"""Which tests may run side by side: files may, but not those that share a batch system or dear fixtures."""

from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/executors", "tests/report")


class FileScheduling(LoadScopeScheduling):
    """A process takes a file at a time, or a folder of `TOGETHER`."""

    def _split_scope(self, nodeid):
        file = nodeid.split("::")[0]
        folder = file.rpartition("/")[0]
        return folder if folder in TOGETHER else file


def pytest_xdist_make_scheduler(config, log):
    return FileScheduling(config, log)
