"""Small untrained MACE networks: instruments that show which inputs reach a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mace.calculators import mace as calculator  # first: it lets e3nn load its constants
from mace.modules import RealAgnosticResidualInteractionBlock, ScaleShiftMACE, gate_dict

o3 = calculator.o3

ELEMENTS = (1, 6, 8, 30, 49)
EMBEDDINGS = {
    "total_charge": {"type": "categorical", "per": "graph", "num_classes": 11, "offset": 5, "emb_dim": 4},
    "total_spin": {"type": "categorical", "per": "graph", "num_classes": 7, "offset": 0, "emb_dim": 4},
}


def save_network(path: Path, inputs: tuple[str, ...] = (), heads: tuple[str, ...] = ("Default",)) -> Path:
    """Save a network with random weights that reads `inputs` beside the atoms."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    try:
        network = ScaleShiftMACE(
            r_max=4.0,
            num_bessel=4,
            num_polynomial_cutoff=5,
            max_ell=1,
            interaction_cls=RealAgnosticResidualInteractionBlock,
            interaction_cls_first=RealAgnosticResidualInteractionBlock,
            num_interactions=2,
            num_elements=len(ELEMENTS),
            hidden_irreps=o3.Irreps("8x0e"),
            MLP_irreps=o3.Irreps(f"{4 * len(heads)}x0e"),
            atomic_energies=np.zeros((len(heads), len(ELEMENTS))),
            avg_num_neighbors=4.0,
            atomic_numbers=list(ELEMENTS),
            correlation=2,
            gate=gate_dict["silu"],
            atomic_inter_scale=[1.0] * len(heads),
            atomic_inter_shift=[0.0] * len(heads),
            radial_MLP=[8],
            heads=list(heads),
            embedding_specs={name: EMBEDDINGS[name] for name in inputs} or None,
        )
        torch.save(network, path)
    finally:
        torch.set_default_dtype(before)
    return path
