"""The charge of a molecule in an MDL molfile (MOL, SDF), which ASE's reader leaves out."""

from __future__ import annotations

from itertools import takewhile

from mscflow.errors import InputError

CODES = {"1": 3, "2": 2, "3": 1, "5": -1, "6": -2, "7": -3}
"""Charges by their code in an atom's line, which hold where no line ``M  CHG`` or ``M  RAD`` is given."""

COUNTS_LINE = 3
CODE_COLUMN = 5


def molfile_charge(text: str) -> dict[str, int]:
    """Return ``{"charge": ...}``, the sum of the formal charges of the first molecule; empty without any.

    The format is V2000 of "CTfile Formats", BIOVIA 2020. What is no molfile has no charge.

    Parameters
    ----------
    text
        Content of the file.

    Raises
    ------
    InputError
        If a charge is no integer, or the file is V3000.
    """
    lines = list(takewhile(lambda line: not line.startswith("M  END"), text.splitlines()))
    counts = "".join(lines[COUNTS_LINE : COUNTS_LINE + 1])
    if "V3000" in counts:
        raise InputError("molfiles V3000 are not read: save it as V2000 or XYZ")
    given = [line for line in lines if line.startswith("M  CHG")]
    try:
        charges = [int(charge) for line in given for charge in line[9:].split()[1::2]]
    except ValueError as err:
        raise InputError(f"a charge in 'M  CHG' is no integer: {err}") from err
    if not given and not any(line.startswith("M  RAD") for line in lines):
        n_atoms = int(counts[:3]) if counts[:3].strip().isdigit() else 0
        words = [line.split() for line in lines[COUNTS_LINE + 1 : COUNTS_LINE + 1 + n_atoms]]
        charges = [CODES.get(word[CODE_COLUMN], 0) for word in words if len(word) > CODE_COLUMN]
    return {"charge": sum(charges)} if any(charges) else {}
