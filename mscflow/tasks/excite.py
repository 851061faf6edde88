"""Vertical singlet excitations and the absorption spectrum they make."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from mscflow.tasks.document import TaskDocument
from mscflow.tasks.refine import ScfRecord


class State(BaseModel):
    """One excited state.

    Attributes
    ----------
    energy
        Excitation energy / eV.
    wavelength
        The same / nm.
    oscillator_strength
        Oscillator strength, length gauge.
    transition
        Dominant orbital pair, e.g. ``HOMO-1 → LUMO (0.87)``.
    """

    model_config = ConfigDict(extra="forbid")

    energy: float
    wavelength: float
    oscillator_strength: float
    transition: str


class Excitations(TaskDocument):
    """Lowest singlet excitations.

    Attributes
    ----------
    states
        In order of energy.
    method
        How they were computed, approximations named.
    converged
        Whether all states converged.
    scf
        What the ground state needed.
    """

    states: list[State]
    method: str
    converged: bool
    scf: ScfRecord
