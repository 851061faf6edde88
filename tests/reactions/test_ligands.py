"""Ligands, anions and the first step of growth: every reaction balances and leaves the rest where it is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mscflow.builder import build
from mscflow.builder.edit import ligand_names
from mscflow.builder.ligands import LIGANDS, ligand_template
from mscflow.builder.molecules import REAGENTS, free_ligand, molecule
from mscflow.errors import InputError
from mscflow.reactions.ligands import anion_exchange, ligand_exchange, strip
from mscflow.topology import topology


def coefficients(reaction) -> dict[str, float]:
    return {cluster.name: n for cluster, n in reaction.species}


@pytest.mark.parametrize("name", LIGANDS)
def test_free_ligands_are_neutral_and_have_one_proton_more_than_anions(name):
    template, free = ligand_template(name), free_ligand(name)
    excess = Counter(free.symbols) - Counter(template.symbols)
    assert free.charge == 0
    assert excess == ({"H": 1} if template.charge else {})


@pytest.mark.parametrize("name", REAGENTS)
def test_reagents_are_one_neutral_molecule(name):
    found = molecule(name)
    assert found.charge == 0
    assert len(topology(found).fragments) == 1


def test_unknown_molecules_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'PH3'"):
        molecule("PH33")


def test_all_ligands_of_a_kind_are_exchanged():
    cluster = build("In4P")
    reaction = ligand_exchange(cluster, {"formate": "acetate"})
    assert coefficients(reaction) == {
        "In4P(O2CH)9": -1, "In4P(O2CCH3)9": 1, "HO2CCH3": -9, "HO2CH": 9,
    }  # fmt: skip
    assert set(ligand_names(reaction.species[1][0])) == {"acetate"}


def test_neutral_ligands_are_exchanged_as_they_are():
    cluster = build("Cd10Se4")
    (neutral,) = {name for name in ligand_names(cluster) if name and not ligand_template(name).charge}
    n = ligand_names(cluster).count(neutral)
    reaction = ligand_exchange(cluster, {neutral: "methylamine"})
    assert coefficients(reaction)["H2NMe"] == -n


def test_some_or_all_anions_are_exchanged():
    cluster = build("In26P13", "formate")
    anions = topology(cluster).core_anions
    everything, one = anion_exchange(cluster, {"P": "As"}), anion_exchange(cluster, {"P": "As"}, anions[:1])
    assert coefficients(everything)["AsH3"] == -13
    assert coefficients(one)["AsH3"] == -1
    np.testing.assert_array_equal(one.species[1][0].positions, cluster.positions)


@pytest.mark.parametrize(
    ("elements", "message"),
    [({"P": "Se"}, "same charge"), ({"As": "P"}, "no core anion As"), ({"P": "N"}, "same charge")],
)
def test_anions_that_cannot_be_exchanged_are_refused(elements, message):
    with pytest.raises(InputError, match=message):
        anion_exchange(build("In4P"), elements)


@pytest.mark.parametrize("number", [0, 4, 8])
def test_growth_begins_with_a_silyl_ester(number):
    cluster = build("In4P")
    reaction = strip(cluster, number)
    assert [n for _, n in reaction.species] == [-1, -1, 1, 1]
    product = reaction.species[2][0]
    graph = topology(product)
    (phosphanide,) = [ligand for ligand in graph.ligands if "Si" in ligand.formula]
    assert phosphanide.charge == -1
    assert len(graph.ligands) == 9
    assert product.charge == 0
    assert cluster.symbols[reaction.site] == "In"


def test_only_carboxylates_are_stripped():
    with pytest.raises(InputError, match="no carboxylate"):
        strip(build("In4P", "chloride"), 0)
