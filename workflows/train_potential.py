"""Train a MACE potential from a recipe: labels, fit, validation, model card.

Run it with ``python workflows/train_potential.py``; stopped and started again, it goes on where it was.
"""

from pathlib import Path

from mscflow.train.pipeline import load_recipe, train

if __name__ == "__main__":
    recipe = load_recipe(Path("inputs/train_msc_small.yaml"))
    print(train(recipe, Path("runs/train"), n_workers=2).errors)
