"""How much memory a calculation may take."""

from __future__ import annotations

import math
import os

from mscflow.errors import InputError

GIB = 1024**3
SHARE = 0.7
"""Part of the memory that is free which a calculation may take at most."""

VARIABLE = "MSCFLOW_MEMORY_GIB"
"""Name of a lower limit for one calculation / GiB, set by ``--memory``."""


def memory_limit() -> float:
    """Return the memory a calculation may take / GiB.

    That is `SHARE` of what is free now, or less where `VARIABLE` or Slurm's allocation says so.

    Raises
    ------
    InputError
        If a limit is no positive number.
    """
    return min(_limits().values())


def more_memory() -> str:
    """Return what would raise the limit that counts now."""
    limits = _limits()
    return min(limits, key=lambda name: limits[name])


def _limits() -> dict[str, float]:
    """Return all limits / GiB by what would raise each."""
    import psutil

    limits = {
        "a machine with more memory": SHARE * psutil.virtual_memory().available / GIB,
        "a larger --memory (MSCFLOW_MEMORY_GIB)": _number(VARIABLE),
        "a larger allocation": _slurm(),
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


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
        value = math.nan
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise InputError(f"{variable} must be a positive number, not {text!r}")
    return value
