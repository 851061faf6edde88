"""Read and write structure files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from mscflow.chemistry import METALS, suggest
from mscflow.cluster import Cluster
from mscflow.errors import InputError, RepairWarning
from mscflow.reading.crystal import Crystal, bonds_cross_border, one_cluster, parse_cif
from mscflow.reading.hydrogens import missing_hydrogens
from mscflow.reading.molfile import molfile_charge
from mscflow.reading.repair import without_duplicates
from mscflow.reading.xyz import parse_xyz
from mscflow.topology import topology
from mscflow.whole_file import require_place

if TYPE_CHECKING:
    from pymatgen.core.structure import SiteCollection

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

VASP_NAMES = ("POSCAR", "CONTCAR")
"""Beginnings of names that VASP's files have instead of a suffix."""

WRITABLE = (".xyz", ".extxyz", ".json", ".pdb")
"""Formats that hold a molecule without a cell, and are written; only the first three keep charge and spin."""


def read(
    path: str | Path | Atoms | SiteCollection,
    charge: int | None = None,
    multiplicity: int | None = None,
    name: str | None = None,
) -> Cluster:
    """Read the first structure of a file, or take over an ASE or pymatgen object.

    What is unambiguous is mended: each repair is a `RepairWarning` and is listed in the provenance. Of
    anything periodic (CIF, VASP, a periodic ASE or pymatgen structure) the molecule with most metal atoms is
    taken, whole.

    Parameters
    ----------
    path
        A file with a suffix of `FORMATS` (or called POSCAR or CONTCAR), ASE atoms, a pymatgen ``Molecule``
        or ``Structure``.
    charge, multiplicity
        Win over what the file says; without either, 0 (for a CIF whose oxidation states do not sum to
        zero, their sum) and 1.
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
    overrides: dict[str, Any] = {
        key: value for key, value in (("charge", charge), ("multiplicity", multiplicity)) if value is not None
    }
    if not isinstance(path, str | Path):
        cluster, repairs = _read_object(path, overrides)
        label, provenance = type(path).__name__, {"source": f"{type(path).__module__} object"}
    else:
        path = Path(path)
        cluster, repairs = _read_file(path, overrides)
        label, provenance = str(path), {"source": "file", "file": path.name}
        name = name or cluster.name or path.stem
    origin: dict[str, Any] = dict(cluster.provenance) or provenance
    if repairs:
        origin["repairs"] = repairs
        warnings.warn(f"{label}: {'; '.join(repairs)}", RepairWarning, stacklevel=2)
    return cluster.replace(name=name or cluster.name, provenance=origin)


def _read_file(path: Path, overrides: dict[str, Any]) -> tuple[Cluster, list[str]]:
    if not path.is_file():
        raise InputError(f"{path}: {'this is a directory' if path.is_dir() else 'no such file'}")
    kind = _format(path)
    try:
        if path.stat().st_size == 0:
            raise InputError("the file is empty, a structure is needed")
        if kind == "mscflow":
            return _read_json(path, overrides), []
        if kind == "extxyz":
            return _read_xyz(path, overrides)
        if kind in ("cif", "vasp"):
            return _read_crystal(path, kind, overrides)
        return _read_ase(path, kind, overrides)
    except OSError as err:
        raise InputError(f"{path}: cannot be read: {err.strerror or err}") from err
    except InputError as err:
        raise InputError(f"{path}: {err}") from err


def _read_object(source: Atoms | SiteCollection, overrides: dict[str, Any]) -> tuple[Cluster, list[str]]:
    """Return the cluster of an ASE or pymatgen object; of a periodic one the molecule with most metals."""
    if isinstance(source, Atoms):
        if source.pbc.any() and source.cell.rank == source.cell.shape[0]:
            return _one_molecule(_periodic(source), overrides, source.info)
        return _from_ase(source, overrides), []
    from pymatgen.core import Molecule, Structure

    if isinstance(source, (Molecule, Structure)) and not source.is_ordered:
        raise InputError("the structure is disordered: one atom on every site is needed")
    if isinstance(source, Molecule):
        return Cluster.from_pymatgen(source, **overrides), []
    if isinstance(source, Structure):
        return _one_molecule(_periodic(source.to_ase_atoms()), overrides, {"charge": source.charge or 0})
    raise InputError(
        f"a file, ASE atoms, or a pymatgen Molecule or Structure is needed, not {type(source).__name__}"
    )


def write(cluster: Cluster, path: str | Path) -> Path:
    """Write a structure; the suffix decides the format.

    Raises
    ------
    InputError
        If the suffix is none of `WRITABLE` or the file cannot be written.
    """
    from ase.io import write as ase_write

    path = Path(path)
    require_writable(path)
    kind = _format(path)
    try:
        if kind == "mscflow":
            path.write_text(json.dumps(cluster.as_dict(), indent=1) + "\n")
        else:
            atoms = cluster.to_ase()
            if kind == "extxyz":
                atoms.info.update({k: _readable(v) for k, v in atoms.info.items() if isinstance(v, str)})
            ase_write(path, atoms, format=kind)
    except OSError as err:
        raise InputError(f"{path}: cannot be written: {err.strerror or err}") from err
    return path


def _readable(text: str) -> str:
    """Return what ASE's writer has to be given for its reader to find a text: as JSON where it must.

    The reader takes a backslash for an escape, which the writer does not, and 007 for a number.
    """
    from ase.io.extxyz import key_val_dict_to_str, key_val_str_to_dict

    plain = text.replace("\\", "\\\\")
    line = key_val_dict_to_str({"text": plain})
    found = key_val_str_to_dict(line)["text"]
    if len(line.splitlines()) == 1 and isinstance(found, str) and found == text:
        return plain
    return "_JSON " + json.dumps(text).replace("\\", "\\\\")


def require_writable(path: Path) -> None:
    """Check that a structure can be written to a path; raise what `write` raises."""
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"{path}: cannot write {path.suffix!r}: {suggest(path.suffix, WRITABLE)}")
    require_place(path)


def _format(path: Path) -> str:
    kind = FORMATS.get(path.suffix.lower(), "vasp" if path.name.startswith(VASP_NAMES) else None)
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
    frame = parse_xyz(_text(path))
    keep, repairs = without_duplicates(frame.symbols, frame.positions, frame.lines)
    atoms = Atoms([frame.symbols[i] for i in keep], positions=frame.positions[keep])
    atoms.info = {k: v for k, v in frame.info.items() if k in ("charge", "spin", "multiplicity", "name")}
    if isinstance(frame.info.get("provenance"), str | dict):
        atoms.info["provenance"] = frame.info["provenance"]
    repairs = frame.repairs + repairs
    if frame.cell is not None:
        crystal = Crystal(atoms.get_chemical_symbols(), atoms.get_positions(), frame.cell)
        if bonds_cross_border(crystal):
            whole = one_cluster(crystal)
            if len(whole.symbols) < len(atoms):
                _require_own_state(atoms.info, overrides, whole)
            info, atoms = atoms.info, Atoms(whole.symbols, positions=whole.positions)
            atoms.info = info
            repairs += ["the molecule was made whole across the borders of the cell", *whole.repairs]
    return _with_charge(atoms, overrides, repairs)


def _with_charge(atoms: Atoms, overrides: dict[str, Any], repairs: list[str]) -> tuple[Cluster, list[str]]:
    """Return the cluster of atoms; a charge that is given nowhere and that ions contradict is said."""
    if "charge" in atoms.info or "charge" in overrides or not set(atoms.symbols) & set(METALS):
        return _from_ase(atoms, overrides), repairs
    expected = topology(_draft(atoms.get_chemical_symbols(), atoms.get_positions())).charge_balance.expected
    try:
        cluster = _from_ase(atoms, overrides)
    except InputError as err:
        hint = f"; no charge is given, the oxidation states sum to {expected:+d}" if expected else ""
        raise InputError(f"{err}{hint}") from err
    if expected:
        repairs = [*repairs, f"no charge is given: 0 is taken, but the oxidation states sum to {expected:+d}"]
    return cluster, repairs


def _read_crystal(path: Path, kind: str, overrides: dict[str, Any]) -> tuple[Cluster, list[str]]:
    if kind == "cif":
        return _one_molecule(parse_cif(_text(path)), overrides, complete=True)
    return _one_molecule(_periodic(_ase_atoms(path, kind)), overrides)


def _periodic(atoms: Atoms) -> Crystal:
    return Crystal(atoms.get_chemical_symbols(), atoms.get_positions(), atoms.cell.array)


def _one_molecule(
    crystal: Crystal,
    overrides: dict[str, Any],
    info: Mapping[str, Any] | None = None,
    *,
    complete: bool = False,
) -> tuple[Cluster, list[str]]:
    """Return one whole molecule of a crystal; hydrogens and charge are added where the file gives none.

    What `info` says of charge and spin is that of the whole crystal.
    """
    keep, repairs = without_duplicates(crystal.symbols, crystal.positions)
    crystal = Crystal(
        [crystal.symbols[i] for i in keep], crystal.positions[keep], crystal.cell, crystal.repairs + repairs
    )
    molecule = one_cluster(crystal)
    if len(molecule.symbols) < len(crystal.symbols):
        _require_own_state(info or {}, overrides, molecule)
    overrides = {**_state(info or {}), **overrides}
    symbols, positions, repairs = molecule.symbols, molecule.positions, molecule.repairs
    if complete:
        hydrogens = missing_hydrogens(_draft(symbols, positions))
        if len(hydrogens):
            symbols, positions = [*symbols, *["H"] * len(hydrogens)], np.vstack([positions, hydrogens])
            repairs.append(f"{len(hydrogens)} hydrogens that were missing were added")
        found = topology(_draft(symbols, positions))
        bare = sum(1 for ligand in found.ligands if ligand.formula == "O")
        if bare:
            repairs.append(
                f"{bare} oxygen(s) bound to cations only are taken for oxide (2-): hydroxide and water need "
                "their hydrogens"
            )
        if found.unknown_metals:
            repairs.append(f"no oxidation state is known for {', '.join(found.unknown_metals)}: 0 is taken")
        charge = found.charge_balance.expected
        if charge and "charge" not in overrides:
            overrides = {**overrides, "charge": charge}
            repairs.append(f"the charge {charge:+d} is the sum of the oxidation states, the file gives none")
    return Cluster(symbols, positions, **overrides), repairs


def _state(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return charge and multiplicity where ASE's `info` gives them."""
    found = {"charge": info.get("charge"), "multiplicity": info.get("multiplicity", info.get("spin"))}
    return {key: value for key, value in found.items() if value is not None}


