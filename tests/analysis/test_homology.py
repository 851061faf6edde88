"""The published relations between cores are found in our models, and unrelated cores are told apart."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from mscflow import build, homology
from mscflow.chemistry import ANIONS
from mscflow.errors import InputError

SHELLS = {"In26P13": ("formate",), "In26As18": ("formate", "PH3"), "Cd26Se17": ("formate", "PH3")}


@cache
def cluster(name):
    return build(name, SHELLS.get(name, ("formate", "ammonia")))


def n_anions(place, structure):
    return sum(structure.symbols[atom] in ANIONS for atom in place.mapping)


def test_in26as18_and_cd26se17_share_a_cage_with_fourteen_anions():
    for a, b in (("Cd26Se17", "In26As18"), ("In26As18", "Cd26Se17")):
        place = homology(cluster(a), cluster(b))
        assert n_anions(place, cluster(a)) == 14
        assert place.size >= 17 + 14
        assert place.n_bonds_kept == place.n_bonds
        assert place.rmsd < 0.4


def test_the_phosphorus_of_in26p13_lies_on_the_arsenic_of_in26as18():
    place = homology(cluster("In26P13"), cluster("In26As18"))
    assert n_anions(place, cluster("In26P13")) == 13
    assert place.n_bonds_kept == place.n_bonds
    assert place.rmsd < 0.4


def test_wurtzite_like_and_zincblende_cores_are_told_apart():
    place = homology(cluster("In26P13"), cluster("Cd35Se20"))
    assert place.size < 39 * 2 / 3
    assert place.n_bonds_kept < 52 / 2
    assert place.rmsd > 0.6


def test_the_order_of_atoms_does_not_matter():
    a, b = cluster("Cd14Se13"), cluster("In26P13")
    order = np.random.default_rng(3).permutation(len(a))
    place, other = homology(a, b), homology(a.select(order), b)
    assert (other.size, other.n_bonds_kept, other.mirrored) == (
        place.size,
        place.n_bonds_kept,
        place.mirrored,
    )
    np.testing.assert_allclose(other.rmsd, place.rmsd, atol=1e-6)
    assert {int(order[i]) for i in other.mapping} == set(place.mapping)


def test_what_does_not_fit_is_no_homology():
    with pytest.raises(InputError, match=r"nothing of In4P\(O2CH\)9 fits on .* within 0.001 Å"):
        homology(build("In4P"), cluster("Cd14Se13"), tolerance=0.001)
