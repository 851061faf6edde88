"""Fit the pair potentials of the level ``gfn2-xtb+pairs`` and print how good they are.

Labels come first (small pieces, moved by GFN2-xTB, forces and energies of PBE-D3(BJ)/def2-SVP); stopped and
called again they go on. Those of the shipped potentials are kept beside this file. Errors after the
correction are those on families of pieces that the fit did not see. GFN1-xTB is treated in the same way, to
see which of the two is the better ground to build on. The labels of a recipe stay in a folder of its name.
Cores of whole clusters (``benchmarks/data/*-pbe.extxyz``, PBE-D3(BJ), In26P13 with pseudopotentials) take
part with the forces on their heavy atoms and the differences of their energies.

    mkdir -p runs/pairs && tar -xzf benchmarks/data/pbe-pairs-labels.tar.gz -C runs/pairs    # saves hours
    python benchmarks/pair_correction.py runs/pairs inputs/train_pairs_pbe.yaml
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np

from mscflow.cluster import Cluster
from mscflow.levels import XTB
from mscflow.train.labels import label, label_file, load
from mscflow.train.pairs import BASIS, WEIGHTS, Lack, fit_pairs, lack, left_out
from mscflow.train.pipeline import load_recipe
from mscflow.train.recipe import Recipe
from mscflow.train.starts import starts

NAME = "pbe-pairs"
CORES = sorted((Path(__file__).parent / "data").glob("*-pbe.extxyz"))
BASES = (XTB(method="GFN1-xTB"), XTB(method="GFN2-xTB"))
"""The last one is the one that is kept."""


def lacking(recipe: Recipe, directory: Path, level: XTB) -> list[Lack]:
    """Return what a level lacks for every labelled frame."""
    found = []
    for start in starts(recipe):
        calculator = level.calculator(start.cluster)
        found += [lack(frame, calculator) for frame in load(label_file(directory, start))]
    return found


def lacking_in_cores(level: XTB) -> list[Lack]:
    """Return what a level lacks in the cores of whole clusters."""
    frames = [frame for file in CORES for frame in ase.io.read(file, index=":")]
    return [lack(frame, level.calculator(Cluster.from_ase(frame)), core_only=True) for frame in frames]


def force_mae(lacks: Sequence[Lack]) -> float:
    """Return the mean absolute force component / meV/Å."""
    return 1000 * float(
        np.mean(np.abs(np.concatenate([item.forces[item.counted].ravel() for item in lacks])))
    )


def energy_mae(families: dict[str, list[Lack]]) -> float:
    """Return the mean absolute error of energies relative to the mean of their family / eV."""
    energies = [[item.energy for item in lacks] for lacks in families.values()]
    deviations = [energy - np.mean(family) for family in energies for energy in family]
    return float(np.mean(np.abs(deviations)))


def by_family(lacks: Sequence[Lack]) -> dict[str, list[Lack]]:
    """Return the frames by family."""
    found = defaultdict(list)
    for item in lacks:
        found[item.family].append(item)
    return dict(found)


def main() -> None:
    """Label, fit, write the potentials and print the errors."""
    directory, *files = map(Path, sys.argv[1:])
    recipes = {directory / file.stem: load_recipe(file) for file in files}
    for labels, recipe in recipes.items():
        label(recipe, labels, n_workers=2)
    for level in BASES:
        before = [item for labels, recipe in recipes.items() for item in lacking(recipe, labels, level)]
        before += lacking_in_cores(level)
        after = left_out(before, BASIS, WEIGHTS)
        rows = {family: (lacks, by_family(after)[family]) for family, lacks in by_family(before).items()}
        teachers = " and ".join(sorted({recipe.teacher for recipe in recipes.values()}))
        print(f"\n{level.text} against {teachers}: force MAE / meV/Å\n")
        print("| family | frames | plain | with pairs fitted to the others |\n|---|---|---|---|")
        for family, (plain, corrected) in sorted(rows.items()):
            print(f"| {family} | {len(plain)} | {force_mae(plain):.0f} | {force_mae(corrected):.0f} |")
        plain, corrected = ([item for item in items if not item.core_only] for items in (before, after))
        print(f"| all pieces | {len(plain)} | {force_mae(plain):.0f} | {force_mae(corrected):.0f} |")
        energies = energy_mae(by_family(plain)), energy_mae(by_family(corrected))
        print(f"\nenergies within a family: MAE {energies[0]:.2f} eV, with pairs {energies[1]:.2f} eV")
    fit_pairs(before, BASIS, WEIGHTS).save(directory / f"{NAME}.npz")


if __name__ == "__main__":
    main()
