"""Small pieces are complete, neutral, and have the bonds of their formula."""

import pytest

from mscflow.builder.fragments import fragment, fragment_core
from mscflow.errors import InputError
from mscflow.topology import topology


@pytest.mark.parametrize(
    ("formula", "n_bonds", "degrees"),
    [
        ("In", 0, {0: 1}),
        ("Cd2Se", 2, {1: 2}),
        ("In3P", 3, {1: 3}),
        ("In4P", 4, {1: 4}),
        ("In7P2", 8, {1: 6, 2: 1}),
        ("In9P3", 12, {1: 6, 2: 3}),
        ("In10P4", 16, {1: 4, 2: 6}),
        ("In13P4", 16, {1: 12, 4: 1}),
    ],
)
def test_cores_have_the_bonds_of_their_shape(formula, n_bonds, degrees):
    core = fragment_core(formula)
    assert len(core.bonds) == n_bonds
    found = [core.degree(i) for i in core.cations]
    assert {d: found.count(d) for d in set(found)} == degrees


@pytest.mark.parametrize(
    ("formula", "ligand", "neutral", "n_ligands"),
    [("In7P2", "formate", {}, 15), ("Cd2Se", "[Se-:1]C", {"PH3": 2}, 4), ("Cu", "formate", {"PMe3": 2}, 3)],
)
def test_pieces_are_neutral_and_keep_every_ligand(formula, ligand, neutral, n_ligands):
    graph = topology(fragment(formula, ligand, neutral))
    assert graph.charge_balance.difference == 0
    assert len(graph.ligands) == n_ligands


@pytest.mark.parametrize("formula", ["", "In5P", "CP", "XxP", "In4Xx"])
def test_other_formulas_are_refused(formula):
    with pytest.raises(InputError, match="unknown fragment"):
        fragment(formula, "formate")


def test_a_ligand_must_balance_the_charge():
    with pytest.raises(InputError, match="does not balance"):
        fragment("In4P", "ammonia")
