"""Named clusters: what `mscflow list` shows and `mscflow build` makes.

Compositions, absorption maxima and references are those of the account Ripberger, Sandeno, Eagle, Nguyen,
Cossairt, "Structure and Reactivity of II-VI and III-V Magic-Sized Clusters"; which parts of a structure are
derived or guessed is said in each entry and travels with the cluster as its provenance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mscflow.builder.cages import (
    Hand,
    bullet,
    capped_unit,
    fused_units,
    t_unit,
    without_face_cation,
    without_terminal,
)
from mscflow.builder.capped import capped
from mscflow.builder.core import Core
from mscflow.builder.lattices import supertetrahedron, tetrahedron, wurtzite_fragment
from mscflow.builder.ligands import Kind, LigandTemplate, ligand_template, n_atoms
from mscflow.builder.precursors import precursor
from mscflow.builder.tetrahedron import capped_tetrahedron, tetrahedral_core
from mscflow.chemistry import IONS, METALS, suggest, unpaired
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import require_charge_balance

SURVEY = "Ripberger et al. (account), reference {} therein"
OURS = "model of this package"
COUNTED = "derived by counting bonds"
LATTICE = "cut from the crystal lattice"


@dataclass(frozen=True)
class Entry:
    """One buildable structure.

    Parameters
    ----------
    name
        Name by which it is built.
    formula
        Full formula.
    family
        Structural family.
    ligands
        Default ligands and their numbers.
    core
        Function that makes the core of one hand.
    source
        Where the composition comes from.
    provenance
        How the core is made, and how far it is to be trusted.
    wavelength
        Lowest-energy absorption maximum in solution / nm, where known.
    """

    name: str
    formula: str
    family: str
    ligands: tuple[tuple[str, int], ...]
    core: Callable[[Hand], Core]
    source: str
    provenance: str
    wavelength: float | None = None

    @property
    def n_atoms(self) -> int:
        """Number of atoms with the default ligands."""
        return len(self.core("left")) + sum(count * n_atoms(name) for name, count in self.ligands)


def _cut(make: Callable[[], Core]) -> Callable[[Hand], Core]:
    """Return a core function for cores that have no hand."""
    return lambda _hand: make()


def _ion_core(element: str) -> Callable[[Hand], Core]:
    return lambda _hand: Core((element,), np.zeros((1, 3)), ())


def _precursor_entry(ion: str) -> Entry:
    charge, element = IONS[ion].charge, IONS[ion].element
    count = str(charge) if charge > 1 else ""
    return Entry(
        name=f"{element}L{count}",
        formula=f"{element}(O2CR){count}",
        family="molecular precursor",
        ligands=(("formate", charge),),
        core=_ion_core(element),
        source=OURS,
        provenance="a model: the monomer, every carboxylate chelating; other isomers are not searched",
    )


CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "In37P20", "In37P20(O2CR)51", "pseudo-wurtzite, C2", (("phenylacetate", 51),),
            lambda hand: fused_units("In", "P", hand),
            SURVEY.format(29), f"{COUNTED}; likely: fits every published statement, not proven", 386.0,
        ),
        Entry(
            "In26P13", "In26P13(O2CR)39", "pseudo-wurtzite, T unit", (("phenylacetate", 39),),
            lambda hand: t_unit("In", "P", hand),
            SURVEY.format(28), f"{COUNTED}; counts of bonds certain, T symmetry likely", 350.0,
        ),
        Entry(
            "In26As18", "In26As18(O2CR)24(PR3)3", "bullet, C3", (("phenylacetate", 24), ("PEt3", 3)),
            lambda hand: bullet("In", "As", hand),
            SURVEY.format(48), f"a best guess: {COUNTED}; composition certain, connectivity not, strained",
        ),
        Entry(
            "In4P", "In4P(O2CR)9", "smallest model", (("formate", 9),),
            _cut(lambda: tetrahedral_core("In", "P")),
            OURS, "a model: one phosphide in a tetrahedron of indium, ligands counted by charge",
        ),
        Entry(
            "Cd10Se4", "Cd10Se4(SePh)12(PEt3)4", "zincblende supertetrahedron",
            (("benzeneselenolate", 12), ("PEt3", 4)), _cut(supertetrahedron),
            SURVEY.format("16-19"), f"{LATTICE}: extended adamantane",
        ),
        *(
            Entry(
                f"Cd{n_cd}Se{n_se}", f"Cd{n_cd}Se{n_se}(O2CPh){n_x}(H2NBu){n_x}", "zincblende tetrahedron",
                (("benzoate", n_x), ("n-butylamine", n_x)),
                _cut(partial(tetrahedron, "Cd", "Se", layers)),
                SURVEY.format("21, 22"), LATTICE, wavelength,
            )
            for n_cd, n_se, n_x, layers, wavelength in (
                (35, 20, 30, 5, 350.0), (56, 35, 42, 6, 380.0), (84, 56, 56, 7, 408.0)
            )
        ),
        Entry(
            "Cd13Se13", "(CdSe)13(H2NBu)13", "core-cage", (("n-butylamine", 13),),
            lambda hand: without_face_cation(without_terminal(t_unit("Cd", "Se", hand))),
            SURVEY.format("23-26"), "a best guess: Cd14Se13 without one face cation",
        ),
        Entry(
            "Cd14Se13", "Cd14Se13Cl2(TMEDA)6", "pseudo-wurtzite, T unit", (("chloride", 2), ("TMEDA", 6)),
            lambda hand: without_terminal(t_unit("Cd", "Se", hand)),
            SURVEY.format(27), f"{COUNTED}; likely; one diamine for each cation of two bonds: a guess",
        ),
        Entry(
            "Cd21Se20", "Cd21Se20Cl2(H2NBu)18", "pseudo-wurtzite, C2",
            (("chloride", 2), ("n-butylamine", 18)),
            lambda hand: without_terminal(fused_units("Cd", "Se", hand)),
            SURVEY.format(33),
            f"{COUNTED}; likely: In37P20 without its terminal cations; number of amines a guess", 420.0,
        ),
        Entry(
            "Cd37Se20", "Cd37Se20(O2CR)34", "pseudo-wurtzite, C2", (("benzoate", 34),),
            lambda hand: fused_units("Cd", "Se", hand),
            SURVEY.format(33), "a model: In37P20 with In→Cd, P→Se",
        ),
        *(
            Entry(
                f"Cd{n}Se{n}", f"(CdSe){n}(H2NBu){n}", "stoichiometric candidate", (("n-butylamine", n),),
                _cut(partial(wurtzite_fragment, "Cd", "Se", n)),
                SURVEY.format(33), "a best guess: the wurtzite fragment with most bonds", 420.0,
            )
            for n in (33, 34)
        ),
        Entry(
            "Cd26Se17", "Cd26Se17I18(PPr3)10", "T cage", (("iodide", 18), ("PPr3", 10)),
            lambda hand: capped_unit("Cd", "Se", hand),
            SURVEY.format(49), f"{COUNTED}; near certain",
        ),
        Entry(
            "Cu26Se13", "Cu26Se13(PEt2Ph)14", "T cage", (("PEt2Ph", 14),),
            lambda hand: t_unit("Cu", "Se", hand),
            SURVEY.format(49),
            f"a best guess: {COUNTED}; terminal Cu have few bonds; precursor of Cd26Se17 by cation exchange",
        ),
        *(_precursor_entry(ion) for ion in IONS),
    )
}  # fmt: skip


def build(
    name: str,
    ligand: str | Sequence[str] | None = None,
    hand: Hand = "left",
    seed: int = 0,
    modes: Mapping[str, int] | None = None,
) -> Cluster:
    """Build a cluster by name.

    Parameters
    ----------
    name
        A name of `CATALOGUE`, e.g. ``"In37P20"`` or ``"ZnL2"``.
    ligand
        Ligand by name or SMILES, instead of the default one of the same charge; several where there are
        default ones of several charges.
    hand
        ``"left"`` or ``"right"``, for the chiral cores.
    seed
        Other seeds (0, 1, ...) give other arrangements of the ligands.
    modes
        Numbers of ligands per binding mode that are asked for, e.g. ``{"chelating": 3, "bridging": 6}``.

    Returns
    -------
    Cluster
        Complete with its ligands, charges balanced; a starting geometry.

    Raises
    ------
    InputError
        If the name or the ligand is unknown, the seed is negative, or the ligands do not fit.

    Examples
    --------
    >>> build("In4P", ligand="formate").formula
    'In4C9H9O18P'
    """
    entry = CATALOGUE.get(name)
    if entry is None:
        raise InputError(f"unknown cluster {name!r}: {suggest(name, CATALOGUE)}")
    if hand not in ("left", "right"):
        raise InputError(f"hand must be 'left' or 'right', not {hand!r}")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, not {seed}")
    shell = _shell(entry, [ligand] if isinstance(ligand, str) else list(ligand or ()))
    provenance = {
        "source": "derived",
        "cluster": entry.name,
        "hand": hand,
        "composition": entry.source,
        "core": entry.provenance,
    }
    if seed == 0 and not modes:
        cluster = _special(entry, shell)
        if cluster is not None:
            require_charge_balance(cluster)
            return cluster.replace(provenance={**cluster.provenance, **provenance, "seed": seed})
    ligands = "".join(f"({t.formula}){n if n > 1 else ''}" for t, n in shell)
    core = entry.core(hand)
    cluster = capped(
        core,
        shell,
        name=f"{_core_formula(core)}{ligands}",
        provenance=provenance,
        seed=seed,
        modes=modes,
        multiplicity=1 + sum(map(unpaired, core.symbols)),
    )
    require_charge_balance(cluster)
    return cluster


def _shell(entry: Entry, ligands: list[str]) -> list[tuple[LigandTemplate, int]]:
    """Return the default shell with the ligands of a charge replaced by those asked for."""
    shell = [(ligand_template(name), count) for name, count in entry.ligands]
    asked = [ligand_template(ligand) for ligand in ligands]
    for charge, n in Counter(template.charge for template in asked).items():
        if n > 1:
            rivals = ", ".join(repr(template.name) for template in asked if template.charge == charge)
            raise InputError(f"{rivals} all have charge {charge:+d}: one ligand replaces those of its charge")
    for wanted in asked:
        same = [n for n, (template, _) in enumerate(shell) if template.charge == wanted.charge]
        if not same:
            raise InputError(
                f"{entry.name} has no ligand of charge {wanted.charge:+d} for {wanted.name!r} to replace: "
                f"it is {entry.formula}"
            )
        bites = {True: 2, False: 1}
        old, count = shell[same[0]]
        if Kind.CHELATE in (old.kind, wanted.kind):
            count = count * bites[old.kind is Kind.CHELATE] // bites[wanted.kind is Kind.CHELATE]
        shell[same[0]] = (wanted, count)
    return shell


def _special(entry: Entry, shell: list[tuple[LigandTemplate, int]]) -> Cluster | None:
    """Return a precursor, or In4P with small ligands in the arrangement that is known to be good."""
    template, _ = shell[0]
    if entry.family == "molecular precursor":
        ion = next(ion for ion in IONS.values() if ion.element == entry.core("left").symbols[0])
        return precursor(ion, template.name)
    if entry.name == "In4P" and template.name in ("formate", "acetate"):
        return capped_tetrahedron("In", "P", template.name)
    return None


def _core_formula(core: Core) -> str:
    counts = {s: core.symbols.count(s) for s in sorted(set(core.symbols), key=lambda s: s not in METALS)}
    return "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())
