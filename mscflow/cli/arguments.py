"""Arguments and options that commands on structures share, and what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mscflow.errors import InputError

if TYPE_CHECKING:
    from mscflow.cluster import Cluster
    from mscflow.levels import Level


def writable(path: Path | None) -> Path | None:
    """Return where a structure is to be written, checked before anything is computed."""
    if path is not None:
        from mscflow.files import require_writable

        require_writable(path)
    return path


File = Annotated[Path, typer.Argument(help="Structure file: xyz, extxyz, cif, mol, sdf, pdb, vasp or json.")]
Charge = Annotated[int | None, typer.Option(help="Charge / e; by default what the file says, else 0.")]
Multiplicity = Annotated[int | None, typer.Option(help="2S + 1; by default what the file says, else 1.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write the structure to this file.", callback=writable)
]
StateFile = Annotated[
    Path | None, typer.Option(help="Keep the state here; go on from it where the file exists.")
]
Trust = Annotated[bool, typer.Option("--trust", help="Load a model file although its checksum is not known.")]


def atoms_or_word(option: str, text: str, words: Sequence[str]) -> str | list[int]:
    """Return one of some words, or the atoms that are written as 1,2.

    Raises
    ------
    InputError
        If the text is neither.
    """
    if text in words:
        return text
    try:
        return [int(index) for index in text.split(",")]
    except ValueError as err:
        known = ", ".join(map(repr, words))
        raise InputError(f"{option} must be {known} or atom indices such as 1,2, not {text!r}") from err


def read_cluster(file: Path, charge: int | None, multiplicity: int | None) -> Cluster:
    """Return the structure of a file, with the given charge and multiplicity if there are any."""
    from mscflow.files import read

    return read(file, charge=charge, multiplicity=multiplicity)


def read_level(text: str, trust: bool) -> Level:
    """Return a level, one that loads unknown model files if they are trusted."""
    from mscflow.levels import MACE, parse_level

    level = parse_level(text)
    return level.trusting() if trust and isinstance(level, MACE) else level
