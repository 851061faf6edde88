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
    """Start a Slurm on this machine, where that is possible, and stop it at the end."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("a development Slurm needs root on Debian or Ubuntu")
    subprocess.run([SCRIPT, "start"], check=True)
    yield
    subprocess.run([SCRIPT, "stop"], check=True)
