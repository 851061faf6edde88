"""Errors of a potential on frames it never saw, against its teacher, and the domain of those it saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from mscflow.cluster import Cluster
from mscflow.levels import MACE
from mscflow.levels.potentials.domain import Domain
from mscflow.train.recipe import is_pair


@dataclass(frozen=True)
class FrameErrors:
    """Errors over labelled frames.

    Parameters
    ----------
    n_frames
        Number of frames.
    force_mae
        Mean absolute error of force components / meV/Å.
    force_mean
        Mean absolute force component of the labels / meV/Å.
    energy_mae
        Mean absolute error of the energy per atom / meV.
    """

    n_frames: int
    force_mae: float
    force_mean: float
    energy_mae: float


WITHOUT_PAIRS = "all without pairs"
"""The errors on all frames but those of two molecules pushed together, which have walls of many eV/Å."""


def frame_errors(frames: Sequence[Atoms], potential: MACE) -> dict[str, FrameErrors]:
    """Return the errors on labelled frames per family (``config_type``), for ``all`` and `WITHOUT_PAIRS`."""
    rows: dict[str, list[tuple[np.ndarray, np.ndarray, float]]] = defaultdict(list)
    for frame in frames:
        energy, forces = potential.surfaces(Cluster.from_ase(frame))[-1](frame.positions)
        reference = frame.arrays["REF_forces"]
        error = forces - reference
        energy = abs(energy - frame.info["REF_energy"]) / len(frame)
        family = frame.info["config_type"]
        for group in (family, "all") if is_pair(family) else (family, "all", WITHOUT_PAIRS):
            rows[group].append((error, reference, energy))
    return {family: _summary(row) for family, row in sorted(rows.items())}


def training_domain(train: Sequence[Atoms], left_out: Sequence[Atoms], potential: MACE) -> Domain:
    """Return the domain of a potential from the features of its training frames and of others like them."""
    return Domain.fit(*(_features(frames, potential) for frames in (train, left_out)))


def _features(frames: Sequence[Atoms], potential: MACE) -> dict[str, np.ndarray]:
    """Return the features of the network for all atoms of each element, shape (n_atoms, n_features)."""
    features: dict[str, list[np.ndarray]] = defaultdict(list)
    for frame in frames:
        found = potential.features(Cluster.from_ase(frame))
        for symbol in set(frame.symbols):
            features[symbol].append(found[np.array(frame.symbols) == symbol])
    return {symbol: np.concatenate(parts) for symbol, parts in features.items()}


def _summary(rows: list[tuple[np.ndarray, np.ndarray, float]]) -> FrameErrors:
    return FrameErrors(
        n_frames=len(rows),
        force_mae=1000 * float(np.mean(np.abs(np.concatenate([error for error, _, _ in rows])))),
        force_mean=1000 * float(np.mean(np.abs(np.concatenate([label for _, label, _ in rows])))),
        energy_mae=1000 * float(np.mean([energy for _, _, energy in rows])),
    )
