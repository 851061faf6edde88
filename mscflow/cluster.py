"""`Cluster`: the one structure type that travels through mscflow."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from monty.json import MSONable
from scipy.spatial import cKDTree

from mscflow.chemistry import suggest
from mscflow.errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Molecule

COINCIDENT = 0.5
"""Two atoms nearer than this / Å are taken for one atom given twice."""

FORMULA_ORDER = ("In", "Ga", "Al", "Cd", "Zn", "Hg", "Mn", "Co", "Cu", "Ag", "Au")


@dataclass(frozen=True, eq=False, repr=False)
class Cluster(MSONable):
    """An isolated, immutable molecule or ligand-capped cluster.

    Parameters
    ----------
    symbols
        Chemical symbols, one per atom.
    positions
        Cartesian coordinates / Å, shape (n_atoms, 3); kept read-only.
    charge
        Total charge / e.
    multiplicity
        Spin multiplicity 2S + 1.
    name
        A label for people; it is not part of the hash.
    provenance
        Where the structure comes from: JSON-compatible, e.g. ``{"source": "derived", "note": ...}``.

    Raises
    ------
    InputError
        If there is no atom, an element is unknown, a coordinate is not finite, two atoms coincide, or
        charge and multiplicity do not fit the number of electrons.
    """

    symbols: tuple[str, ...]
    positions: np.ndarray
    charge: int = 0
    multiplicity: int = 1
    name: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Freeze the coordinates and refuse what cannot be a molecule."""
        positions = np.array(self.positions, dtype=float)
        symbols = tuple(str(symbol) for symbol in self.symbols)
        if not symbols:
            raise InputError("empty structure: at least one atom is needed")
        if positions.shape != (len(symbols), 3):
            raise InputError(
                f"{len(symbols)} symbols need coordinates of shape ({len(symbols)}, 3), not {positions.shape}"
            )
        _check_elements(symbols)
        _check_coordinates(symbols, positions)
        for label, number in (("charge", self.charge), ("multiplicity", self.multiplicity)):
            if not isinstance(number, Real) or not math.isfinite(number) or int(number) != number:
                raise InputError(f"{label} must be an integer, not {number!r}")
        positions.flags.writeable = False
        object.__setattr__(self, "symbols", symbols)
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "charge", int(self.charge))
        object.__setattr__(self, "multiplicity", int(self.multiplicity))
        _check_spin(self.n_electrons, self.charge, self.multiplicity)
        object.__setattr__(self, "provenance", json.loads(json.dumps(dict(self.provenance))))

    def __repr__(self) -> str:
        """Return what fits into a line."""
        name = f"{self.name}, " if self.name else ""
        spin = f"charge {self.charge}, multiplicity {self.multiplicity}"
        return f"<Cluster {name}{self.formula}, {len(self)} atoms, {spin}>"

    def __len__(self) -> int:
        """Return the number of atoms."""
        return len(self.symbols)

    def __eq__(self, other: object) -> bool:
        """Compare atoms, coordinates, charge, multiplicity, name and provenance exactly."""
        if not isinstance(other, Cluster):
            return NotImplemented
        return self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        """Hash by content."""
        return hash(self.hash)

    @property
    def numbers(self) -> np.ndarray:
        """Atomic numbers, shape (n_atoms,)."""
        return np.array([atomic_numbers[symbol] for symbol in self.symbols])

    @property
    def n_electrons(self) -> int:
        """Number of electrons, cores included."""
        return int(self.numbers.sum()) - self.charge

    @property
    def composition(self) -> dict[str, int]:
        """Number of atoms of each element: metals first, then alphabetically."""
        counts = Counter(self.symbols)
        metals = [symbol for symbol in FORMULA_ORDER if symbol in counts]
        others = sorted(set(counts) - set(metals))
        return {symbol: counts[symbol] for symbol in metals + others}

    @property
    def formula(self) -> str:
        """Chemical formula, e.g. ``In4C9H9O18P``."""
        return "".join(f"{s}{n if n > 1 else ''}" for s, n in self.composition.items())

    @property
    def hash(self) -> str:
        """SHA-256 of atoms, coordinates, charge and multiplicity (not of name and provenance)."""
        digest = hashlib.sha256()
        digest.update(json.dumps([self.symbols, self.charge, self.multiplicity]).encode())
        digest.update(np.ascontiguousarray(self.positions, dtype="<f8").tobytes())
        return digest.hexdigest()

    def replace(self, **changes: Any) -> Cluster:
        """Return a copy with some fields changed (`symbols`, `positions`, `name`, ...)."""
        fields = {
            "symbols": self.symbols,
            "positions": self.positions,
            "charge": self.charge,
            "multiplicity": self.multiplicity,
            "name": self.name,
            "provenance": self.provenance,
        }
        return Cluster(**{**fields, **changes})

    def select(self, indices: Sequence[int], **changes: Any) -> Cluster:
        """Return the cluster of the atoms `indices`, in that order, with other fields changed."""
        keep = list(indices)
        fields = {"symbols": [self.symbols[i] for i in keep], "positions": self.positions[keep]}
        return self.replace(**{**fields, **changes})

    def to_ase(self) -> Atoms:
        """Return non-periodic ASE atoms; `info` carries charge, spin (2S + 1), provenance and any name."""
        atoms = Atoms(symbols=list(self.symbols), positions=self.positions)
        atoms.info.update(charge=self.charge, spin=self.multiplicity, multiplicity=self.multiplicity)
        if self.name:  # an empty one would swallow the provenance in an XYZ file
            atoms.info["name"] = self.name
        atoms.info["provenance"] = json.dumps(self.provenance, ensure_ascii=False)
        return atoms

    @classmethod
    def from_ase(cls, atoms: Atoms, **overrides: Any) -> Cluster:
        """Return the cluster of ASE atoms; `overrides` win over what ``atoms.info`` says.

        A cell is dropped: clusters are isolated.
        """
        info = atoms.info
        provenance = info.get("provenance", {})
        fields: dict[str, Any] = {
            "symbols": tuple(atoms.get_chemical_symbols()),
            "positions": atoms.get_positions(),
            "charge": info.get("charge", 0),
            "multiplicity": info.get("multiplicity", info.get("spin", 1)),
            "name": str(info.get("name", "")),
            "provenance": json.loads(provenance) if isinstance(provenance, str) else provenance,
        }
        return cls(**{**fields, **overrides})

    def to_pymatgen(self) -> Molecule:
        """Return a pymatgen ``Molecule`` with charge, multiplicity, and name/provenance as properties."""
        from pymatgen.core import Molecule

        return Molecule(
            list(self.symbols),
            self.positions,
            charge=self.charge,
            spin_multiplicity=self.multiplicity,
            properties={"name": self.name, "provenance": dict(self.provenance)},
        )

    @classmethod
    def from_pymatgen(cls, molecule: Molecule, **overrides: Any) -> Cluster:
        """Return the cluster of a pymatgen ``Molecule``."""
        properties = molecule.properties or {}
        fields: dict[str, Any] = {
            "symbols": tuple(site.specie.symbol for site in molecule),
            "positions": molecule.cart_coords,
            "charge": int(molecule.charge),
            "multiplicity": int(molecule.spin_multiplicity),
            "name": properties.get("name", ""),
            "provenance": properties.get("provenance", {}),
        }
        return cls(**{**fields, **overrides})

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary; `from_dict` restores the cluster exactly."""
        return {
            "@module": "mscflow.cluster",
            "@class": "Cluster",
            "symbols": list(self.symbols),
            "positions": self.positions.tolist(),
            "charge": self.charge,
            "multiplicity": self.multiplicity,
            "name": self.name,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Cluster:
        """Restore a cluster from `as_dict`."""
        return cls(**{key: value for key, value in d.items() if not key.startswith("@")})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Tell pydantic to validate from, and serialise to, `as_dict`."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls._validated, serialization=core_schema.plain_serializer_function_ser_schema(cls.as_dict)
        )

    @classmethod
    def _validated(cls, value: Any) -> Cluster:
        if isinstance(value, cls):
            return value
        if not isinstance(value, dict):
            raise InputError(f"a cluster or its dictionary is needed, not {type(value).__name__}")
        try:
            return cls.from_dict(value)
        except TypeError as err:
            raise InputError(f"not a cluster: {err}") from err


def _check_elements(symbols: Sequence[str]) -> None:
    for index, symbol in enumerate(symbols):
        if symbol == "X" or symbol not in atomic_numbers:
            hint = suggest(symbol, chemical_symbols[1:])
            raise InputError(f"unknown element {symbol!r} (atom {index}): {hint}")


def _check_coordinates(symbols: Sequence[str], positions: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if bad.size:
        i = int(bad[0])
        raise InputError(f"coordinates of atom {i} ({symbols[i]}) are not finite: {positions[i]}")
    pairs = cKDTree(positions).query_pairs(COINCIDENT)
    if pairs:
        i, j = min(pairs)
        distance = float(np.linalg.norm(positions[i] - positions[j]))
        raise InputError(
            f"atoms {i} ({symbols[i]}) and {j} ({symbols[j]}) coincide: {distance:.3f} Å apart, "
            f"at least {COINCIDENT} Å needed"
        )


def _check_spin(n_electrons: int, charge: int, multiplicity: int) -> None:
    if n_electrons < 0:
        raise InputError(f"charge {charge} takes away more electrons than there are")
    if multiplicity < 1 or multiplicity - 1 > n_electrons:
        raise InputError(f"multiplicity {multiplicity} is not possible with {n_electrons} electrons")
    if (n_electrons - (multiplicity - 1)) % 2:
        parity = "odd" if n_electrons % 2 else "even"
        right = "2, 4, ..." if n_electrons % 2 else "1, 3, ..."
        raise InputError(
            f"charge {charge} leaves {n_electrons} electrons, an {parity} number: multiplicity must be "
            f"{right}, not {multiplicity}"
        )
