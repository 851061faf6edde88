"""Named clusters: what `mscflow list` shows and `mscflow build` makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mscflow.builder.precursors import precursor
from mscflow.builder.tetrahedron import capped_tetrahedron
from mscflow.chemistry import IONS, suggest
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import require_charge_balance


@dataclass(frozen=True)
class Entry:
    """One buildable structure.

    Parameters
    ----------
    name
        Name by which it is built.
    formula
        Full formula with a general carboxylate.
    family
        Structural family.
    source
        Where the model comes from.
    build
        Function of the ligand name.
    """

    name: str
    formula: str
    family: str
    source: str
    build: Callable[[str], Cluster]


def _precursor_entry(ion: str) -> Entry:
    charge = IONS[ion].charge
    element = IONS[ion].element
    count = str(charge) if charge > 1 else ""
    return Entry(
        name=f"{element}L{count}",
        formula=f"{element}(O2CR){count}",
        family="molecular precursor",
        source="derived: monomer, every ligand chelating",
        build=lambda ligand: precursor(ion, ligand),
    )


CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="In4P",
            formula="In4P(O2CR)9",
            family="smallest model",
            source="derived: tetrahedral In4P, six bridging and three chelating carboxylates",
            build=lambda ligand: capped_tetrahedron("In", "P", ligand),
        ),
        *(_precursor_entry(ion) for ion in IONS),
    )
}


def build(name: str, ligand: str = "formate") -> Cluster:
    """Build a cluster by name.

    Parameters
    ----------
    name
        A name of `CATALOGUE`, e.g. ``"In4P"`` or ``"ZnL2"``.
    ligand
        Name of the ligand.

    Returns
    -------
    Cluster
        Complete with its ligands, charges balanced; a starting geometry.

    Raises
    ------
    InputError
        If the name or the ligand is unknown.

    Examples
    --------
    >>> build("In4P", ligand="formate").formula
    'In4C9H9O18P'
    """
    entry = CATALOGUE.get(name)
    if entry is None:
        raise InputError(f"unknown cluster {name!r}: {suggest(name, CATALOGUE)}")
    cluster = entry.build(ligand)
    require_charge_balance(cluster)
    return cluster
