"""Training of MACE: with our layers for networks with scalar features, and with mace-torch's own, in one run.

Steps of the optimisation of msc-small's network on labelled frames of its archive: energies, forces and the
derivatives of their errors by every parameter, in batches of eight.

    python benchmarks/training.py                # 64 frames
    python benchmarks/training.py --threads 2
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from mace import data
from mace.tools.torch_geometric.dataloader import DataLoader
from mace.tools.utils import AtomicNumberTable

from mscflow.levels.potentials.registry import shipped_models
from mscflow.train.labels import load
from mscflow.train.scalar_layers import install

ARCHIVE = Path(__file__).parents[1] / "inputs" / "train_msc_small.labels.tar.xz"
BATCH = 8


def frames(n: int) -> list[Atoms]:
    """Return frames of the archive, one of each of several trajectories."""
    with tempfile.TemporaryDirectory() as directory, tarfile.open(ARCHIVE) as archive:
        members = sorted((m for m in archive.getmembers() if m.isfile()), key=lambda m: m.name)
        found: list[Atoms] = []
        for number in np.random.default_rng(1).permutation(len(members)):
            member = members[number]
            archive.extract(member, directory, filter="data")
            found += load(Path(directory) / member.name)[:1]
            if len(found) == n:
                break
    return found


def batches(model: Any, chosen: list[Atoms]) -> list[dict[str, Any]]:
    table = AtomicNumberTable([int(z) for z in model.atomic_numbers])
    keys = data.KeySpecification(info_keys={"energy": "REF_energy"}, arrays_keys={"forces": "REF_forces"})
    configurations = [data.config_from_atoms(atoms, key_specification=keys) for atoms in chosen]
    rows = [data.AtomicData.from_config(c, table, cutoff=float(model.r_max)) for c in configurations]
    return [batch.to_dict() for batch in DataLoader(rows, batch_size=BATCH)]


def epoch(model: Any, given: list[dict[str, Any]]) -> tuple[float, torch.Tensor]:
    """Return the time of one pass / s, and the derivatives by the parameters in the last batch."""
    started = time.perf_counter()
    for batch in given:
        model.zero_grad()
        out = model(batch, training=True)
        forces, energies = out["forces"] - batch["forces"], out["energy"] - batch["energy"]
        (100 * (forces**2).mean() + (energies**2).mean()).backward()
    wall = time.perf_counter() - started
    return wall, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_default_dtype(torch.float32)
    model = torch.load(shipped_models()["msc-small"].path, weights_only=False).float()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    given = batches(model, frames(arguments.frames))
    n_atoms = sum(len(batch["positions"]) for batch in given)
    epoch(model, given[:1])
    theirs, their_slopes = min((epoch(model, given) for _ in range(2)), key=lambda found: found[0])
    install()
    epoch(model, given[:1])
    ours, our_slopes = min((epoch(model, given) for _ in range(2)), key=lambda found: found[0])
    difference = float((their_slopes - our_slopes).norm() / their_slopes.norm())
    print(f"{arguments.frames} frames, {n_atoms} atoms, batches of {BATCH}, threads: {arguments.threads}\n")
    print("| mace-torch / s | ours / s | ratio | relative difference of the derivatives |\n|---|---|---|---|")
    print(f"| {theirs:.2f} | {ours:.2f} | {theirs / ours:.2f} | {difference:.0e} |")


if __name__ == "__main__":
    main()
