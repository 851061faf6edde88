"""Options that limit what a command may take: time and memory."""

from __future__ import annotations

import os
import re
import time
from typing import Annotated

import typer

from mscflow.errors import InputError

Walltime = Annotated[
    str | None,
    typer.Option(help="Stop in time, keeping everything: seconds, or 90m, 12h, or HH:MM:SS. Exit code 75."),
]
Memory = Annotated[
    float | None,
    typer.Option(min=0.1, help="Memory one calculation may take / GiB, if less than 70 % of what is free."),
]
WALLTIME = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[smh]?)|(?P<h>\d+):(?P<m>\d\d):(?P<s>\d\d)")
UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600}


def limit_time(walltime: str | None) -> None:
    """Tell jobs and their driver when this process has to end.

    Raises
    ------
    InputError
        If the wall time cannot be read.
    """
    if walltime is not None:
        os.environ["MSCFLOW_DEADLINE"] = str(time.time() + seconds(walltime))


def limit_memory(gib: float | None) -> None:
    """Tell calculations in this process and its workers how much memory they may take."""
    if gib is not None:
        os.environ["MSCFLOW_MEMORY_GIB"] = str(gib)


def seconds(walltime: str) -> float:
    """Return a wall time / s.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    match = WALLTIME.fullmatch(walltime.strip())
    if match is None:
        raise InputError(f"walltime {walltime!r}: write seconds, or 90m, 12h, or HH:MM:SS")
    if match["unit"] is not None:
        return float(match["number"]) * UNITS_S[match["unit"]]
    return 3600 * int(match["h"]) + 60 * int(match["m"]) + int(match["s"])
