"""Print the tables of the model card from labels that `mscflow train` has made.

    mscflow train inputs/train_msc_small.yaml --dir runs/train
    python benchmarks/model_accuracy.py inputs/train_msc_small.yaml runs/train [MODEL]

MODEL is the one in the directory unless another file is given.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mscflow.levels import MACE
from mscflow.train.card import card, record
from mscflow.train.evaluate import evaluate
from mscflow.train.fit import split
from mscflow.train.pipeline import load_recipe


def main() -> None:
    recipe = load_recipe(Path(sys.argv[1]))
    directory = Path(sys.argv[2])
    model = Path(sys.argv[3]) if len(sys.argv) > 3 else directory / f"{recipe.name}.model"
    potential = MACE(model=str(model)).trusting()
    rounds = (directory / f"explore-{n}" for n in range(1, recipe.exploration.rounds + 1))
    frames = split(recipe, [directory / "labels", *rounds])
    found = evaluate(recipe, potential, frames, directory, n_workers=2)
    registered = record(recipe, model, found, frames)
    print(card(recipe, frames, found, registered))


if __name__ == "__main__":
    main()
