"""What every level of theory is: a value with a text form, a calculator and a cost."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from mscflow.errors import InputError

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mscflow.cluster import Cluster
    from mscflow.optimize.surface import Surface, Together


class Estimate(BaseModel):
    """Cost of one energy and gradient, known before anything runs.

    Attributes
    ----------
    n_atoms
        Number of atoms.
    n_basis
        Number of basis functions (0 where there is no basis).
    n_auxiliary
        Number of functions that fit products of basis functions.
    memory_gib, disk_gib
        Peak memory and disk space / GiB.
    time_s
        Rough wall time of one energy and forces / s on two cores.
    route
        How it is computed, e.g. ``"density fitting"``.
    """

    model_config = ConfigDict(frozen=True)

    n_atoms: int
    n_basis: int = 0
    n_auxiliary: int = 0
    memory_gib: float
    disk_gib: float = 0.0
    time_s: float
    route: str

    def __str__(self) -> str:
        """Return size, memory, time and route in one line."""
        counts = [f"{self.n_atoms} atoms"]
        counts += [f"{self.n_basis} basis functions"] if self.n_basis else []
        counts += [f"{self.n_auxiliary} fitting functions"] if self.n_auxiliary else []
        disk = f", {self.disk_gib:.1f} GiB of disk" if self.disk_gib else ""
        return (
            f"{', '.join(counts)}; {self.memory_gib:.1f} GiB{disk}, about {duration(self.time_s)} for an "
            f"energy and gradient: {self.route}"
        )


def duration(seconds: float) -> str:
    """Return a time for people: seconds, minutes or hours."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


class Level(BaseModel, ABC):
    """A level of theory: frozen, hashable, the same wherever it is written the same.

    Subclasses add their settings as fields; every field that changes a result is part of the hash.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    @abstractmethod
    def text(self) -> str:
        """Canonical text form, e.g. ``gfn2-xtb``."""

    @property
    @abstractmethod
    def description(self) -> str:
        """One phrase for a report: method, code, what it leaves out."""

    @property
    def hash(self) -> str:
        """SHA-256 of the class and all settings."""
        return self._settings_hash()

    def _settings_hash(self) -> str:
        settings = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(f"{type(self).__name__} {settings}".encode()).hexdigest()

    @abstractmethod
    def require(self, cluster: Cluster) -> list[str]:
        """Check that the level can represent the cluster; return warnings.

        Raises
        ------
        InputError
            If it cannot (an element is missing, a model file is absent, ...).
        """

    def refusal(self, cluster: Cluster) -> str:
        """Return why the level cannot represent the cluster; empty where it can."""
        try:
            self.require(cluster)
        except InputError as err:
            return str(err)
        return ""

    @abstractmethod
    def calculator(self, cluster: Cluster) -> Calculator:
        """Return an ASE calculator (eV, eV/Å) that knows the cluster's charge and multiplicity."""

    def surfaces(self, cluster: Cluster) -> list[Surface]:
        """Return the surfaces a minimisation uses one after the other; the last one is the level itself.

        Earlier ones are cheaper and so near to it that what is learnt on them stays true.
        """
        from mscflow.levels.surface import CalculatorSurface

        return [CalculatorSurface(cluster, self.calculator(cluster))]

    def together(self, clusters: Sequence[Cluster]) -> Together | None:  # noqa: ARG002 - part of the interface
        """Return the first of the `surfaces` of several clusters at a time; None where that saves nothing."""
        return None

    @abstractmethod
    def estimate(self, cluster: Cluster) -> Estimate:
        """Return the cost of one energy and gradient of the cluster."""

    def extrapolation(
        self,
        cluster: Cluster,  # noqa: ARG002 - part of the interface
        surface: Surface | None = None,  # noqa: ARG002
    ) -> np.ndarray | None:
        """Return how far each atom is from what the level was made on: above 1 is outside.

        Parameters
        ----------
        cluster
            The structure.
        surface
            The last of the level's `surfaces` for these atoms, where there is one: what it knows already
            is not computed again.

        Returns
        -------
        numpy.ndarray
            Shape (n_atoms,); None where the level has no such measure.
        """
        return None

    def __str__(self) -> str:
        """Return the canonical text form."""
        return self.text
