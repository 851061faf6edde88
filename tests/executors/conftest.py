"""A Slurm for the tests that need one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = str(Path(__file__).parents[2] / "hpc" / "dev-slurm.sh")


@pytest.fixture(scope="module")
def slurm():
    """Start a Slurm on this machine and stop it at the end; where there can be none, that must be said."""
    if os.environ.get("MSCFLOW_NO_SLURM"):
        pytest.skip("MSCFLOW_NO_SLURM is set")
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.fail(
            "a development Slurm needs root on Debian or Ubuntu: set MSCFLOW_NO_SLURM=1 to go without"
        )
    subprocess.run([SCRIPT, "start"], check=True)
    yield
    subprocess.run([SCRIPT, "stop"], check=True)
