"""The Hessian of a cheap level as the curvature with which an expensive minimisation begins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.levels.base import Level
from mscflow.levels.hessian import hessian

SOFTEST = 0.1
"""Smallest curvature / eV/Å²: softer and negative ones, turns and shifts of the whole among them, get this or
their absolute value."""


def curvature(cluster: Cluster, level: Level) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return a function that makes positive definite Hessians of a cluster, for `mscflow.optimize.lbfgs`.

    Parameters
    ----------
    cluster
        Elements, charge and multiplicity; a start structure.
    level
        A cheap level.

    Returns
    -------
    callable
        Takes coordinates / Å, shape (n_atoms, 3); returns the Hessian / eV/Å², shape
        (3 n_atoms, 3 n_atoms). None where the level cannot represent the cluster, or was not made for
        some of its atoms.
    """
    if level.refusal(cluster):
        return None
    try:
        distance = level.extrapolation(cluster)
    except (InputError, CalculationError):
        return None
    if distance is not None and (distance > 1).any():
        return None

    def at(positions: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(hessian(cluster.replace(positions=positions), level).hessian)
        return np.asarray((vectors * np.maximum(np.abs(values), SOFTEST)) @ vectors.T)

    return at
