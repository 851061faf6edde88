"""The whole training: labels, fit, validation, card. Every stage goes on where it stopped."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import ValidationError

from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.levels import MACE, parse_level
from mscflow.levels.registry import ModelRecord, file_checksum
from mscflow.train.card import card, record, write_record
from mscflow.train.explore import explore
from mscflow.train.fit import fit, split
from mscflow.train.labels import label
from mscflow.train.recipe import Recipe
from mscflow.train.starts import starts
from mscflow.train.validate import exchange_errors, frame_errors, structure_errors

N_STRUCTURES = 3
"""Held-out start structures that are relaxed with both levels."""


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from YAML.

    Raises
    ------
    InputError
        If the file is missing or breaks the schema.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return Recipe.model_validate(YAML(typ="safe", pure=True).load(path.read_text()))
    except YAMLError as err:
        raise InputError(f"{path}: YAML syntax: {' '.join(str(err).split())}") from err
    except ValidationError as err:
        problem = err.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{path}: {where}: {problem['msg']}") from err


def train(recipe: Recipe, directory: Path, n_workers: int = 2) -> ModelRecord:
    """Label, fit, validate, and write the model with its record and card.

    Parameters
    ----------
    recipe
        What to train.
    directory
        Everything is kept here; calling again goes on where it stopped.
    n_workers
        Processes for the labels.

    Returns
    -------
    ModelRecord
        The record; ``NAME.model``, ``NAME.json`` and ``NAME.md`` lie in `directory`.
    """
    labels = directory / "labels"
    label(recipe, labels, n_workers)
    frame_directories = [labels]
    fitted = fit(recipe, frame_directories, directory / "fit")
    for n_round in range(1, recipe.exploration.rounds + 1):
        explored = directory / f"explore-{n_round}"
        explore(recipe, fitted, explored, n_round, n_workers)
        frame_directories.append(explored)
        fitted = fit(recipe, frame_directories, directory / "fit", n_round)
    model = directory / f"{recipe.name}.model"
    shutil.copyfile(fitted, model)
    potential = MACE(model=str(model), trusted_sha256=file_checksum(model))
    teacher = parse_level(recipe.teacher)
    frames = split(recipe, frame_directories)
    unseen = [start.cluster for start in starts(recipe) if start.held_out]
    errors = frame_errors(frames.test, potential.calculator(unseen[0]))
    known = [start.cluster for start in starts(recipe)][:1]
    compared = (structure_errors(c, potential, teacher) for c in known + _spread(unseen, N_STRUCTURES))
    structures = [errors for errors in compared if errors is not None]
    exchanges = exchange_errors(potential, teacher)
    elements = tuple(sorted({symbol for frame in frames.train for symbol in frame.get_chemical_symbols()}))
    registered = record(recipe, model, errors, structures, exchanges, elements)
    write_record(registered, directory / f"{recipe.name}.json")
    text = card(recipe, frames, errors, structures, exchanges, registered)
    (directory / f"{recipe.name}.md").write_text(text)
    return registered


def _spread(items: list[Cluster], n: int) -> list[Cluster]:
    """Return at most n items, evenly spread."""
    step = max(1, len(items) // n)
    return items[::step][:n]
