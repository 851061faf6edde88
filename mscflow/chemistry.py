"""Tables of the chemistry of semiconductor clusters: oxidation states, exchange ions, bond lengths.

Radii are the covalent radii of Cordero et al., Dalton Trans. 2008, 2832, as tabulated by ASE. Oxidation
states and spins of the exchange cations are those of the magic-sized cluster literature (Ripberger et
al., "Structure and Reactivity of II-VI and III-V Magic-Sized Clusters"): closed shells except for
high-spin Mn2+ (d5) and Co2+ (d7).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

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

NONMETALS = (
    "H", "He", "B", "C", "N", "O", "F", "Ne", "Si", "P", "S", "Cl", "Ar", "Ge", "As", "Se", "Br", "Kr", "Sb",
    "Te", "I", "Xe",
)  # fmt: skip
"""Elements that ligands and anions are made of; any other one that is not in `METALS` is unknown here."""

HALIDES = ("F", "Cl", "Br", "I")

VALENCE: dict[str, int] = {
    "N": 3, "P": 3, "As": 3, "O": 2, "S": 2, "Se": 2, "Te": 2, "F": 1, "Cl": 1, "Br": 1, "I": 1,
}  # fmt: skip
"""Bonds to non-metals that make a donor atom neutral."""

METAL_BOND_FACTOR = 1.25
"""A metal and a donor atom are bonded below this multiple of the sum of their covalent radii."""

DATIVE_BOND_FACTOR = 1.35
"""The same for the donors N, O and F: carboxylates have long contacts (In–O 2.6–2.8 Å, sum 2.08 Å)."""

DATIVE_DONORS = ("N", "O", "F")

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


def unpaired(symbol: str) -> int:
    """Return the number of unpaired electrons of an element's cation; 0 where it is none of `IONS`."""
    return max((ion.multiplicity - 1 for ion in IONS.values() if ion.element == symbol), default=0)


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


def usual_ion(symbol: str) -> Ion:
    """Return the ion of a metal in its usual oxidation state.

    Raises
    ------
    InputError
        If it is not one of `IONS`.
    """
    return parse_ion(str(Ion(symbol, METALS[symbol])))


def covalent_radius(symbol: str) -> float:
    """Return the covalent radius of an element / Å (Cordero et al. 2008)."""
    return float(covalent_radii[atomic_numbers[symbol]])


@cache
def bond_reach(first: str, second: str) -> float:
    """Return the distance / Å below which two elements are bonded; 0 where they never are.

    That is 1.35 (metal and N, O, F), 1.25 (metal and other donors) or 1.20 (non-metals) times the sum of
    their covalent radii. Metals bind to neither metals, carbon nor hydrogen here.
    """
    pair = {first, second}
    n_metals = (first in METALS) + (second in METALS)
    if n_metals == 2 or pair == {"H"} or (n_metals and pair & {"C", "H"}):
        return 0.0
    to_metal = DATIVE_BOND_FACTOR if pair & set(DATIVE_DONORS) else METAL_BOND_FACTOR
    factor = to_metal if n_metals else COVALENT_BOND_FACTOR
    return factor * (covalent_radius(first) + covalent_radius(second))


BULK_BOND_LENGTHS: dict[frozenset[str], float] = {
    frozenset(pair): length
    for pair, length in {
        ("In", "P"): 2.541,
        ("In", "As"): 2.623,
        ("In", "Sb"): 2.806,
        ("Ga", "P"): 2.360,
        ("Ga", "As"): 2.448,
        ("Cd", "S"): 2.526,
        ("Cd", "Se"): 2.620,
        ("Cd", "Te"): 2.806,
        ("Zn", "S"): 2.342,
        ("Zn", "Se"): 2.454,
        ("Zn", "Te"): 2.643,
        ("Cu", "Se"): 2.530,
    }.items()
}
"""Nearest-neighbour distance / Å in the zincblende crystals, a·√3/4 from the lattice constants at room
temperature (Landolt-Börnstein III/41B; Cu2Se: antifluorite form)."""


def bond_length(first: str, second: str) -> float:
    """Return the bond length of a cation and an anion / Å: that of the crystal, else the sum of radii."""
    known = BULK_BOND_LENGTHS.get(frozenset((first, second)))
    return known if known is not None else covalent_radius(first) + covalent_radius(second)


def donor_distance(metal: str, donor: str) -> float:
    """Return a usual distance / Å of a cation and a ligand's donor atom: the sum of radii, stretched.

    Dative bonds to first-row donors are 6 % longer than the sum of covalent radii (In–O 2.2 Å), those to
    heavier donors 2 %.
    """
    stretch = 1.06 if donor in ("O", "N", "F") else 1.02
    return stretch * (covalent_radius(metal) + covalent_radius(donor))


METAL_CONTACT = 1.60
CONTACT_RADII = {
    "H": 1.10, "C": 1.65, "N": 1.50, "O": 1.38, "F": 1.45, "P": 1.85, "S": 1.85, "Cl": 1.80, "As": 1.90,
    "Se": 2.00, "Sb": 2.05, "Br": 1.95, "Te": 2.10, "I": 2.10,
}  # fmt: skip
"""Contact radius / Å of atoms that are not bonded, for building only.

A little less than van der Waals radii, since crowded shells interlock; with a cation (1.6 Å) the sum is more
than `METAL_BOND_FACTOR` and `DATIVE_BOND_FACTOR` allow for a bond."""


def contact_radius(symbol: str) -> float:
    """Return the contact radius of an element / Å."""
    return METAL_CONTACT if symbol in METALS else CONTACT_RADII.get(symbol, covalent_radius(symbol) + 0.8)
