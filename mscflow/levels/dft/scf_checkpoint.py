"""A self-consistent field on disk, so that a killed calculation does not begin anew."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from mscflow.clock import Clock, out_of_time
from mscflow.errors import InputError
from mscflow.optimize.state_file import UNREADABLE, write_arrays

SAVE_INTERVAL_S = 60.0
"""Time between two densities on disk / s."""

ORBITALS = ("mo_coeff", "mo_occ", "mo_energy", "e_tot")
"""What PySCF knows of a converged field."""


def require_field(path: Path) -> None:
    """Refuse a file that is something else than a kept field, or empty: it would be replaced.

    Raises
    ------
    InputError
        If it is.
    """
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        return
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = set(archive.files)
    except UNREADABLE:
        names = set()
    if not {"fingerprint", "cycles"} <= names:
        raise InputError(f"{path} is not a state of excitations: delete it, or name another file")


def spin_densities(density: np.ndarray) -> np.ndarray:
    """Return densities of both spins, shape (2, n, n), of a total density or of those themselves."""
    density = np.asarray(density)
    return np.array([density, density]) / 2 if density.ndim == 2 else density


class ScfCheckpoint:
    """Keeps the density of an SCF in a file, and its orbitals when it has converged.

    PySCF calls it in every cycle.

    Parameters
    ----------
    path
        The file; one that is missing, damaged or of another calculation is as good as none.
    fingerprint
        Identifies structure and level.

    Attributes
    ----------
    cycles
        Cycles so far, those before an interruption included.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self._saved = time.monotonic()
        self._found = self._read()
        self.cycles = int(self._found.get("cycles", 0))
        self._clock: Clock | None = None

    def _read(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                found = dict(archive)
        except UNREADABLE:
            return {}
        return found if str(found.get("fingerprint")) == self.fingerprint else {}

    def density(self) -> np.ndarray | None:
        """Return the spin densities of the file, shape (2, n_basis, n_basis); None where there are none."""
        return self._found.get("density")

    def restore(self, mf: Any) -> dict[str, Any] | None:
        """Give a mean field the converged orbitals of the file; return what was kept with them, or None."""
        if "mo_coeff" not in self._found:
            return None
        for name in ORBITALS:
            setattr(mf, name, self._found[name])
        mf.e_tot, mf.converged = float(mf.e_tot), True
        kept: dict[str, Any] = json.loads(str(self._found["facts"]))
        return kept

    def finish(self, mf: Any, facts: dict[str, Any]) -> None:
        """Keep the orbitals of a converged field, with some facts."""
        orbitals = {name: np.asarray(getattr(mf, name)) for name in ORBITALS}
        self._write({**orbitals, "facts": json.dumps(facts)})

    def __call__(self, variables: dict[str, Any]) -> None:
        """Take the local variables of PySCF's loop; write its density if the last one is old.

        Raises
        ------
        OutOfTimeError
            If the process will be ended before another cycle is over.
        """
        self.cycles += 1
        self._clock = self._clock or Clock()
        is_over = self._clock.is_over()
        if is_over or time.monotonic() - self._saved > SAVE_INTERVAL_S:
            self._write({"density": spin_densities(variables["dm"])})
            self._saved = time.monotonic()
        if is_over:
            raise out_of_time(f"self-consistent field after {self.cycles} cycles", self.path)

    def _write(self, arrays: dict[str, Any]) -> None:
        write_arrays(self.path, {**arrays, "cycles": self.cycles, "fingerprint": self.fingerprint})
