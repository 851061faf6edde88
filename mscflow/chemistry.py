"""Tables of the chemistry of semiconductor clusters: oxidation states, exchange ions, bond lengths.

Radii are the covalent radii of Cordero et al., Dalton Trans. 2008, 2832, as tabulated by ASE. Oxidation
states and spins of the exchange cations are those of the magic-sized cluster literature (Ripberger et
al., "Structure and Reactivity of II-VI and III-V Magic-Sized Clusters"): closed shells except for
high-spin Mn2+ (d5) and Co2+ (d7).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from ase.data import atomic_numbers, covalent_radii

from mscflow.errors import InputError

METALS: dict[str, int] = {
    "In": 3,
    "Ga": 3,
    "Al": 3,
    "Cd": 2,
    "Zn": 2,
    "Hg": 2,
    "Mn": 2,
    "Co": 2,
    "Cu": 1,
    "Ag": 1,
    "Au": 1,
}
"""Usual oxidation state of each metal in these clusters."""

ANIONS: dict[str, int] = {"N": -3, "P": -3, "As": -3, "Sb": -3, "S": -2, "Se": -2, "Te": -2}
"""Oxidation state of a main-group atom whose neighbours are all metals."""

HALIDES = ("F", "Cl", "Br", "I")

VALENCE: dict[str, int] = {
    "N": 3, "P": 3, "As": 3, "O": 2, "S": 2, "Se": 2, "Te": 2, "F": 1, "Cl": 1, "Br": 1, "I": 1,
}  # fmt: skip
"""Bonds to non-metals that make a donor atom neutral."""

METAL_BOND_FACTOR = 1.35
"""A metal and a donor atom are bonded below this multiple of the sum of their covalent radii.

Wide enough for the long, dative In–O contacts of carboxylates (2.6–2.8 Å against a sum of 2.08 Å)."""

COVALENT_BOND_FACTOR = 1.20
"""As `METAL_BOND_FACTOR`, for two non-metals."""


@dataclass(frozen=True)
class Ion:
    """A cation that can be exchanged into a cluster.

    Parameters
    ----------
    element
        Chemical symbol.
    charge
        Formal charge / e.
    multiplicity
        2S + 1 of the ion in its high-spin ground state.
    """

    element: str
    charge: int
    multiplicity: int = 1

    def __str__(self) -> str:
        digits = "" if self.charge == 1 else str(self.charge)
        return f"{self.element}{digits}+"


IONS: dict[str, Ion] = {
    str(ion): ion
    for ion in (
        Ion("In", 3),
        Ion("Ga", 3),
        Ion("Cd", 2),
        Ion("Zn", 2),
        Ion("Mn", 2, multiplicity=6),
        Ion("Co", 2, multiplicity=4),
        Ion("Cu", 1),
        Ion("Ag", 1),
        Ion("Au", 1),
    )
}


def suggest(word: str, known: object) -> str:
    """Return " (did you mean X?)" for the known name nearest to `word`, else the list of names."""
    names = [str(name) for name in known]  # type: ignore[attr-defined]
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.5)
    return f"did you mean {folded[near[0]]!r}?" if near else "known: " + ", ".join(names)


def parse_ion(text: str) -> Ion:
    """Return the exchange ion written as ``"Cd2+"``, ``"Ag+"``, ...

    Raises
    ------
    InputError
        If the ion is not one of `IONS`.
    """
    ion = IONS.get(text.strip())
    if ion is None:
        raise InputError(f"unknown ion {text!r}: {suggest(text, IONS)}")
    return ion


def covalent_radius(symbol: str) -> float:
    """Return the covalent radius of an element / Å (Cordero et al. 2008)."""
    return float(covalent_radii[atomic_numbers[symbol]])
