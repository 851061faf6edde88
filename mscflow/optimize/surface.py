"""What a minimiser needs to know of a level of theory: energy and forces as a function of coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Surface(Protocol):
    """Energy / eV and forces / eV/Å, shape (n_atoms, 3), of coordinates / Å of that shape.

    Attributes
    ----------
    anchor
        Coordinates / Å at which the surface last prepared what it keeps between calls (a list of neighbours,
        say), or None; setting them prepares it there, so that a restart repeats all numbers exactly.
    """

    anchor: np.ndarray | None

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Return energy and forces."""


class Together(Protocol):
    """Several molecules at a time: list of coordinates / Å to list of energies / eV and forces / eV/Å."""

    def __call__(self, positions: Sequence[np.ndarray]) -> list[tuple[float, np.ndarray]]:
        """Return energy and forces of each molecule."""
