"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mscflow.errors import InputError


def write_whole(path: Path, text: str) -> Path:
    """Write a file such that a reader, or a run that goes on after a stop, never finds half of it.

    Raises
    ------
    InputError
        See `require_place`.
    """
    require_place(path)
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a name beside `path`; what is written there takes its place, or after an error is removed.

    Processes that write the same file do not meet: the last one to end wins.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def require_place(path: Path) -> None:
    """Check that a file can be written at a path.

    Raises
    ------
    InputError
        If it is a directory, its directory is missing, or it must not be written.
    """
    problem = ""
    if path.is_dir():
        problem = "this is a directory"
    elif not path.parent.is_dir():
        problem = f"there is no directory {path.parent}"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        problem = "permission denied"
    if problem:
        raise InputError(f"{path}: cannot be written: {problem}")
