"""Hydrogens that were taken away come back where they were."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from mscflow.builder import build
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
