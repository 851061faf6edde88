"""Every named cluster is complete, neutral and free of clashes, with any ligand that fits its kind."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mscflow.analysis.binding import binding_modes
from mscflow.builder import CATALOGUE, build, build_different
from mscflow.builder.arrangements import arrangement
from mscflow.builder.assignment import COORDINATION
from mscflow.builder.capped import shortest_contacts
from mscflow.builder.edit import ligand_names
from mscflow.builder.ligands import Kind, ligand_template
from mscflow.errors import InputError
from mscflow.topology import topology

CARBOXYLATES = ("formate", "benzoate", "phenylacetate")
WITH_CARBOXYLATES = [
    (name, ligand)
    for name, entry in CATALOGUE.items()
    for ligand in CARBOXYLATES
    if any(ligand_template(default).kind is Kind.CARBOXYLATE for default, _ in entry.ligands)
]
FEWEST_BONDS = {"Cd13Se13": 3, "Cd14Se13": 3, "Cu26Se13": 2, "CuL": 2, "AgL": 2, "AuL": 2}
"""Fewest bonds of a cation where its published ligands are too few for four."""

NATIVE = [(name, None) for name in CATALOGUE if (name, "formate") not in WITH_CARBOXYLATES]


@pytest.mark.parametrize(("name", "ligand"), WITH_CARBOXYLATES + NATIVE)
def test_every_cluster_is_complete(name, ligand):
    cluster = build(name, ligand)
    graph = topology(cluster)
    entry = CATALOGUE[name]
    assert cluster.charge == 0
    assert graph.charge_balance.difference == 0
    assert graph.fragments == graph.ligands, "a ligand is not attached"
    assert len(graph.ligands) == sum(count for _, count in entry.ligands)
    with_h, without_h = shortest_contacts(graph)
    assert with_h > 1.6
    assert without_h > 2.2
    for metal in graph.metals:
        _, most = COORDINATION[cluster.symbols[metal]]
        assert FEWEST_BONDS.get(name, 4) <= graph.graph.degree(metal) <= most
    carboxylates = [lig for lig in graph.ligands if {"C", "O"} <= {cluster.symbols[i] for i in lig.atoms}]
    assert all(len(lig.donors) == 2 for lig in carboxylates), "a carboxylate hangs on one oxygen"
    if ligand is None:
        assert len(cluster) == entry.n_atoms
    elif ligand in CARBOXYLATES:
        assert ligand in ligand_names(cluster)


def test_in37p20_with_phenylacetate_is_924_atoms_in_good_coordination():
    graph = topology(build("In37P20"))
    assert len(graph.cluster) == 924
    coordination = [graph.graph.degree(m) for m in graph.metals]
    assert min(coordination) == 4
    assert max(coordination) == 6


def test_the_published_ligand_positions_of_cd26se17_are_found():
    """Twelve iodides bridge, six are terminal, and every cadmium has four bonds."""
    graph = topology(build("Cd26Se17"))
    iodides = [ligand for ligand in graph.ligands if ligand.formula == "I"]
    assert sorted(len(ligand.metals) for ligand in iodides) == [1] * 6 + [2] * 12
    assert {graph.graph.degree(m) for m in graph.metals} == {4}


def test_seeds_give_different_shells_and_are_reproducible():
    first, again, other = (
        build("In26P13", "formate"),
        build("In26P13", "formate"),
        build("In26P13", "formate", seed=1),
    )
    assert first == again
    bindings = [sorted(ligand.metals for ligand in topology(c).ligands) for c in (first, other)]
    assert bindings[0] != bindings[1]


def test_the_phosphines_of_cd26se17_sit_on_its_face_and_edge_cations():
    """Face cations have three Se and a phosphine, edge cations two Se, a phosphine and a terminal iodide."""
    graph = topology(build("Cd26Se17", "PH3"))
    symbols = graph.cluster.symbols
    with_phosphine = [ligand.metals[0] for ligand in graph.ligands if ligand.formula == "H3P"]
    around = Counter("".join(sorted(symbols[j] for j in graph.graph[m])) for m in with_phosphine)
    assert around == {"PSeSeSe": 4, "IPSeSe": 6}


def test_modes_that_are_asked_for_are_there():
    cluster = build("In26P13", "formate", modes={"chelating": 12, "monodentate": 0})
    modes = Counter(mode.mode for mode in binding_modes(cluster))
    assert modes["chelating"] + modes["chelating + dative"] == 12
    assert modes["symmetric bridging"] + modes["asymmetric bridging"] == 27


def test_different_shells_are_different():
    shells = build_different("In4P", 3)
    assert len({arrangement(shell) for shell in shells}) == 3
    assert len({shell.provenance["seed"] for shell in shells}) == 3


def test_an_arrangement_does_not_depend_on_place_and_order_of_atoms():
    cluster = build("In4P", seed=1)
    order = np.random.default_rng(0).permutation(len(cluster))
    moved = cluster.replace(positions=cluster.positions @ np.roll(np.eye(3), 1, axis=0) + 2.0).select(order)
    assert arrangement(moved) == arrangement(cluster)


def test_more_shells_than_there_are_is_said():
    with pytest.raises(InputError, match="only 1 different arrangement"):
        build_different("CuL", 2)


@pytest.mark.parametrize(
    ("smiles", "formula"),
    [
        ("c1cc[n:1]cc1", "C5H5N"),
        ("[N:1]#CC", "C2H3N"),
        ("[O:1]=P(C)(C)C", "C3H9OP"),
        ("[O:1]=CN(C)C", "C3H7NO"),
        ("[S:1]=C(N)N", "CH4N2S"),
    ],
)
def test_neutral_donors_of_every_kind_are_neutral(smiles, formula):
    graph = topology(build("Cd13Se13", smiles))
    assert {(lig.formula, lig.charge) for lig in graph.ligands} == {(formula, 0)}
    assert len(graph.ligands) == 13


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("[O-:1]C=O", "mark both"),
        ("[OH:1]C(=[O:1])C", "can be attached"),
        ("[O-:1]C(=[O:1])CC[NH3+]", "can be attached"),
        ("[O-:1]C(=[O:1])C([O-])=O", "charge -2"),
        ("[O-:1]N(=[O:1])=O", "can be attached"),
        ("[O-:1]C(=[O:1])[Fe]", "ligand with Fe"),
        ("[O-:1]C(=[O:1])[CH2]", "unpaired electrons"),
        ("[NH2:1]CCCCCCCCCC[NH2:1]", "ring of 13"),
        ("[O-:1]C(=[O:1])C.[Na+]", "one molecule is needed"),
        ("[Cl-]", "donors marked"),
        ("", "unknown ligand ''"),
    ],
)
def test_ligands_that_cannot_bind_are_refused(smiles, message):
    with pytest.raises(InputError, match=message) as caught:
        ligand_template(smiles)
    assert "\n" not in str(caught.value)


def test_a_ligand_by_smiles():
    cluster = build("CdL2", "[O-:1]C(=[O:1])CCl")
    assert cluster.composition == {"Cd": 1, "C": 4, "Cl": 2, "H": 4, "O": 4}


def test_mixed_shells_replace_ligands_by_charge():
    cluster = build("Cd35Se20", ["formate", "ammonia"])
    assert set(ligand_names(cluster)) == {"formate", "ammonia"}
    assert len(cluster) == 55 + 30 * 4 + 30 * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("In37P21",), "did you mean 'In37P20'"),
        (("In37P20", "phenylacetat"), "did you mean 'phenylacetate'"),
        (("In37P20", "n-butylamine"), "no ligand of charge \\+0"),
        (("CdL2", "[O-:1]C(=[O:1]"), "no valid SMILES"),
        (("CdL2", "[CH3:1]C"), "can be attached"),
        (("In26P13", "formate", "up"), "hand must be"),
        (("In4P", "formate", "left", -1), "seed must be 0 or more"),
        (("In4P", ["acetate", "formate"]), "'acetate', 'formate' all have charge -1"),
        (
            ("In26P13", "formate", "left", 0, {"bridging": 39, "chelating": 39}),
            "78 ligands, there are 39",
        ),
        (("In4P", "formate", "left", 1, {"chelating": 9}), "do not fit"),
        (("In26P13", "formate", "left", 0, {"chelate": 3}), "did you mean 'chelating'"),
        (("In26P13", "formate", "left", 0, {"bridging": -1}), "from 0 to 39"),
    ],
)
def test_what_cannot_be_built_is_said(arguments, message):
    with pytest.raises(InputError, match=message):
        build(*arguments)


def test_precursors_of_other_ligands_have_the_spin_of_the_ion():
    cluster = build("MnL2", "chloride")
    assert cluster.multiplicity == 6
    distance = np.linalg.norm(cluster.positions[1:] - cluster.positions[0], axis=1)
    assert np.allclose(distance, distance[0], atol=0.02)
