"""Schedulers of jobflow-remote that take any name of a job.

QToolKit writes names into the scripts of its ``shell`` and ``slurm`` as they are; a formula has parentheses.
"""

from __future__ import annotations

import re
from typing import Any

from qtoolkit.io.shell import ShellIO
from qtoolkit.io.slurm import SlurmIO

UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]")


def sanitized(options: dict[str, Any]) -> dict[str, Any]:
    """Return options whose job name has letters, digits and ``_.+-`` only."""
    return {name: UNSAFE.sub("_", value) if name == "job_name" else value for name, value in options.items()}


class SafeShell(ShellIO):
    """``shell`` with safe names."""

    def sanitize_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return safe options."""
        return sanitized(options)


class SafeSlurm(SlurmIO):
    """``slurm`` with safe names."""

    def sanitize_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return safe options."""
        return sanitized(options)


SAFE = {"shell": SafeShell, "slurm": SafeSlurm}
"""What takes the place of QToolKit's own; its PBS and SGE clean names themselves."""
