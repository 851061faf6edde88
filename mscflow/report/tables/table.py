"""A table: rows of text under headers that carry units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table that can be sorted and exported.

    Parameters
    ----------
    key
        Identifier, used as file name of the CSV.
    caption
        What it shows.
    columns
        Headers with units.
    rows
        Cells as text, as many as there are columns.
    """

    key: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