def _require_own_state(info: Mapping[str, Any], overrides: Mapping[str, Any], molecule: Crystal) -> None:
    """Refuse charge and multiplicity of several molecules of which one was taken, unless they are given."""
    for key, usual in (("charge", 0), ("multiplicity", 1)):
        value = _state(info).get(key, usual)
        if key not in overrides and isinstance(value, Real) and value != usual:
            formula = _draft(molecule.symbols, molecule.positions).formula
            shown = f"{value:+g}" if key == "charge" else f"{value:g}"
            raise InputError(f"the {key} {shown} is that of several molecules: give that of {formula}")


def _draft(symbols: Sequence[str], positions: np.ndarray) -> Cluster:
    """Return a cluster of whatever charge makes the number of electrons even."""
    return Cluster(tuple(symbols), positions, charge=sum(map(_is_odd, symbols)) % 2)


def _is_odd(symbol: str) -> bool:
    from ase.data import atomic_numbers

    return atomic_numbers[symbol] % 2 == 1


def _read_ase(path: Path, kind: str, overrides: dict[str, Any]) -> tuple[Cluster, list[str]]:
    charge = molfile_charge(_text(path)) if kind in ("mol", "sdf") else {}
    atoms = _ase_atoms(path, kind)
    atoms.info.update(charge)
    keep, repairs = without_duplicates(atoms.get_chemical_symbols(), atoms.get_positions())
    return _with_charge(atoms[keep], overrides, repairs)


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
