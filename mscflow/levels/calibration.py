"""How fast this machine is against the one on which the costs were measured.

`calibrate` measures it and keeps the factors in the data directory (``mscflow doctor --calibrate``).
"""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from mscflow.errors import InputError
from mscflow.levels.potentials.library import data_directory, replace_file

if TYPE_CHECKING:
    from mscflow.cluster import Cluster

FILE = "calibration.json"
FACTORS = TypeAdapter(dict[str, float])

REFERENCES = {
    "density fitting": "pbe/def2-svp",
    "multigrid": "pbe/gth-dzvp-molopt-sr",
    "tight binding": "gfn2-xtb",
    "MACE": "mace:msc-small",
}
"""Level that is timed for each kind of calculation."""


def speed(kind: str) -> float:
    """Return measured over expected time of a kind of calculation, 1 where it was not measured here."""
    return _factors(kept_in()).get(kind, 1.0)


def kept_in() -> Path:
    """Return the file of the factors."""
    return data_directory() / FILE


@cache
def _factors(path: Path) -> dict[str, float]:
    if not path.is_file():
        return {}
    try:
        return FACTORS.validate_json(path.read_bytes())
    except ValidationError as err:
        raise InputError(f"{path} is damaged: run mscflow doctor --calibrate again") from err


def calibrate(cluster: Cluster) -> dict[str, float]:
    """Time one energy and forces of a cluster by each kind of calculation, and keep the factors.

    Parameters
    ----------
    cluster
        A cluster of some forty atoms, relaxed roughly.

    Returns
    -------
    dict
        Measured over expected time of each of `REFERENCES`.
    """
    from mscflow.levels import parse_level

    found = {}
    for kind, text in REFERENCES.items():
        level = parse_level(text)
        expected = level.estimate(cluster).time_s / speed(kind)  # before the calculation takes its memory
        surface, positions = level.surfaces(cluster)[-1], cluster.positions
        if kind in ("tight binding", "MACE"):
            surface(positions)  # the first call loads and compiles
            positions = positions + 0.01 * (positions[:, ::-1] % 1.0 - 0.5)
        started = time.perf_counter()
        surface(positions)
        found[kind] = round((time.perf_counter() - started) / expected, 3)
    replace_file(kept_in(), (json.dumps(found, indent=1) + "\n").encode())
    _factors.cache_clear()
    return found
