"""How commands speak: results on standard output, warnings and progress on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from mscflow.json_text import json_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPED_WIDTH = 160
"""Columns of a table that goes into a file or a pipe."""


def show_json(content: Any) -> None:
    """Print JSON for machines."""
    typer.echo(json_text(content))


def warn(messages: Iterable[str]) -> None:
    """Print warnings on standard error."""
    for message in messages:
        typer.echo(f"warning: {message}", err=True)


def show_table(title: str, rows: Sequence[Mapping[str, Any]], whole: Sequence[str] = ()) -> None:
    """Print rows that share their keys as a table; cells of the columns `whole` are never broken."""
    console().print(as_table(title, rows, whole))


def as_table(title: str, rows: Sequence[Mapping[str, Any]], whole: Sequence[str] = ()) -> Table | str:
    """Return the table that `show_table` prints."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left")
    for column in rows[0] if rows else ():
        table.add_column(str(column).replace("_", " "), no_wrap=column in whole)
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    return table if rows else escape(f"{title}: none")


def console() -> Console:
    """Return where tables are printed: as wide as the terminal, or wide enough for a file."""
    from rich.console import Console

    found = Console()
    if not found.is_terminal:
        found.width = PIPED_WIDTH
    return found


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return "–" if value is None else str(value)
