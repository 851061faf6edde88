"""Energies of free atoms, fitted once more after the network.

A network shifts the energy of all atoms of an element slowly, since no single weight does it; least squares
do it at once. No force and no reaction energy changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.optimize import least_squares

from mscflow.cluster import Cluster
from mscflow.levels import MACE

N_FRAMES = 600
"""Frames that are used, evenly from all."""

NOISE = 0.01
"""Residuals beyond this count linearly, not squared / eV per atom: of squeezed structures they are large."""


def shifted(model: Path, target: Path, frames: Sequence[Atoms], potential: MACE) -> None:
    """Write a model whose energies of free atoms fit the labels best.

    Parameters
    ----------
    model
        The fitted model, our own.
    target
        Where the shifted one goes.
    frames
        Labelled training frames.
    potential
        The level of `model`.
    """
    import torch

    found = offsets(frames, potential)
    network = torch.load(model, map_location="cpu", weights_only=False)
    numbers = network.atomic_numbers.tolist()
    shift = torch.tensor([found.get(number, 0.0) for number in numbers])
    network.atomic_energies_fn.atomic_energies += shift.to(network.atomic_energies_fn.atomic_energies)
    torch.save(network, target)


def offsets(frames: Sequence[Atoms], potential: MACE) -> dict[int, float]:
    """Return what the energy of each element's free atom lacks / eV, by atomic number."""
    chosen = frames[:: max(1, len(frames) // N_FRAMES)]
    numbers = sorted({int(number) for frame in chosen for number in frame.numbers})
    shares = np.array([[np.mean(frame.numbers == number) for number in numbers] for frame in chosen])
    residuals = []
    for frame in chosen:
        energy, _ = potential.surfaces(Cluster.from_ase(frame))[-1](frame.positions)
        residuals.append((frame.info["REF_energy"] - energy) / len(frame))
    fitted = least_squares(
        lambda x: shares @ x - residuals, np.zeros(len(numbers)), loss="soft_l1", f_scale=NOISE
    )
    return dict(zip(numbers, map(float, fitted.x), strict=True))
