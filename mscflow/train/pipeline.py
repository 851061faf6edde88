"""The whole training: labels, fit, validation, card. Every stage goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mscflow.errors import CalculationError, InputError
from mscflow.levels import MACE, parse_level
from mscflow.levels.potentials.domain import domain_file
from mscflow.levels.potentials.registry import ModelRecord, file_checksum
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
from mscflow.train.wider import load_narrow
from mscflow.whole_file import write_whole
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
        If nothing is held out, or an element only there, the teacher cannot represent a structure, there is
        one trajectory only, the model it starts from cannot be used, or `directory` holds the work of another
        recipe.
    CalculationError
        If the teacher has no answer for any structure of those to train on, or of those held out.
    """
    _require_trainable(recipe)
    frames, fitted = _fitted(recipe, directory, n_workers)
    model = _finished(recipe, frames, fitted, directory)
    potential = _trusted(model)
    found = evaluate(recipe, potential, frames, directory, n_workers)
    registered = record(recipe, model, found, frames)
    write_record(registered, directory / f"{recipe.name}.json")
    (directory / f"{recipe.name}.md").write_text(card(recipe, frames, found, registered))
    return registered


def _require_trainable(recipe: Recipe) -> None:
    """Raise `InputError` for what would end the training after hours of labels."""
    foundation = foundation_file(recipe.network)
    if foundation and recipe.network.wider:
        load_narrow(foundation)
    every = starts(recipe)
    if not any(start.held_out for start in every):
        raise InputError(
            f"{recipe.name}: nothing is kept for testing: mark a family 'held_out: true', or give one of a "
            "family's trajectories its own arrangement of ligands (shells: 5 or more)"
        )
    teacher = parse_level(recipe.teacher)
    for start in every:
        teacher.require(start.cluster)
    seen, held_out = (
        [start.cluster.symbols for start in every if start.held_out is kept] for kept in (False, True)
    )
    _require_elements(recipe, seen, held_out)
    if recipe.exploration.rounds:
        explored(recipe, n_round=1)  # raises for a family that is not there


def _require_elements(
    recipe: Recipe, seen: Iterable[Sequence[str]], held_out: Iterable[Sequence[str]]
) -> None:
    """Raise `InputError` for elements of structures held out that are in no other: a network lacks them."""
    alone = set().union(*held_out) - set().union(*seen)
    if alone:
        raise InputError(
            f"{recipe.name}: only structures that are held out contain {', '.join(sorted(alone))}: "
            "add a system with it to train on, or leave them out"
        )


def _finished(recipe: Recipe, frames: Split, fitted: Path, directory: Path) -> Path:
    """Return the model with its domain beside it, made anew unless they are those of this fit."""
    model = directory / f"{recipe.name}.model"
    made_from, checksum = model.with_suffix(".fit"), file_checksum(fitted)
    there = all(file.is_file() for file in (model, domain_file(model), made_from))
    if there and made_from.read_text(encoding="utf-8") == checksum:
        return model
    made_from.unlink(missing_ok=True)
    shifted(fitted, model, frames.train, _trusted(fitted))
    training_domain(frames.train, frames.valid, _trusted(model)).save(domain_file(model))
    write_whole(made_from, checksum)
    return model


def _trusted(model: Path) -> MACE:
    return MACE(model=str(model)).trusting()


def _fitted(recipe: Recipe, directory: Path, n_workers: int) -> tuple[Split, Path]:
    """Return all labelled frames and the model of the last round."""
    labels = directory / "labels"
    _refuse_other_fit(recipe, labels, directory / "fit")
    require_same_recipe(recipe, foundation_file(recipe.network), directory / "fit")
    label(recipe, labels, n_workers)
    frame_directories = [labels]
    labelled = split(recipe, frame_directories)
    for purpose, frames in vars(labelled).items():
        if not frames:
            raise CalculationError(
                f"{recipe.name}: no {purpose} frame is left: {recipe.teacher} has no answer for these "
                f"structures, or their ligands react; the trajectories lie in {labels}"
            )
    seen, held_out = (
        [frame.get_chemical_symbols() for frame in part]
        for part in (labelled.train + labelled.valid, labelled.test)
    )
    _require_elements(recipe, seen, held_out)
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
