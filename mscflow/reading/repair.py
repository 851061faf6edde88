"""Repairs that any kind of structure may need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from mscflow.errors import InputError

SAME_ATOM = 0.01
"""Two atoms of one element nearer than this / Å are one atom given twice."""

TOO_NEAR = 0.5


def without_duplicates(
    symbols: Sequence[str], positions: np.ndarray, lines: Sequence[int] | None = None
) -> tuple[list[int], list[str]]:
    """Return the atoms to keep, and what was mended.

    Raises
    ------
    InputError
        If a coordinate is not finite, different elements coincide, or equal ones are near without being the
        same atom.
    """
    for i in np.flatnonzero(~np.isfinite(positions).all(axis=1)).tolist():
        place = f"line {lines[i]}: " if lines else ""
        raise InputError(f"{place}coordinates of atom {i} ({symbols[i]}) are not finite: {positions[i]}")
    gone: set[int] = set()
    for i, j in sorted(cKDTree(positions).query_pairs(TOO_NEAR)):
        distance = float(np.linalg.norm(positions[i] - positions[j]))
        if symbols[i] != symbols[j] or distance > SAME_ATOM:
            places = f"lines {lines[i]} and {lines[j]}: " if lines else ""
            raise InputError(
                f"{places}atoms {i} ({symbols[i]}) and {j} ({symbols[j]}) coincide: {distance:.3f} Å apart, "
                f"at least {TOO_NEAR} Å needed"
            )
        gone.add(j)
    repairs = [f"{len(gone)} atom(s) given twice were dropped"] if gone else []
    return [i for i in range(len(symbols)) if i not in gone], repairs
