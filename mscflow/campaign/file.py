"""Campaign files: YAML that is read and checked, with one line for what is wrong."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from mscflow.campaign.campaign import Campaign
from mscflow.campaign.sections import Section
from mscflow.chemistry import suggest
from mscflow.errors import InputError


def load_campaign(path: str | Path) -> Campaign:
    """Read a campaign file.

    Raises
    ------
    InputError
        If it is missing, no YAML, or breaks the schema; one line says where and what would be right.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return parse_campaign(path.read_text())
    except UnicodeDecodeError as err:
        raise InputError(f"{path}: not a text file: {err.reason} at byte {err.start}") from err
    except InputError as err:
        raise InputError(f"{path}: {err}") from err


def parse_campaign(text: str) -> Campaign:
    """Return the campaign written in YAML; see `load_campaign`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(io.StringIO(text))
    except MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{where}YAML syntax: {err.problem or err.context}") from err
    except (YAMLError, ValueError) as err:  # a date that there is not, for instance
        raise InputError(f"YAML syntax: {' '.join(str(err).split())}") from err
    if not isinstance(content, dict):
        raise InputError("a campaign is a mapping with 'name' and 'structure', as in inputs/quickstart.yaml")
    optional = [key for key, field in Campaign.model_fields.items() if field.default is None]
    empty = [key for key in optional if key in content and content[key] is None]
    try:
        campaign = Campaign.model_validate({**content, **{key: {} for key in empty}})
    except ValidationError as err:
        raise InputError(_first_problem(err)) from err
    if empty:
        raise InputError(f"{empty[0]!r} is empty: write '{empty[0]}: {{}}' for its defaults, or leave it out")
    return campaign


def _first_problem(err: ValidationError) -> str:
    """Return one line for the first error: the key, the value, and what would be right."""
    problems = err.errors(include_url=False)
    alternatives = [other for other in problems if other["loc"][:2] == problems[0]["loc"][:2]]
    ours = [other for other in alternatives if other["type"] == "value_error"]
    problem = (ours or problems)[0]
    # pydantic names the alternatives of a key, e.g. tuple[int, ...]
    path = [part for part in problem["loc"] if isinstance(part, int) or "[" not in part]
    where = ".".join(str(part) for part in path)
    if problem["type"] == "extra_forbidden":
        *path, key = problem["loc"]
        where = ".".join(str(part) for part in problem["loc"])
        return f"unknown key {where!r}: {suggest(str(key), _keys_of(path))}"
    if problem["type"] == "missing":
        return f"{where!r} is missing"
    is_shown = not ours and isinstance(problem["input"], str | int | float)
    value = f" (got {problem['input']!r})" if is_shown else ""
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}{value}"


def _keys_of(path: list[Any]) -> list[str]:
    """Return the keys of the section that a path leads to, those of a campaign where it leads to none."""
    model: type[Section] = Campaign
    for part in path:
        found = model.model_fields.get(str(part))
        kinds = get_args(found.annotation) or (found.annotation,) if found else ()
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), model)
    return list(model.model_fields)
