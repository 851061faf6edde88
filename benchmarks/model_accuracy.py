"""Print the tables of the model card from labels that `mscflow train` has made.

    mscflow train inputs/train_msc.yaml --dir runs/train
    python benchmarks/model_accuracy.py inputs/train_msc.yaml runs/train [MODEL]

MODEL is the shipped one unless a file is given.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mscflow.levels import MACE
from mscflow.levels.registry import file_checksum, find_model
from mscflow.train.card import card, record
from mscflow.train.fit import split
from mscflow.train.pipeline import evaluate, load_recipe


def main() -> None:
    recipe = load_recipe(Path(sys.argv[1]))
    directory = Path(sys.argv[2])
    name = sys.argv[3] if len(sys.argv) > 3 else recipe.name
    known = find_model(name)
    potential = MACE(model=name) if known else MACE(model=name, trusted_sha256=file_checksum(Path(name)))
    rounds = (directory / f"explore-{n}" for n in range(1, recipe.exploration.rounds + 1))
    frames = split(recipe, [directory / "labels", *rounds])
    found = evaluate(recipe, potential, frames)
    registered = record(recipe, known.path if known else Path(name), found, frames)
    print(card(recipe, frames, found, registered))


if __name__ == "__main__":
    main()
