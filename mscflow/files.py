"""Read and write structure files."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from mscflow.chemistry import suggest
from mscflow.cluster import Cluster
from mscflow.errors import InputError, RepairWarning
from mscflow.reading.crystal import Crystal, one_cluster, parse_cif
from mscflow.reading.hydrogens import missing_hydrogens
from mscflow.reading.repair import without_duplicates
from mscflow.reading.xyz import parse_xyz

FORMATS = {
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".cif": "cif",
    ".mol": "mol",
    ".sdf": "sdf",
    ".pdb": "proteindatabank",
    ".vasp": "vasp",
    ".json": "mscflow",
}
"""Formats by suffix; JSON is mscflow's own and loses nothing, extended XYZ keeps charge and provenance."""


def read(
    path: str | Path, charge: int | None = None, multiplicity: int | None = None, name: str | None = None
) -> Cluster:
    """Read the first structure of a file.

    What is unambiguous is mended: each repair is a `RepairWarning` and is listed in the provenance. Of a
    crystal (CIF, VASP) the molecule with most metal atoms is taken.

    Parameters
    ----------
    path
        A file with a suffix of `FORMATS`.
    charge, multiplicity
        Win over what the file says; without either, 0 and 1.
    name
        Name of the cluster; by default what the file says, else the name of the file.

    Returns
    -------
    Cluster
        The structure with its provenance.

    Raises
    ------
    InputError
        If the file is missing, empty, of an unknown format, or holds no valid structure.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    kind = _format(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty, a structure is needed")
    overrides: dict[str, Any] = {
        key: value for key, value in (("charge", charge), ("multiplicity", multiplicity)) if value is not None
    }
    repairs: list[str] = []
    try:
        if kind == "mscflow":
            cluster = _read_json(path, overrides)
        elif kind == "extxyz":
            cluster, repairs = _read_xyz(path, overrides)
        elif kind in ("cif", "vasp"):
            cluster, repairs = _read_crystal(path, kind, overrides)
        else:
            cluster, repairs = _read_ase(path, kind, overrides)
    except InputError as err:
        raise InputError(f"{path}: {err}") from err
    provenance = cluster.provenance or {"source": "file", "file": path.name}
    if repairs:
        provenance = {**provenance, "repairs": repairs}
        warnings.warn(f"{path}: {'; '.join(repairs)}", RepairWarning, stacklevel=2)
    return cluster.replace(name=name or cluster.name or path.stem, provenance=provenance)


def write(cluster: Cluster, path: str | Path) -> Path:
    """Write a structure; the suffix decides the format.

    Raises
    ------
    InputError
        If the suffix is unknown or the file cannot be written.
    """
    from ase.io import write as ase_write

    path = Path(path)
    kind = _format(path)
    try:
        if kind == "mscflow":
            path.write_text(json.dumps(cluster.as_dict(), indent=1) + "\n")
        else:
            atoms = cluster.to_ase()
            if kind == "extxyz":  # ASE's reader takes a backslash for an escape, its writer does not
                for key in ("name", "provenance"):
                    atoms.info[key] = atoms.info[key].replace("\\", "\\\\")
            ase_write(path, atoms, format=kind)
    except OSError as err:
        raise InputError(f"{path}: cannot be written: {err.strerror or err}") from err
    return path


def _format(path: Path) -> str:
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: unknown format {path.suffix!r}: {suggest(path.suffix, FORMATS)}")
    return kind


def _text(path: Path) -> str:
    content = path.read_bytes()
    if b"\0" in content:
        raise InputError("this is a binary file, text is needed")
    return content.decode("utf-8", errors="replace")


def _read_json(path: Path, overrides: dict[str, Any]) -> Cluster:
    try:
        content = json.loads(_text(path))
        return Cluster.from_dict({**content, **overrides})
    except (ValueError, TypeError, AttributeError, RecursionError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f"not a cluster in mscflow's JSON: {err}") from err


def _read_xyz(path: Path, overrides: dict[str, Any]) -> tuple[Cluster, list[str]]:
    from ase import Atoms

    frame = parse_xyz(_text(path))
    keep, repairs = without_duplicates(frame.symbols, frame.positions, frame.lines)
    atoms = Atoms([frame.symbols[i] for i in keep], positions=frame.positions[keep])
    atoms.info = {k: v for k, v in frame.info.items() if k in ("charge", "spin", "multiplicity", "name")}
    if isinstance(frame.info.get("provenance"), str | dict):
        atoms.info["provenance"] = frame.info["provenance"]
    return _from_ase(atoms, overrides), frame.repairs + repairs


def _read_crystal(path: Path, kind: str, overrides: dict[str, Any]) -> tuple[Cluster, list[str]]:
    if kind == "cif":
        crystal = parse_cif(_text(path))
    else:
        atoms = _ase_atoms(path, kind)
        crystal = Crystal(atoms.get_chemical_symbols(), atoms.get_positions(), atoms.cell.array)
    keep, repairs = without_duplicates(crystal.symbols, crystal.positions)
    crystal = Crystal(
        [crystal.symbols[i] for i in keep], crystal.positions[keep], crystal.cell, crystal.repairs + repairs
    )
    molecule = one_cluster(crystal)
    symbols, positions = molecule.symbols, molecule.positions
    if kind == "cif":
        bare = Cluster(symbols, positions, charge=sum(map(_is_odd, symbols)) % 2)
        hydrogens = missing_hydrogens(bare)
        if len(hydrogens):
            symbols, positions = [*symbols, *["H"] * len(hydrogens)], np.vstack([positions, hydrogens])
            molecule.repairs.append(f"{len(hydrogens)} hydrogens that were missing were added")
    return Cluster(symbols, positions, **overrides), molecule.repairs


def _is_odd(symbol: str) -> bool:
    from ase.data import atomic_numbers

    return atomic_numbers[symbol] % 2 == 1


def _read_ase(path: Path, kind: str, overrides: dict[str, Any]) -> tuple[Cluster, list[str]]:
    atoms = _ase_atoms(path, kind)
    keep, repairs = without_duplicates(atoms.get_chemical_symbols(), atoms.get_positions())
    return _from_ase(atoms[keep], overrides), repairs


def _ase_atoms(path: Path, kind: str) -> Any:
    from ase.io import read as ase_read

    try:
        atoms = ase_read(path, index=0, format=kind)
    except KeyError as err:  # what ASE raises for an unknown chemical symbol
        raise InputError(f"unknown element {err.args[0]!r}") from err
    except Exception as err:
        problem = " ".join(str(err).split()) or type(err).__name__
        raise InputError(f"cannot be read as {kind}: {problem}") from err
    if not len(atoms):
        raise InputError("no atom in the file")
    return atoms


def _from_ase(atoms: Any, overrides: dict[str, Any]) -> Cluster:
    try:
        return Cluster.from_ase(atoms, **overrides)
    except (ValueError, TypeError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f"charge, multiplicity or provenance of the file: {err}") from err
