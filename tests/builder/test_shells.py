"""Every named cluster is complete, neutral and free of clashes, with any ligand that fits its kind."""

from __future__ import annotations

import numpy as np
import pytest

from mscflow.builder import CATALOGUE, build
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


def test_modes_can_be_asked_for():
    modes = {"chelating": 12, "bridging": 27, "monodentate": 0}
    graph = topology(build("In26P13", "formate", modes=modes))
    assert sum(len(ligand.metals) == 1 for ligand in graph.ligands) <= 12


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
        (("In26P13", "formate", "left", 0, {"bridging": 39, "chelating": 39}), "do not fit"),
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
