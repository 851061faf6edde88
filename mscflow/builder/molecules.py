"""Free molecules: ligands that are not bound, their acids, and other reagents."""

from __future__ import annotations

import re

import numpy as np
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from mscflow.builder.ligands import ligand_smiles, ligand_template
from mscflow.chemistry import suggest
from mscflow.cluster import Cluster
from mscflow.errors import InputError

REAGENTS: dict[str, str] = {
    "P(SiMe3)3": "C[Si](C)(C)P([Si](C)(C)C)[Si](C)(C)C",
    "PH3": "P",
    "AsH3": "[AsH3]",
    "H2S": "S",
    "H2Se": "[SeH2]",
    "H2Te": "[TeH2]",
    "Ph2PSe": "[Se]=P(c1ccccc1)c1ccccc1",
}
"""SMILES of reagents by the names of the literature (Ph2PSe: diphenylphosphine selenide, one H on P)."""

EMBED_SEED = 1

CONTACT = 2.4
"""Smallest distance between the atoms of two molecules that touch / Å: that of two hydrogens."""

SIDES = np.concatenate([np.eye(3), -np.eye(3)])
"""Directions in which a molecule has neighbours."""


def molecule(name: str) -> Cluster:
    """Return a free molecule in RDKit's geometry.

    Parameters
    ----------
    name
        A name of `REAGENTS`, or a SMILES; hydrogens are added.

    Raises
    ------
    InputError
        If it is no SMILES, or RDKit finds no three-dimensional structure.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem.rdDistGeom import EmbedMolecule

    with rdBase.BlockLogs():
        parsed = Chem.MolFromSmiles(REAGENTS.get(name, name))
        if parsed is None:
            raise InputError(f"unknown molecule {name!r}: {suggest(name, REAGENTS)}, or a SMILES")
        whole = Chem.AddHs(parsed)
        if EmbedMolecule(whole, randomSeed=EMBED_SEED):
            raise InputError(f"molecule {name!r}: RDKit finds no three-dimensional structure")
    symbols = tuple(atom.GetSymbol() for atom in whole.GetAtoms())
    positions = np.array(whole.GetConformer().GetPositions())
    return Cluster(symbols, positions, charge=Chem.GetFormalCharge(whole), name=name)


def touching(
    first: Cluster, second: Cluster, seed: int = 0, sides: int = 1, contact: float = CONTACT
) -> Cluster:
    """Return a molecule with others at its side, all turned at random.

    Parameters
    ----------
    first, second
        Molecules.
    seed
        Seed of their orientations.
    sides
        Number of the second ones, each at another side of the first, at most six.
    contact
        Smallest distance between the atoms of two molecules / Å.
    """
    rng = np.random.default_rng(seed)
    placed = _turned(first, rng)
    for side in SIDES[:sides]:
        next_one = _turned(second, rng)
        while cdist(placed, next_one).min() < contact:
            next_one += 0.1 * side
        placed = np.concatenate([placed, next_one])
    return Cluster(
        first.symbols + sides * second.symbols,
        placed,
        first.charge + sides * second.charge,
        name=f"{first.name} + {f'{sides} ' if sides > 1 else ''}{second.name}",
    )


def _turned(one: Cluster, rng: np.random.Generator) -> np.ndarray:
    """Return the coordinates of a molecule around its centre, turned at random / Å."""
    turn = Rotation.random(None, rng).as_matrix()
    return np.asarray((one.positions - one.positions.mean(axis=0)) @ turn.T)


def free_ligand(name: str) -> Cluster:
    """Return a ligand as it is when it is not bound: anions with a proton, as an acid.

    Parameters
    ----------
    name
        Name or SMILES of a ligand of charge 0 or −1.

    Raises
    ------
    InputError
        If it has another charge.
    """
    template = ligand_template(name)
    smiles = ligand_smiles(name)
    if template.charge == -1:
        smiles = re.sub(r"\[(O|S|Se|Te|P|N|Cl|Br|I)(H?)(\d?)-:1\]", _protonated, smiles, count=1)
    elif template.charge:
        raise InputError(f"{name!r} has charge {template.charge:+d}: only 0 and −1 have a free molecule here")
    found = molecule(re.sub(r":1\]", "]", smiles))
    if found.charge:
        raise InputError(f"{name!r}: its acid has charge {found.charge:+d}")
    formula = template.formula
    return found.replace(name=f"H{formula}" if template.charge else formula)


def _protonated(match: re.Match[str]) -> str:
    element, has_hydrogen, count = match.groups()
    hydrogens = (int(count) if count else 1) if has_hydrogen else 0
    return f"[{element}H{hydrogens + 1}]"
