"""A fit goes on with the recipe it began with, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mscflow.errors import InputError
from mscflow.levels.potentials.registry import file_checksum
from mscflow.train.recipe import Recipe
from mscflow.whole_file import write_whole

FILE = "recipe.json"
"""In the directory of a fit: the settings it began with."""


def require_same_recipe(recipe: Recipe, foundation: Path | None, directory: Path) -> None:
    """Refuse to go on with a fit that another recipe began; one of which no recipe is kept is accepted.

    Parameters
    ----------
    recipe
        The recipe; only the number of its rounds of exploration may have changed.
    foundation
        File of the model the fit starts from, if any.
    directory
        Where checkpoints and models of the fit lie.

    Raises
    ------
    InputError
        If a setting has changed; the first one is named.
    """
    file = directory / FILE
    if not file.is_file():
        return
    began: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for name, now in _settings(recipe, foundation).items():
        if name in began and began[name] != now:
            raise InputError(
                f"{directory} was fitted with another recipe ({name} {began[name]}, now {now}): "
                "move it away, or name another --dir"
            )


def keep_recipe(recipe: Recipe, foundation: Path | None, directory: Path) -> None:
    """Write the settings of a fit that begins; see `require_same_recipe`."""
    if not (directory / FILE).is_file():
        write_whole(directory / FILE, json.dumps(_settings(recipe, foundation), indent=1) + "\n")


def _settings(recipe: Recipe, foundation: Path | None) -> dict[str, Any]:
    """Return what decides a fit, one entry a setting."""
    found = recipe.model_dump(mode="json", include={"name", "teacher", "seed"})
    found["number of systems"] = len(recipe.systems)
    for n, system in enumerate(recipe.systems):
        found[f"systems.{n}"] = system.model_dump_json(exclude_defaults=True)
    parts = recipe.model_dump(
        mode="json",
        include={"sampling", "exploration", "network"},
        exclude={"exploration": {"rounds"}, "network": {"foundation", "foundation_sha256"}},
    )
    for part, settings in parts.items():
        found |= {f"{part}.{name}": value for name, value in settings.items()}
    found["network.foundation"] = None if foundation is None else file_checksum(foundation)
    return found
