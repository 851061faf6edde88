"""The whole training: labels, fit, validation, card. Every stage goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

from mscflow.errors import CalculationError, InputError
from mscflow.levels import MACE
from mscflow.levels.potentials.domain import domain_file
from mscflow.levels.potentials.registry import ModelRecord
from mscflow.train.card import card, record, write_record
from mscflow.train.evaluate import evaluate
from mscflow.train.explore import explore, explored
from mscflow.train.fit import Split, fit, foundation_file, split
from mscflow.train.labels import label, label_file, labelled_by
from mscflow.train.offsets import shifted
from mscflow.train.recipe import Recipe
from mscflow.train.same_recipe import require_same_recipe
from mscflow.train.starts import starts
from mscflow.train.validate import training_domain
from mscflow.yaml_file import read_model


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from YAML; a model file to start from may be named as seen from there.

    Raises
    ------
    InputError
        If the file is missing or breaks the schema.
    """
    recipe = read_model(path, Recipe)
    beside = path.parent / (recipe.network.foundation or "")
    if not beside.is_file():
        return recipe
    network = recipe.network.model_copy(update={"foundation": str(beside)})
    return recipe.model_copy(update={"network": network})


def train(recipe: Recipe, directory: Path, n_workers: int = 2) -> ModelRecord:
    """Label, fit, validate, and write the model with its record and card.

    Parameters
    ----------
    recipe
        What to train.
    directory
        Everything is kept here; calling again goes on where it stopped.
    n_workers
        Processes for the labels, and for the errors of the card.

    Returns
    -------
    ModelRecord
        The record; ``NAME.model``, ``NAME.domain.npz``, ``NAME.json`` and ``NAME.md`` lie in `directory`.

    Raises
    ------
    InputError
        If nothing is held out, there is one trajectory only, the model it starts from cannot be used, or
        `directory` holds the work of another recipe.
    CalculationError
        If the teacher has no answer for any structure of those to train on, or of those held out.
    """
    foundation_file(recipe.network)  # one that cannot be used is refused before hours of labels
    if not any(start.held_out for start in starts(recipe)):
        raise InputError(
            f"{recipe.name}: nothing is kept for testing: mark a family 'held_out: true', or give one of a "
            "family's trajectories its own arrangement of ligands (shells: 5 or more)"
        )
    if recipe.exploration.rounds:
        explored(recipe, n_round=1)  # raises where there is nothing to explore
    frames, fitted = _fitted(recipe, directory, n_workers)
    model = directory / f"{recipe.name}.model"
    first = starts(recipe)[0].cluster
    if not _is_newer(domain_file(model), fitted):
        shifted(fitted, model, frames.train, _trusted(fitted).calculator(first))
        calculator = _trusted(model).calculator(first)
        training_domain(frames.train, frames.valid, calculator).save(domain_file(model))
    potential = _trusted(model)
    found = evaluate(recipe, potential, frames, directory, n_workers)
    registered = record(recipe, model, found, frames)
    write_record(registered, directory / f"{recipe.name}.json")
    (directory / f"{recipe.name}.md").write_text(card(recipe, frames, found, registered))
    return registered


def _is_newer(file: Path, than: Path) -> bool:
    return file.exists() and file.stat().st_mtime > than.stat().st_mtime


def _trusted(model: Path) -> MACE:
    return MACE(model=str(model)).trusting()


def _fitted(recipe: Recipe, directory: Path, n_workers: int) -> tuple[Split, Path]:
    """Return all labelled frames and the model of the last round."""
    labels = directory / "labels"
    _refuse_other_fit(recipe, labels, directory / "fit")
    require_same_recipe(recipe, foundation_file(recipe.network), directory / "fit")
    label(recipe, labels, n_workers)
    frame_directories = [labels]
    for purpose, frames in vars(split(recipe, frame_directories)).items():
        if not frames:
            raise CalculationError(
                f"{recipe.name}: no {purpose} frame is left: {recipe.teacher} has no answer for these "
                f"structures, or their ligands react; the trajectories lie in {labels}"
            )
    fitted = fit(recipe, frame_directories, directory / "fit")
    for n_round in range(1, recipe.exploration.rounds + 1):
        frame_directories.append(directory / f"explore-{n_round}")
        explore(recipe, fitted, frame_directories[-1], n_round, n_workers)
        fitted = fit(recipe, frame_directories, directory / "fit", n_round)
    return split(recipe, frame_directories), fitted


def _refuse_other_fit(recipe: Recipe, labels: Path, fitted: Path) -> None:
    """Raise `InputError` where a fit is there whose labels are another teacher's."""
    files = (label_file(labels, start) for start in starts(recipe))
    if fitted.exists() and any(file.exists() and not labelled_by(recipe, file) for file in files):
        raise InputError(
            f"{fitted} was fitted to labels of another teacher than {recipe.teacher}: move it away, "
            f"or name another --dir; the frames in {labels} are then labelled anew"
        )
