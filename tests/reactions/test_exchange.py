"""Every generated reaction balances, and symmetry decides how many there are."""

import re

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mscflow.analysis.binding import binding_modes
from mscflow.builder import build, precursor
from mscflow.builder.edit import add_ligand, remove_ligand
from mscflow.builder.tetrahedron import ALL_EDGES, capped_tetrahedron
from mscflow.chemistry import IONS
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.jobs import ExchangeMaker
from mscflow.reactions.exchange import exchange, exchanges, n_exchanges
from mscflow.reactions.reaction import Reaction
from mscflow.topology import topology


@pytest.mark.parametrize("ion", [ion for ion in IONS if ion != "In3+"])
@pytest.mark.parametrize("ligand", ["formate", "acetate"])
def test_every_ion_balances_and_keeps_the_cluster_neutral(ion, ligand):
    reactions = exchange(build("In4P", ligand), ion)
    assert reactions
    for reaction in reactions:
        assert not reaction.imbalance()
        product = reaction.species[2][0]
        assert topology(product).charge_balance.difference == 0
        assert product.multiplicity == IONS[ion].multiplicity


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 6), st.sampled_from(["Zn2+", "Ga3+", "Cu+"]))
def test_random_shells_balance_and_do_not_depend_on_order_or_orientation(seed, n_bridging, ion):
    rng = np.random.default_rng(seed)
    edges = [ALL_EDGES[i] for i in rng.permutation(6)[:n_bridging]]
    corners = rng.permutation([0, 1, 2, 3, 0, 1, 2, 3])[: 9 - n_bridging].tolist()
    cluster = capped_tetrahedron(bridged=sorted(edges), chelated=corners)
    order = rng.permutation(len(cluster))
    turned = cluster.replace(positions=cluster.positions @ Rotation.from_euler("xyz", [1, 2, 3]).as_matrix())
    first, second = exchange(cluster, ion), exchange(turned.select(order), ion)
    assert all(not r.imbalance() for r in first + second)
    assert sorted(map(fingerprint, first)) == sorted(map(fingerprint, second))


def fingerprint(reaction: Reaction) -> str:
    """A permutation-invariant name of the product."""
    return nx.weisfeiler_lehman_graph_hash(
        topology(reaction.species[2][0]).graph, node_attr="symbol", iterations=6
    )


def test_isovalent_exchange_has_one_reaction_per_orbit_of_cations():
    # Three chelated corners are equivalent, the fourth is alone.
    assert len(exchange(build("In4P"), "Ga3+")) == 2


def test_aliovalent_exchange_searches_the_leaving_ligand():
    labels = [r.label for r in exchange(build("In4P"), "Zn2+")]
    # The bare corner loses a bridge; a chelated one loses its chelate or one of two kinds of bridge.
    assert len(labels) == 4
    assert sum("chelating" in label for label in labels) == 1


def test_leaving_ligands_are_called_as_in_the_table_of_ligands():
    for cluster in (build("In4P"), build("In4P", "chloride")):
        modes = binding_modes(cluster)
        graph = topology(cluster)
        for reaction in exchange(cluster, "Ag+"):
            product = reaction.species[2][0]
            leaving = [graph.ligands[n] for n in map(int, re.findall(r"\bL(\d+)", reaction.label))]
            assert [list(lost.atoms) for lost in leaving] == product.provenance["exchange"]["leaving"]
            assert re.findall(r"−L(\d+)", product.name) == re.findall(r"\bL(\d+)", reaction.label)
            found = [modes[graph.ligands.index(lost)].mode for lost in leaving]
            assert [mode.removeprefix("symmetric ") for mode in found] == reaction.tags["leaving"]


def test_two_ligands_leave_with_a_monovalent_ion():
    reaction = exchange(build("In4P"), "Ag+")[0]
    assert len(reaction.tags["leaving"]) == 2
    assert reaction.species[2][0].composition["C"] == 7


def test_neutral_ligands_never_carry_a_cation():
    cluster = build("Cd35Se20", ligand=["formate", "methylamine"])
    assert any(lig.charge == 0 for lig in topology(cluster).ligands)
    turned = cluster.select(list(range(len(cluster)))[::-1])
    for atoms in (cluster, turned):
        reactions = exchange(atoms, "Mn2+", symmetry="core")
        assert {reaction.tags["ligand"] for reaction in reactions} == {"formate"}
    with pytest.raises(InputError, match=r"Cd13Se13\(NH3\)13 has no anionic ligand"):
        exchange(build("Cd13Se13", ligand="ammonia"), "Zn2+")


def test_ligands_of_one_kind_leave_together():
    mixed = add_ligand(remove_ligand(build("In4P"), 0), "chloride", 1)
    assert {r.tags["ligand"] for r in exchange(mixed, "Cu+")} == {"formate"}
    single = exchange(mixed, "Zn2+")
    assert {r.tags["ligand"] for r in single} == {"formate", "chloride"}
    assert all(topology(r.species[2][0]).charge_balance.difference == 0 for r in single)
    assert all(not r.imbalance() for r in exchanges(mixed, "Zn2+", 2))


