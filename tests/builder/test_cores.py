"""Cores are built by rule and have the connectivity, symmetry and distances they should have."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np
import pytest

from mscflow.analysis.homology import homologies
from mscflow.builder import build
from mscflow.builder.cages import bullet, capped_unit, fused_units, t_unit, without_terminal
from mscflow.builder.lattices import supertetrahedron, tetrahedron, wurtzite_fragment
from mscflow.chemistry import bond_length
from mscflow.errors import InputError

CORES = {
    "In26P13": lambda hand="left": t_unit("In", "P", hand),
    "In37P20": lambda hand="left": fused_units("In", "P", hand),
    "Cd14Se13": lambda hand="left": without_terminal(t_unit("Cd", "Se", hand)),
    "Cd26Se17": lambda hand="left": capped_unit("Cd", "Se", hand),
    "In26As18": lambda hand="left": bullet("In", "As", hand),
}
GRAPHS = {
    "In26P13": "8dc2ae8fc285ee48ee3adfc3c69f5c14",
    "Cd14Se13": "d4acf6106db5081f08860a4866bff24b",
    "Cd26Se17": "134ecb99cfe60bcdb69d388138418f31",
    "In37P20": "4b8491e6b0770308f71fcb854af75751",
    "In26As18": "7a638751ab27ba3812ff4ebf24b8b5ea",
}
"""Weisfeiler–Lehman hashes (six rounds, elements as labels) of connectivity models made independently."""

DEGREES = {
    "In26P13": ({1: 12, 2: 6, 3: 4, 4: 4}, {4: 13}),
    "In37P20": ({1: 16, 2: 6, 3: 8, 4: 7}, {4: 20}),
    "Cd14Se13": ({2: 6, 3: 4, 4: 4}, {3: 12, 4: 1}),
    "Cd26Se17": ({2: 18, 3: 4, 4: 4}, {3: 4, 4: 13}),
    "In26As18": ({2: 18, 3: 3, 4: 5}, {3: 7, 4: 11}),
}


@pytest.mark.parametrize("name", CORES)
def test_the_graph_is_that_of_the_reference(name):
    core = CORES[name]()
    graph_hash = nx.weisfeiler_lehman_graph_hash(core.graph, node_attr="symbol", iterations=6)
    assert graph_hash == GRAPHS[name]
    cations, anions = DEGREES[name]
    assert Counter(map(core.degree, core.cations)) == cations
    assert Counter(map(core.degree, core.anions)) == anions


@pytest.mark.parametrize("name", CORES)
def test_distances_are_sound(name):
    core = CORES[name]()
    length = bond_length(*sorted(set(core.symbols), key=lambda s: s in ("P", "Se", "As")))
    distance = np.linalg.norm(core.positions[:, None] - core.positions[None], axis=2)
    bonded = np.zeros_like(distance, dtype=bool)
    for i, j in core.bonds:
        bonded[i, j] = bonded[j, i] = True
    tolerance = 0.08 if name == "In26As18" else 0.06
    assert np.abs(distance[bonded] / length - 1).max() < tolerance
    rest = distance[~bonded & ~np.eye(len(core), dtype=bool)]
    assert rest.min() > 1.3 * length


@pytest.mark.parametrize(
    ("name", "order"), [("In26P13", 12), ("In37P20", 2), ("Cd26Se17", 12), ("In26As18", 3)]
)
def test_the_point_group_has_its_rotations(name, order):
    """T has 12 rotations, C3 three, C2 two; mirror images never superpose, so the cores are chiral."""
    core = CORES[name]()
    same = nx.algorithms.isomorphism.categorical_node_match("symbol", None)
    automorphisms = nx.algorithms.isomorphism.GraphMatcher(core.graph, core.graph, node_match=same)
    errors = [rmsd(core.positions, core.positions[[m[i] for i in range(len(core))]])
              for m in automorphisms.isomorphisms_iter()]  # fmt: skip
    assert sum(error < 0.02 for error in errors) == order
    mirrored = core.mirrored().positions
    automorphisms = nx.algorithms.isomorphism.GraphMatcher(core.graph, core.graph, node_match=same)
    assert all(rmsd(core.positions, mirrored[[m[i] for i in range(len(core))]]) > 0.2
               for m in automorphisms.isomorphisms_iter())  # fmt: skip


def rmsd(a: np.ndarray, b: np.ndarray) -> float:
    """Deviation after the best proper rotation."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, s, vt = np.linalg.svd(a.T @ b)
    s[-1] *= np.sign(np.linalg.det(u @ vt))
    return float(np.sqrt(max((a**2).sum() + (b**2).sum() - 2 * s.sum(), 0.0) / len(a)))


def test_hands_are_mirror_images():
    left, right = fused_units(hand="left"), fused_units(hand="right")
    assert left.bonds == right.bonds
    assert rmsd(left.positions, right.positions * np.array([1, 1, -1])) < 1e-3
    assert rmsd(left.positions, right.positions) > 0.5


@pytest.mark.parametrize(("n_cd", "n_se", "layers"), [(35, 20, 5), (56, 35, 6), (84, 56, 7)])
def test_tetrahedra_have_tetrahedral_numbers(n_cd, n_se, layers):
    core = tetrahedron("Cd", "Se", layers)
    assert (len(core.cations), len(core.anions)) == (n_cd, n_se)
    assert {core.degree(i) for i in core.anions} == {4}
    assert sum(core.degree(i) == 1 for i in core.cations) == 4
    assert core.charge == 2 * (n_cd - n_se)


def test_the_supertetrahedron_leaves_sixteen_sites_to_ligands():
    core = supertetrahedron()
    assert Counter(core.symbols) == {"Cd": 10, "Se": 4}
    assert sum(4 - core.degree(i) for i in core.cations) == 12 * 2 + 4


@pytest.mark.parametrize("n", [33, 34])
def test_wurtzite_fragments_are_stoichiometric_and_well_bonded(n):
    core = wurtzite_fragment("Cd", "Se", n)
    assert Counter(core.symbols) == {"Cd": n, "Se": n}
    assert min(map(core.degree, range(2 * n))) >= 2
    assert len(core.bonds) > 3 * n


def test_a_fragment_that_is_too_small_is_refused():
    with pytest.raises(InputError, match="two bonds"):
        wurtzite_fragment("Cd", "Se", 1)


def test_in14p13_is_in_in26p13_and_in26p13_twice_in_in37p20():
    small, large = build("In26P13", "formate"), build("In37P20", "formate")
    places = homologies(small, large)
    assert [place.size for place in places] == [39, 39]
    assert all(place.rmsd < 0.3 and not place.mirrored and not place.leftover for place in places)
    assert all(place.n_bonds_kept == place.n_bonds == 52 for place in places)
    assert len(set(places[0].mapping.values()) & set(places[1].mapping.values())) == 24
    (place,) = homologies(build("Cd14Se13"), small)
    assert (place.size, place.n_bonds_kept) == (27, 40)
    assert place.rmsd < 0.15
    other = homologies(build("In26P13", "formate", hand="right"), large)
    assert [place.mirrored for place in other] == [True, True]
