"""How much memory a calculation may take."""

from __future__ import annotations

import os

from mscflow.errors import InputError

GIB = 1024**3
SHARE = 0.7
"""Part of the memory that is free at the start which a calculation may take where nobody says."""

VARIABLE = "MSCFLOW_MEMORY_GIB"
"""Limit for one calculation / GiB, set by ``--memory``."""


def memory_limit() -> float:
    """Return the memory a calculation may take / GiB.

    That is `SHARE` of what is free now, or less where `VARIABLE` or Slurm's allocation says so.

    Raises
    ------
    InputError
        If a limit is no positive number.
    """
    import psutil

    free = SHARE * psutil.virtual_memory().available / GIB
    given = _number(VARIABLE)
    return min(limit for limit in (free, given, _slurm()) if limit is not None)


def _slurm() -> float | None:
    """Return the memory of this node's share of a Slurm job / GiB; 0 there means the whole node."""
    per_node = _number("SLURM_MEM_PER_NODE", zero=True)
    if per_node:
        return per_node / 1024
    per_core, cores = _number("SLURM_MEM_PER_CPU", zero=True), _number("SLURM_CPUS_ON_NODE")
    return per_core * cores / 1024 if per_core and cores else None


def _number(variable: str, zero: bool = False) -> float | None:
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value < 0 or (value == 0 and not zero):
        raise InputError(f"{variable} must be a positive number, not {text!r}")
    return value
