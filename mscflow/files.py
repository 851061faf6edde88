"""Read and write structure files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mscflow.chemistry import suggest
from mscflow.cluster import Cluster
from mscflow.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

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
    try:
        cluster = _read_json(path, overrides) if kind == "mscflow" else _read_ase(path, kind, overrides)
    except InputError as err:
        raise InputError(f"{path}: {err}") from err
    provenance = cluster.provenance or {"source": "file", "file": path.name}
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


def _read_json(path: Path, overrides: dict[str, Any]) -> Cluster:
    try:
        content = json.loads(path.read_text())
        return Cluster.from_dict({**content, **overrides})
    except (ValueError, TypeError) as err:
        raise InputError(f"not a cluster in mscflow's JSON: {err}") from err


def _read_ase(path: Path, kind: str, overrides: dict[str, Any]) -> Cluster:
    from ase.io import read as ase_read

    try:
        atoms: Atoms = ase_read(path, index=0, format=kind)
    except KeyError as err:  # what ASE raises for an unknown chemical symbol
        raise InputError(f"unknown element {err.args[0]!r}") from err
    except Exception as err:
        raise InputError(f"cannot be read as {kind}: {str(err) or type(err).__name__}") from err
    return Cluster.from_ase(atoms, **overrides)
