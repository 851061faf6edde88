"""Reactions in which ligands or anions are exchanged, and the first step of growth with P(SiMe3)3.

What leaves and what comes are free molecules: acids of anionic ligands, hydrides of anions. Energies of these
reactions contain the acidities of both sides, which is what an experiment with the acids would see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from mscflow.builder.edit import (
    add_ligand,
    ligand_name,
    ligand_names,
    remove_ligand,
    swap_elements,
    swap_ligands,
)
from mscflow.builder.ligands import ligand_smiles, ligand_template
from mscflow.builder.molecules import free_ligand, molecule
from mscflow.chemistry import ANIONS
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.reaction import Reaction
from mscflow.topology import topology

HYDRIDES = {"P": "PH3", "As": "AsH3", "S": "H2S", "Se": "H2Se", "Te": "H2Te"}
"""Free molecule of each anion."""

PHOSPHANIDE = "[P-:1]([Si](C)(C)C)[Si](C)(C)C"
SILYL = "[Si](C)(C)C"


def ligand_exchange(cluster: Cluster, names: Mapping[str, str]) -> Reaction:
    """Return the exchange of all ligands of some kinds by others, with their free molecules.

    Parameters
    ----------
    cluster
        The reactant; donors of the product start where they are.
    names
        Old name → new name (or SMILES), e.g. ``{"phenylacetate": "formate"}``.

    Raises
    ------
    InputError
        If there is no such ligand, or the two bind in different ways.
    """
    product = swap_ligands(cluster, names)
    counts = Counter(ligand_names(cluster))
    species = [(cluster, -1.0), (product, 1.0)]
    for old, new in names.items():
        n = counts[ligand_template(old).name]
        species += [(free_ligand(new), -float(n)), (free_ligand(old), float(n))]
    changes = ", ".join(f"{old} → {new}" for old, new in names.items())
    return Reaction(species=tuple(species), label=changes, tags={"ligands": dict(names)})


def anion_exchange(
    cluster: Cluster, elements: Mapping[str, str], sites: Iterable[int] | None = None
) -> Reaction:
    """Return the exchange of core anions by others of the same charge, with their hydrides.

    Parameters
    ----------
    cluster
        The reactant.
    elements
        Old → new anion, e.g. ``{"P": "As"}``.
    sites
        Atoms that are exchanged; by default all.

    Raises
    ------
    InputError
        If the two have different charges, or a site is none of the old anions.
    """
    for old, new in elements.items():
        if old not in HYDRIDES or new not in HYDRIDES or ANIONS[old] != ANIONS[new]:
            raise InputError(
                f"{old} → {new}: anions of the same charge among {', '.join(HYDRIDES)} can be exchanged"
            )
    chosen = None if sites is None else list(sites)
    product = swap_elements(cluster, elements, chosen)
    anions = topology(cluster).core_anions if chosen is None else chosen
    counts = Counter(cluster.symbols[i] for i in anions)
    species = [(cluster, -1.0), (product, 1.0)]
    for old, new in elements.items():
        if not counts[old]:
            raise InputError(f"{cluster.name or cluster.formula} has no core anion {old}")
        n = float(counts[old])
        species += [(molecule(HYDRIDES[new]), -n), (molecule(HYDRIDES[old]), n)]
    label = ", ".join(f"{counts[old]} {old} → {new}" for old, new in elements.items())
    return Reaction(species=tuple(species), label=label, tags={"anions": dict(elements)})


def strip(cluster: Cluster, number: int) -> Reaction:
    """Return the first step of growth: P(SiMe3)3 takes a carboxylate as its silyl ester.

    cluster–O2CR + P(SiMe3)3 → cluster–P(SiMe3)2 + RCO2SiMe3

    Parameters
    ----------
    cluster
        The reactant.
    number
        Number of the carboxylate in `Topology.ligands`; the phosphanide binds to its first cation.

    Raises
    ------
    InputError
        If that ligand is no carboxylate with a name, or there is no room for the phosphanide.
    """
    bare = remove_ligand(cluster, number)
    graph = topology(cluster)
    ligand = graph.ligands[number]
    name = ligand_name(graph, ligand)
    if name is None or ligand_template(name).charge != -1 or ligand_template(name).n_donors != 2:
        raise InputError(f"ligand {number} ({ligand.formula}) is no carboxylate with a name")
    metal = ligand.metals[0]
    gone = sum(atom < metal for atom in ligand.atoms)
    product = add_ligand(bare, PHOSPHANIDE, metal - gone)
    acid = free_ligand(name)
    product = product.replace(name=f"{cluster.name or cluster.formula} −{ligand.formula} +P(SiMe3)2")
    ester = molecule(_ester(name)).replace(name=f"{acid.name.removeprefix('H')}SiMe3")
    return Reaction(
        species=((cluster, -1), (molecule("P(SiMe3)3"), -1), (product, 1), (ester, 1)),
        label=f"P(SiMe3)3 takes {name}({number}) from {cluster.symbols[metal]} {metal}",
        site=metal,
        tags={"ligand": name},
    )


def _ester(carboxylate: str) -> str:
    """Return the SMILES of the silyl ester of a named carboxylate."""
    return ligand_smiles(carboxylate).replace("[O-:1]", f"O({SILYL})", 1).replace("[O:1]", "O")
