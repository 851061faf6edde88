"""Refine a cluster with density functional theory: single point or a given number of steps."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from mscflow.tasks.document import TaskDocument


class ScfRecord(BaseModel):
    """What one self-consistent field calculation needed.

    Attributes
    ----------
    guess
        Initial density.
    cycles
        Number of cycles, all stages together.
    converged
        Whether the final stage converged.
    stages
        One line per stage: grid, threshold, cycles, time / s.
    energy
        Total electronic energy / eV (with dispersion where the level has it).
    """

    model_config = ConfigDict(extra="forbid")

    guess: str
    cycles: int
    converged: bool
    stages: list[str]
    energy: float


class Refinement(TaskDocument):
    """A DFT energy, with geometry steps where asked for.

    Attributes
    ----------
    energy
        Total energy / eV.
    converged
        Whether every SCF converged (and the geometry, if `n_steps` > 0).
    n_steps
        Geometry steps taken.
    max_force
        Largest force on an atom / eV/Å; None for a single point without gradient.
    energies
        Total energy after each geometry step / eV.
    dispersion_energy
        Part of the energy that is dispersion / eV.
    homo, lumo, gap
        Orbital energies and their difference / eV.
    n_basis
        Number of basis functions.
    route
        ``density fitting`` or ``multigrid``.
    scf
        One record per geometry.
    """

    energy: float
    converged: bool
    n_steps: int = 0
    max_force: float | None = None
    energies: list[float] = Field(default_factory=list)
    dispersion_energy: float = 0.0
    homo: float
    lumo: float
    gap: float
    n_basis: int
    route: str
    scf: list[ScfRecord]
