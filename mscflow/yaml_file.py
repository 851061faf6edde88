"""Settings in a YAML file, validated: one line says what is wrong and where."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mscflow.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


def read_model(path: Path, model: type[Model], hint: str = "") -> Model:
    """Read a YAML file into a model.

    Parameters
    ----------
    path
        The file.
    model
        Its schema.
    hint
        What to say after "no such file".

    Raises
    ------
    InputError
        If the file is missing, no YAML, or breaks the schema.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.is_file():
        raise InputError(f"{path}: no such file{hint}")
    try:
        return model.model_validate(YAML(typ="safe", pure=True).load(path.read_text()))
    except YAMLError as err:
        raise InputError(f"{path}: YAML syntax: {' '.join(str(err).split())}") from err
    except ValidationError as err:
        problem = err.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{path}: {where}: {problem['msg'].removeprefix('Value error, ')}") from err
