"""Edits change what they are asked to change, keep the rest, and account for charge."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mscflow.builder import build
from mscflow.builder.capped import shortest_contacts
from mscflow.builder.edit import (
    add_ligand,
    ligand_names,
    remove_complex,
    remove_ligand,
    swap_elements,
    swap_ligands,
    truncate_ligands,
)
from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.removal import binding
from mscflow.topology import topology


@pytest.fixture(scope="module")
def cluster():
    return build("In26P13", "phenylacetate")


@pytest.fixture(scope="module")
def formate(cluster):
    return swap_ligands(cluster, {"phenylacetate": "formate"})


def test_swapped_ligands_bind_where_the_old_ones_did(cluster, formate):
    assert Counter(ligand_names(formate)) == {"formate": 39}
    old, new = (sorted(ligand.metals for ligand in topology(c).ligands) for c in (cluster, formate))
    assert old == new
    assert formate.name == "In26P13(O2CH)39"
    back = swap_ligands(formate, {"formate": "phenylacetate"})
    assert Counter(ligand_names(back)) == {"phenylacetate": 39}
    assert min(shortest_contacts(topology(back))) > 1.6


def test_truncated_carboxylates_are_formates(cluster, formate):
    short = truncate_ligands(cluster)
    assert short.composition == formate.composition
    assert Counter(ligand_names(short)) == {"formate": 39}
    assert topology(short).charge_balance.difference == 0


def test_truncated_amines_are_ammonia():
    short = truncate_ligands(build("Cd35Se20"))
    assert Counter(ligand_names(short)) == {"formate": 30, "ammonia": 30}


def test_truncated_diamines_are_two_ammonia_each():
    cluster = build("Cd14Se13")
    n_diamines = sum(ligand.charge == 0 for ligand in topology(cluster).ligands)
    short = truncate_ligands(cluster)
    assert Counter(ligand_names(short)) == {"chloride": 2, "ammonia": 2 * n_diamines}
    assert topology(short).charge_balance.difference == 0


def test_an_acid_that_does_not_bind_leaves_nothing_behind():
    short = truncate_ligands(build("CdL2", "OC(=O)CCCC(=[O:1])[O-:1]"))
    assert short.composition == build("CdL2", "formate").composition


def test_a_truncated_cluster_keeps_its_free_molecules(formate):
    ion = Cluster(("Cl",), np.array([[30.0, 0, 0]]), charge=-1)
    cation = remove_ligand(formate, 3)
    salt = cation.replace(
        symbols=(*cation.symbols, *ion.symbols),
        positions=np.vstack([cation.positions, ion.positions]),
        charge=0,
    )
    assert truncate_ligands(salt).composition == salt.composition


@pytest.mark.parametrize("ligand", ["c1cc[n:1]cc1", "CP(C)(C)=[O:1]", "CC#[N:1]"])
def test_donors_that_hydrogen_cannot_complete_are_not_truncated(ligand):
    with pytest.raises(InputError, match="cannot be truncated: .* instead of \\+0"):
        truncate_ligands(fragment("Cd", "chloride", {ligand: 2}))


def test_ligands_beside_bridging_halides_can_be_swapped():
    swapped = swap_ligands(build("Cd26Se17"), {"PPr3": "PMe3"})
    assert set(ligand_names(swapped)) >= {"PMe3"}
    assert topology(swapped).charge_balance.difference == 0
    assert min(shortest_contacts(topology(swapped))) > 1.6


def test_ligands_too_bulky_for_a_cluster_are_refused(formate):
    bulky = "CC(C)(C)C(C(C)(C)C)(C(C)(C)C)C(=[O:1])[O-:1]"
    with pytest.raises(InputError, match=r"no room for the new ligands of In26P13\(O2CH\)39"):
        swap_ligands(formate, {"formate": bulky})


def test_spins_follow_the_ions():
    pair = swap_elements(fragment("Cd2Se", "chloride"), {"Cd": "Mn"})
    assert pair.multiplicity == 11
    assert fragment("Mn2Se", "chloride").multiplicity == 11
    assert swap_elements(pair, {"Mn": "Cd"}).multiplicity == 1
    rest, unit = remove_complex(pair, topology(pair).metals[0])
    assert (rest.multiplicity, unit.multiplicity) == (6, 6)


def test_amines_leave_with_their_cation():
    cluster = build("Cd35Se20", ["formate", "ammonia"])
    graph = topology(cluster)
    metal = next(ligand.metals[0] for ligand in graph.ligands if ligand.formula == "H3N")
    rest, unit = remove_complex(cluster, metal)
    assert unit.composition["N"] >= 1
    assert all(fragment.metals for fragment in topology(rest).fragments)
    leaving = binding(cluster, metal).species[-1][0]
    assert leaving.composition == unit.composition


def test_swapped_elements_change_the_charge(formate):
    homologue = swap_elements(formate, {"P": "As"})
    assert (homologue.composition["As"], homologue.charge) == (13, 0)
    doped = swap_elements(formate, {"In": "Cd"}, sites=[13, 20])
    assert doped.charge == -2
    assert topology(doped).charge_balance.difference == 0


def test_a_removed_ligand_takes_its_charge_along(formate):
    cation = remove_ligand(formate, 3)
    assert (len(cation), cation.charge) == (len(formate) - 4, 1)
    assert cation.provenance["edits"][-1] == {"remove_ligand": 3}


def test_a_removed_complex_is_neutral_and_so_is_the_rest(formate):
    metal = topology(formate).metals[-1]
    rest, unit = remove_complex(formate, metal)
    assert unit.composition == {"In": 1, "C": 3, "H": 3, "O": 6}
    assert (rest.charge, unit.charge) == (0, 0)
    assert len(rest) + len(unit) == len(formate)
    assert topology(rest).charge_balance.difference == 0


def test_an_added_amine_binds_and_the_skeleton_stays(formate):
    graph = topology(formate)
    metal = graph.metals[-1]
    more = add_ligand(formate, "methylamine", metal)
    added = topology(more).ligands
    assert len(added) == 40
    assert [ligand.metals for ligand in added if ligand.formula == "CH5N"] == [(metal,)]
    skeleton = [*graph.metals, *graph.core_anions]
    assert np.allclose(more.positions[skeleton], formate.positions[skeleton])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: swap_ligands(c, {"acetate": "formate"}), "no ligand 'acetate'"),
        (lambda c: swap_ligands(c, {"formate": "chloride"}), "bind differently"),
        (lambda c: swap_elements(c, {"In": "Fe"}), "no oxidation state for 'Fe'"),
        (lambda c: swap_elements(c, {"In": "Ga"}, sites=[0]), "atom 0 is no In"),
        (lambda c: remove_ligand(c, 39), "no ligand 39"),
        (lambda c: remove_complex(c, 0), "no cation"),
        (lambda c: remove_complex(c, 20, ligands=[0]), "needs ligands of charge -3"),
        (lambda c: add_ligand(c, "methylamine", 0), "no cation"),
    ],
)
def test_impossible_edits_are_refused(formate, edit, message):
    with pytest.raises(InputError, match=message):
        edit(formate)
