"""Small untrained MACE networks: instruments that show what reaches a network, and that two ways agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mace.calculators import mace as calculator  # first: it lets e3nn load its constants
from mace.modules import RealAgnosticResidualInteractionBlock, ScaleShiftMACE, gate_dict

Irreps = calculator.o3.Irreps

ELEMENTS = (1, 6, 8, 30, 49)
EMBEDDINGS = {
    "total_charge": {"type": "categorical", "per": "graph", "num_classes": 11, "offset": 5, "emb_dim": 4},
    "total_spin": {"type": "categorical", "per": "graph", "num_classes": 7, "offset": 0, "emb_dim": 4},
}


def network(numbers: Sequence[int], **changes: Any) -> ScaleShiftMACE:
    """Return a network with random weights in double precision for elements, with mace-torch's settings."""
    settings = {
        "r_max": 4.5,
        "num_bessel": 4,
        "num_polynomial_cutoff": 5,
        "max_ell": 2,
        "interaction_cls": RealAgnosticResidualInteractionBlock,
        "interaction_cls_first": RealAgnosticResidualInteractionBlock,
        "num_interactions": 2,
        "num_elements": len(numbers),
        "hidden_irreps": Irreps("8x0e"),
        "MLP_irreps": Irreps("4x0e"),
        "atomic_energies": np.zeros((1, len(numbers))),
        "avg_num_neighbors": 9.0,
        "atomic_numbers": list(numbers),
        "correlation": 2,
        "gate": gate_dict["silu"],
        "atomic_inter_scale": 1.3,
        "atomic_inter_shift": 0.1,
        "radial_MLP": [8],
    }
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    try:
        return ScaleShiftMACE(**{**settings, **changes})
    finally:
        torch.set_default_dtype(before)


def save_network(path: Path, inputs: tuple[str, ...] = (), heads: tuple[str, ...] = ("Default",)) -> Path:
    """Save a network that reads `inputs` beside the atoms."""
    model = network(
        ELEMENTS,
        r_max=4.0,
        max_ell=1,
        MLP_irreps=Irreps(f"{4 * len(heads)}x0e"),
        atomic_energies=np.zeros((len(heads), len(ELEMENTS))),
        avg_num_neighbors=4.0,
        atomic_inter_scale=[1.0] * len(heads),
        atomic_inter_shift=[0.0] * len(heads),
        heads=list(heads),
        embedding_specs={name: EMBEDDINGS[name] for name in inputs} or None,
    )
    torch.save(model, path)
    return path
