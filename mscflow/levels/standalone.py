"""A level of theory as an ASE calculator that needs no cluster, for programs that bring atoms only."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.levels.base import Level
from mscflow.levels.text import parse_level

STATE_KEYS = ("charge", "multiplicity", "spin")
"""Entries of ``atoms.info`` that `Cluster.from_ase` reads."""


class LevelCalculator(Calculator):
    """Energy / eV and forces / eV/Å of any atoms at a level of theory.

    The calculator of the level is made for the first atoms that come, and again when elements, charge or
    multiplicity change. Every argument is plain data, so that other workflow programs can store it.

    Parameters
    ----------
    level
        Level of theory, its text form, or its fields.
    charge, multiplicity
        Of the atoms; None: what ``atoms.info`` says, else 0 and 1.

    Examples
    --------
    >>> LevelCalculator("gfn2-xtb", charge=1, multiplicity=2).level.text
    'gfn2-xtb'
    """

    def __init__(
        self, level: str | Level | dict[str, Any], charge: int | None = None, multiplicity: int | None = None
    ) -> None:
        super().__init__()
        self.level = _level(level)
        self.given = {
            key: value
            for key, value in (("charge", charge), ("multiplicity", multiplicity))
            if value is not None
        }
        self._inner: Calculator | None = None
        self._state: tuple[Any, ...] = ()

    @property
    def implemented_properties(self) -> list[str]:
        """Properties of the level's own calculator, as far as it has been made."""
        return ["energy", "forces"] if self._inner is None else self._inner.implemented_properties

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Return what changed since the last calculation; ASE itself does not look at ``atoms.info``."""
        changes: list[str] = super().check_state(atoms, tol)
        if not changes and any(self.atoms.info.get(key) != atoms.info.get(key) for key in STATE_KEYS):
            return ["info"]
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: Any = all_changes,
    ) -> None:
        """Compute the properties asked for.

        Raises
        ------
        InputError
            If the atoms are periodic, or the level cannot represent them with that charge and multiplicity.
        """
        super().calculate(atoms, properties, system_changes)
        if self.atoms.pbc.any():
            raise InputError(
                f"{self.level} of {self.atoms.get_chemical_formula()}: a molecule is needed, not a periodic "
                "structure: for a molecule in a box set atoms.pbc = False"
            )
        cluster = Cluster.from_ase(self.atoms, **self.given)
        state = (cluster.symbols, cluster.charge, cluster.multiplicity)
        if self._inner is None or state != self._state:
            self._inner, self._state = self.level.calculator(cluster), state
        isolated = cluster.to_ase()
        for name in properties or ["energy"]:
            self._inner.get_property(name, isolated)
        self.results = dict(self._inner.results)


def _level(level: str | Level | dict[str, Any]) -> Level:
    from pydantic import TypeAdapter

    from mscflow.levels.text import AnyLevel

    if isinstance(level, dict):
        checked: Level = TypeAdapter(AnyLevel).validate_python(level)
        return checked
    return parse_level(level)
