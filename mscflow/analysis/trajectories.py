"""Averages over a trajectory: distances that molecular dynamics or a relaxation went through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mscflow.analysis.separations import separations
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import topology

if TYPE_CHECKING:
    import pandas as pd


def averaged_separations(
    cluster: Cluster, frames: Sequence[np.ndarray], elements: str = "In"
) -> pd.DataFrame:
    """Return mean and spread of each cation–cation separation over a trajectory.

    Parameters
    ----------
    cluster
        The structure; its pairs nearer than 6 Å and its bonds are those that are followed.
    frames
        Coordinates / Å of the same atoms, shape (n_atoms, 3) each.
    elements
        As in `mscflow.analysis.separations.separations`.

    Returns
    -------
    DataFrame
        Columns of the separations of `cluster`, and ``mean``, ``std``, ``min``, ``max`` / Å.
    """
    pairs = separations(cluster, elements)
    return pairs.table.join(_statistics([(pair.i, pair.j) for pair in pairs], frames, len(cluster)))


def averaged_bonds(cluster: Cluster, frames: Sequence[np.ndarray]) -> pd.DataFrame:
    """Return mean and spread of each bond of metals over a trajectory; see `averaged_separations`."""
    import pandas as pd

    found = topology(cluster)
    metals = set(found.metals)
    bonds = sorted(tuple(sorted(pair)) for pair in found.graph.edges if metals & set(pair))
    names = [f"{cluster.symbols[i]}–{cluster.symbols[j]}" for i, j in bonds]
    table = pd.DataFrame({"i": [b[0] for b in bonds], "j": [b[1] for b in bonds], "bond": names})
    return table.join(_statistics(bonds, frames, len(cluster)))


def _statistics(pairs: Sequence[tuple[int, int]], frames: Sequence[np.ndarray], n_atoms: int) -> pd.DataFrame:
    import pandas as pd

    if not len(frames):
        raise InputError("the trajectory has no frames")
    stack = np.asarray(frames)
    if stack.shape[1:] != (n_atoms, 3):
        raise InputError(f"frames of {stack.shape[1]} atoms do not belong to a cluster of {n_atoms}")
    i, j = np.array(pairs, dtype=int).reshape(-1, 2).T
    distances = np.linalg.norm(stack[:, i] - stack[:, j], axis=2)
    columns = {name: getattr(distances, name)(axis=0) for name in ("mean", "std", "min", "max")}
    return pd.DataFrame(columns)
