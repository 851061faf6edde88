"""Finished rows of a Hessian on disk, so that thousands of force calls are not done twice."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from mscflow.clock import Clock, out_of_time
from mscflow.errors import InputError
from mscflow.optimize.state_file import UNREADABLE, write_arrays

SAVE_INTERVAL_S = 10.0
"""Time between two states on disk / s."""


class HessianCheckpoint:
    """Keeps the rows that are finished in a file.

    Parameters
    ----------
    path
        The file.
    fingerprint
        Identifies structure, level and displacement.
    what
        Names the calculation.

    Attributes
    ----------
    rows
        What the file had, shape (n_finished, n_columns); None where there was no file.

    Raises
    ------
    InputError
        If the file is something else, or of another calculation.
    """

    def __init__(self, path: Path, fingerprint: str, what: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.what = what
        self.rows = self._read() if path.exists() else None
        self._saved = time.monotonic()
        self._clock = Clock()

    def _read(self) -> np.ndarray:
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                rows: np.ndarray = archive["rows"]
                fingerprint = str(archive["fingerprint"])
        except UNREADABLE as err:
            raise InputError(
                f"{self.path} is not a state of vibrations: delete it, or name another file"
            ) from err
        if fingerprint != self.fingerprint:
            raise InputError(
                f"{self.path} belongs to other vibrations (structure, level or displacement differ): "
                "delete it, or name another file"
            )
        return rows

    def __call__(self, rows: np.ndarray) -> None:
        """Take all rows that are finished; write them if those on disk are old.

        Raises
        ------
        OutOfTimeError
            If the process will be ended before another row is finished.
        """
        is_over = self._clock.is_over()
        if is_over or time.monotonic() - self._saved > SAVE_INTERVAL_S:
            write_arrays(self.path, {"rows": rows, "fingerprint": self.fingerprint})
            self._saved = time.monotonic()
        if is_over:
            raise out_of_time(self.what, self.path)
