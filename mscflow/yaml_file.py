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
        return model.model_validate(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))
    except (UnicodeDecodeError, OSError) as err:
        raise InputError(f"{path}: cannot be read as text in UTF-8: {err}") from err
    except YAMLError as err:
        raise InputError(f"{path}: YAML syntax: {' '.join(str(err).split())}") from err
    except ValidationError as err:
        problem = err.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "model_type":
            message = f"settings, one `name: value` a line, are needed, not {problem['input']!r:.40}"
        raise InputError(": ".join(filter(None, (str(path), where, message)))) from err
