"""Fit the pair potentials of the level ``gfn2-xtb+pairs`` and print their card.

Labels come first (small pieces, moved by GFN2-xTB, forces and energies of PBE-D3(BJ)/def2-SVP); stopped and
called again they go on. Errors are those on families of pieces that the fit did not see.

    python benchmarks/pair_correction.py inputs/train_pairs_pbe.yaml runs/pairs    # an hour on two cores
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mscflow.levels import XTB
from mscflow.levels.pair_potential import SplineBasis
from mscflow.train.labels import label, label_file, load
from mscflow.train.pairs import Lack, Weights, fit_pairs, lack, left_out
from mscflow.train.pipeline import load_recipe
from mscflow.train.recipe import Recipe
from mscflow.train.starts import starts

NAME = "pbe-pairs"
BASIS = SplineBasis(first=0.8, last=5.0, size=21)
WEIGHTS = Weights()


def lacking(recipe: Recipe, directory: Path) -> list[Lack]:
    """Return what GFN2-xTB lacks for every labelled frame."""
    found = []
    for start in starts(recipe):
        calculator = XTB().calculator(start.cluster)
        found += [lack(frame, calculator) for frame in load(label_file(directory, start))]
    return found


def force_mae(lacks: Sequence[Lack]) -> float:
    """Return the mean absolute force component / meV/Å."""
    return 1000 * float(np.mean(np.abs(np.concatenate([item.forces.ravel() for item in lacks]))))


def by(key: Callable[[Lack], str], lacks: Sequence[Lack]) -> dict[str, list[Lack]]:
    """Return the frames sorted by a key."""
    found = defaultdict(list)
    for item in lacks:
        found[key(item)].append(item)
    return dict(found)


def main() -> None:
    """Label, fit, write the potentials and print the card."""
    recipe, directory = load_recipe(Path(sys.argv[1])), Path(sys.argv[2])
    label(recipe, directory / "labels", n_workers=2)
    before = lacking(recipe, directory / "labels")
    after = left_out(before, BASIS, WEIGHTS)
    print(f"force MAE {force_mae(before):.0f} -> {force_mae(after):.0f} meV/Å")
    fit_pairs(before, BASIS, WEIGHTS).save(directory / f"{NAME}.npz")


if __name__ == "__main__":
    main()
