"""Hydrogens that were taken away come back where they were."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import atomic_numbers
from rdkit import Chem
from rdkit.Chem.rdDistGeom import EmbedMolecule
from rdkit.Chem.rdForceFieldHelpers import MMFFOptimizeMolecule
from scipy.spatial import cKDTree

from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.reading.hydrogens import missing_hydrogens


@pytest.mark.parametrize(
    ("name", "ligand"),
    [
        ("CdL2", "formate"),
        ("CdL2", "benzoate"),
        ("CdL2", "phenylacetate"),
        ("CdL2", "4-tert-butylphenylacetate"),
        ("CdL2", "myristate"),
        ("Cd13Se13", "n-butylamine"),
        ("Cd10Se4", None),
    ],
)
def test_the_hydrogens_of_a_ligand_shell(name, ligand):
    whole = build(name, ligand)
    heavy = [i for i, s in enumerate(whole.symbols) if s != "H"]
    bare = whole.select(heavy, charge=sum(whole.numbers[heavy]) % 2, multiplicity=1)
    found = missing_hydrogens(bare)
    taken = whole.positions[[i for i, s in enumerate(whole.symbols) if s == "H"]]
    assert len(found) == len(taken)
    distance, _ = cKDTree(found).query(taken)
    methyl_free = ligand in ("formate", "benzoate", "phenylacetate")
    assert distance.max() < (0.35 if methyl_free else 1.2)
    assert np.median(distance) < 0.4


def test_nothing_is_added_to_a_complete_cluster():
    assert len(missing_hydrogens(build("InL3", "phenylacetate"))) == 0


@pytest.mark.parametrize(
    ("symbols", "along"),
    [
        (("Cd", "N", "N", "N"), (0, 2.2, 3.38, 4.56)),
        (("Cd", "N", "C"), (0, 2.2, 3.36)),
        (("Cd", "C", "N"), (0, 2.2, 3.36)),
        (("Co", "C", "O"), (0, 1.85, 3.0)),
    ],
)
def test_nothing_is_added_to_pseudohalides_and_carbonyls(symbols, along):
    cluster = of_even_electrons(symbols, np.array([[x, 0, 0] for x in along]))
    assert len(missing_hydrogens(cluster)) == 0


@pytest.mark.parametrize(
    ("smiles", "donor"),
    [
        ("CN=CC", 1),  # an imine
        ("c1ccnnc1", 3),  # pyridazine
        ("CN1C=C[N+](C)=C1", 6),  # a carbene on the cation
        ("N#Cc1ccc(C(=O)[O-])cc1", 7),  # a nitrile far from it
        ("CN=[N+]=[N-]", 1),  # an organic azide
        ("NC(N)=O", 3),  # urea
    ],
)
@pytest.mark.parametrize("bare", [False, True])
def test_a_ligand_on_a_cation_gets_back_what_was_taken(smiles, donor, bare):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    EmbedMolecule(molecule, randomSeed=1)
    MMFFOptimizeMolecule(molecule)
    positions = molecule.GetConformer().GetPositions()
    around = [a.GetIdx() for a in molecule.GetAtomWithIdx(donor).GetNeighbors()]
    heavy = [i for i in around if molecule.GetAtomWithIdx(i).GetSymbol() != "H"]
    axis = positions[donor] - positions[heavy].mean(axis=0)
    cation = positions[donor] + 2.2 * axis / np.linalg.norm(axis)
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    hydrogens = {i for i, symbol in enumerate(symbols) if symbol == "H"} - set(around)
    heads = [i for i in around if i not in heavy]  # the cation is there instead
    kept = [i for i in range(len(symbols)) if i not in heads and not (bare and i in hydrogens)]
    found = missing_hydrogens(
        of_even_electrons(["Cd", *(symbols[i] for i in kept)], np.vstack([cation, positions[kept]]))
    )
    assert len(found) == (len(hydrogens) if bare else 0)


def of_even_electrons(symbols, positions):
    """A cluster with a charge that closed shells can have."""
    return Cluster(tuple(symbols), positions, charge=sum(atomic_numbers[s] for s in symbols) % 2)