@pytest.mark.parametrize("sites", [[1.0], [True], [1, 2.5]])
def test_sites_are_whole_numbers(sites):
    with pytest.raises(InputError, match="is not a cation"):
        exchange(build("In4P"), "Ga3+", sites=sites)


def test_an_exchange_of_nothing_says_why():
    cluster = build("In4P")
    assert [r.site for r in exchange(cluster, "Ga3+", sites=[2, 1, 2, np.int64(1)])] == [1, 2]
    water = Cluster(("O", "H", "H"), np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
    with pytest.raises(InputError, match="has no cation"):
        exchange(water, "Zn2+")
    with pytest.raises(InputError, match=r"no exchange of In3\+ at surface sites"):
        ExchangeMaker(ions=["In3+"]).make.original(ExchangeMaker(ions=["In3+"]), cluster)


def test_sites_can_be_chosen():
    cluster = build("In4P")
    assert {r.site for r in exchange(cluster, "Ga3+", sites=[3])} == {3}
    assert exchange(cluster, "Ga3+", sites="core") == []
    with pytest.raises(InputError, match="site 0 is not a cation"):
        exchange(cluster, "Ga3+", sites=[0])


def test_an_ion_of_higher_charge_and_an_unknown_one_are_refused():
    with pytest.raises(InputError, match="more ligand"):
        exchange(precursor("Cd2+"), "Ga3+")
    with pytest.raises(InputError, match=r"unknown ion 'Zn3\+': did you mean 'Zn2\+'"):
        exchange(build("In4P"), "Zn3+")


def test_unbalanced_reactions_are_refused():
    one, two = precursor("Zn2+"), precursor("In3+")
    with pytest.raises(InputError, match="does not balance: .*In"):
        Reaction(((one, -1), (two, 1)))
    helium = Cluster(("He",), np.zeros((1, 3)))
    with pytest.raises(InputError, match="charge"):
        Reaction(((helium, -1), (helium.replace(charge=2), 1)))


def test_energy_is_products_minus_reactants():
    a = Cluster(("He",), np.zeros((1, 3)), name="a")
    b = Cluster(("He", "He"), np.array([[0, 0, 0], [0, 0, 3.0]]), name="b")
    reaction = Reaction(((a, -2), (b, 1)))
    assert reaction.energy({a.hash: 1.0, b.hash: 1.5}) == pytest.approx(-0.5)
    assert reaction.equation == "2 a → b"
    with pytest.raises(InputError, match="no energy for b"):
        reaction.energy({a.hash: 1.0})
    assert Reaction.from_dict(reaction.as_dict()).equation == reaction.equation


def test_a_core_that_is_more_symmetric_than_its_shell_has_fewer_sites():
    cluster = build("In26P13", "formate")
    with_shell, of_core = (exchange(cluster, "Ga3+", "all", symmetry=of) for of in ("cluster", "core"))
    assert len(with_shell) == 26
    assert len(of_core) == 4
    nearest = exchange(cluster, "Cd2+", "all", "core", "nearest")
    assert [reaction.site for reaction in nearest] == [reaction.site for reaction in of_core]


def test_the_nearest_ligand_is_the_one_that_binds_fewest_cations():
    for site in (2, 3, 4):
        (alone,) = exchange(build("In4P"), "Zn2+", sites=[site], search="nearest")
        assert alone.tags["leaving"] == ["chelating"]


@pytest.mark.parametrize("search", ["nearest", "all"])
def test_a_site_with_too_few_ligands_loses_all_of_its_own(search):
    cluster = build("In4P")
    while sum(2 in ligand.metals for ligand in topology(cluster).ligands) > 1:
        spare = next(n for n, lig in enumerate(topology(cluster).ligands) if 2 in lig.metals)
        cluster = remove_ligand(cluster, spare)
    graph = topology(cluster)
    own = next(n for n, ligand in enumerate(graph.ligands) if 2 in ligand.metals)
    reactions = exchange(cluster, "Cu+", sites=[2], symmetry="core", search=search)
    leaving = [{int(n) for n in re.findall(r"\bL(\d+)", reaction.label)} for reaction in reactions]
    assert all(own in numbers and len(numbers) == 2 for numbers in leaving)
    assert (len(leaving) == 1) == (search == "nearest")


def test_many_cations_leave_with_ligands_of_their_own():
    cluster = build("In26P13", "formate")
    sites = sorted(topology(cluster).metals)[:17]
    reaction = next(exchanges(cluster, "Cu+", 17, sites))
    assert len(reaction.tags["leaving"]) == 34
    assert reaction.species[2][0].composition["C"] == 39 - 34


@pytest.mark.parametrize(
    ("name", "ligand", "ion", "number"),
    [
        ("In26P13", "formate", "Ga3+", 31),
        ("In37P20", "formate", "Ga3+", 325),
        ("Cd35Se20", None, "Zn2+", 40),
    ],
)
def test_the_documented_numbers_of_placements(name, ligand, ion, number):
    cluster = build(name, ligand) if ligand else build(name)
    assert n_exchanges(cluster, ion, 2, "all", "core") == number


def test_what_it_cannot_know_is_refused_in_one_line():
    with pytest.raises(InputError, match="unknown 'shell': known: cluster, core"):
        exchange(build("In4P"), "Ga3+", symmetry="shell")
