"""XYZ files with the flaws they come with.

Mended, and reported: a count that is wrong or missing, a missing comment line, later frames, Fortran
exponents, labels instead of symbols, fractional coordinates where the comment gives a lattice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from ase.io.extxyz import key_val_str_to_dict

from mscflow.errors import InputError
from mscflow.reading.repair import SAME_ATOM

N_COLUMNS = 4
MAX_DIGITS = 9
"""Digits of a number of atoms at most."""

UNIT_BOX = 1.05
CROWDED = 0.5
"""Coordinates within the unit box whose atoms have neighbours nearer than this / Å are fractional."""

FORTRAN = re.compile(r"(?<=[0-9.])[dD](?=[+-]?\d)")
LABEL = re.compile(r"([A-Za-z]{1,2})[-_]?\d+[A-Za-z]?")


@dataclass
class XYZ:
    """The first frame of an XYZ file.

    Parameters
    ----------
    symbols, positions
        Atoms and coordinates / Å, shape (n_atoms, 3).
    lines
        Number of the line of each atom.
    info
        What the comment line says as ``key=value``.
    repairs
        What was mended.
    cell
        Lattice vectors / Å as rows, shape (3, 3), where the frame is periodic in all directions.
    """

    symbols: list[str]
    positions: np.ndarray
    lines: list[int]
    info: dict[str, Any] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)
    cell: np.ndarray | None = None


def parse_xyz(text: str) -> XYZ:
    """Return the first frame of the text of an XYZ or extended XYZ file.

    Raises
    ------
    InputError
        With the number of the line that cannot be understood.
    """
    lines = text.lstrip("\ufeff").splitlines()
    first = next((n for n, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise InputError("the file is empty, a structure is needed")
    repairs: list[str] = []
    count = _count(lines[first])
    comment = ""
    start = first
    if count is None:
        if not _is_atom(lines[first]):
            raise InputError(
                f"line {first + 1}: {_shown(lines[first])} is neither a number of atoms nor an atom"
            )
        repairs.append("number of atoms and comment line were missing")
    else:
        start = first + 1
        if start < len(lines) and _is_atom(lines[start]) and not _is_atom_count_met(lines, start + 1, count):
            repairs.append("comment line was missing")
        elif start < len(lines):
            comment = lines[start]
            start += 1
    info = _info(comment)
    columns = _columns(info)
    atoms, end = _atoms(lines, start, columns, repairs)
    if not atoms:
        raise InputError(f"line {start + 1}: no atom follows the header")
    if count is not None and count != len(atoms):
        repairs.append(f"the header says {count} atoms, there are {len(atoms)}")
    if any(line.strip() for line in lines[end:]):
        repairs.append(f"only the first frame was read (line {end + 1} begins another)")
    symbols, positions, numbers = zip(*atoms, strict=True)
    frame = XYZ(list(symbols), np.array(positions), list(numbers), info, repairs)
    _require_cartesian(frame)
    if np.all(info.get("pbc", True)):
        frame.cell = _lattice(frame)
    return frame


def _lattice(frame: XYZ) -> np.ndarray | None:
    """Return the lattice vectors of the comment line as rows, None without or with an impossible one."""
    try:
        cell = np.reshape(np.array(frame.info.get("Lattice"), dtype=float), (3, 3)).T
    except (ValueError, TypeError):
        return None
    return cell if np.isfinite(cell).all() and abs(np.linalg.det(cell)) > 1 else None


def _count(line: str) -> int | None:
    text = line.strip()
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def _shown(line: str) -> str:
    text = " ".join(line.split())
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _is_atom(line: str) -> bool:
    try:
        _atom(line, (0, 1))
    except InputError:
        return False
    return True


def _is_atom_count_met(lines: list[str], start: int, count: int) -> bool:
    """Whether exactly `count` atoms follow from `start` on, so that the line before is the comment."""
    after = lines[start : start + count]
    beyond = lines[start + count] if start + count < len(lines) else ""
    return len(after) == count and all(map(_is_atom, after)) and not _is_atom(beyond)


def _info(comment: str) -> dict[str, Any]:
    if "=" not in comment:
        return {}
    try:
        return dict(key_val_str_to_dict(comment))
    except Exception:  # noqa: BLE001 - free text with an equals sign is a comment, not an error
        return {}


def _columns(info: dict[str, Any]) -> tuple[int, int]:
    """Return the columns of symbol and first coordinate, from the ``Properties`` of extended XYZ."""
    specification = str(info.get("Properties", info.get("properties", "")))
    if not specification:
        return 0, 1
    fields = specification.split(":")
    place: dict[str, int] = {}
    column = 0
    for name, _, width in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        place[name] = column
        column += int(width) if width.isdecimal() else 1
    if "pos" not in place or not {"species", "Z"} & set(place):
        raise InputError(f"Properties={specification} has no species and pos columns")
    return place.get("species", place.get("Z", 0)), place["pos"]


def _atoms(
    lines: list[str], start: int, columns: tuple[int, int], repairs: list[str]
) -> tuple[list[tuple[str, list[float], int]], int]:
    """Return atoms with their line numbers, and where the frame ends: a blank line or another count."""
    atoms: list[tuple[str, list[float], int]] = []
    fortran = labels = False
    end = start
    for n in range(start, len(lines)):
        line = lines[n]
        if not line.strip() or (atoms and _count(line) is not None):
            break
        try:
            symbol, position, labelled = _atom(line, columns)
        except InputError as err:
            raise InputError(f"line {n + 1}: {err}") from err
        fortran |= bool(FORTRAN.search(line))
        labels |= labelled
        atoms.append((symbol, position, n + 1))
        end = n + 1
    if fortran:
        repairs.append("Fortran exponents (1.0D+00) were read as numbers")
    if labels:
        repairs.append("labels such as In1 were read as symbols, D as H")
    return atoms, end


def _atom(line: str, columns: tuple[int, int]) -> tuple[str, list[float], bool]:
    words = line.replace(",", " ").split()
    which, first = columns
    if len(words) < max(N_COLUMNS, first + 3, which + 1):
        raise InputError(f"{_shown(line)} is no atom: a symbol and three coordinates are needed")
    symbol, labelled = _symbol(words[which])
    numbers = []
    for word in words[first : first + 3]:
        try:
            numbers.append(float(FORTRAN.sub("e", word)))
        except ValueError as err:
            raise InputError(f"coordinate {word!r} is no number") from err
    if not np.isfinite(numbers).all():
        raise InputError(f"coordinates are not finite: {_shown(line)}")
    return symbol, numbers, labelled


def _symbol(word: str) -> tuple[str, bool]:
    if word.isdecimal() and 0 < int(word) < len(chemical_symbols):
        return chemical_symbols[int(word)], False
    if word.upper() == "D":
        return "H", True
    if word.capitalize() in atomic_numbers and word.upper() != "X":
        return word.capitalize(), False
    match = LABEL.fullmatch(word)
    if match and match[1].capitalize() in atomic_numbers:
        return match[1].capitalize(), True
    raise InputError(f"unknown element {word!r}")


def _require_cartesian(frame: XYZ) -> None:
    """Convert fractional coordinates with the lattice of the comment, or refuse them."""
    inside = np.abs(frame.positions).max() <= UNIT_BOX
    if not inside or len(frame.symbols) < N_COLUMNS:
        return
    distance = np.linalg.norm(frame.positions[:, None] - frame.positions[None], axis=2)
    distance[distance < SAME_ATOM] = np.inf
    if np.median(distance.min(axis=1)) > CROWDED:
        return
    lattice = _lattice(frame)
    if lattice is None:
        raise InputError(
            f"line {frame.lines[0]}: all coordinates lie between -1 and 1: they look fractional, and no "
            "lattice is given; Cartesian coordinates / Å are needed"
        )
    frame.positions = frame.positions @ lattice
    frame.repairs.append("fractional coordinates were converted with the lattice of the comment line")
