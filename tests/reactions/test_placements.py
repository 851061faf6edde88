"""Distinct placements: brute force, Burnside's lemma and known groups have to agree."""

from __future__ import annotations

from itertools import combinations, islice

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mscflow.builder import build
from mscflow.errors import InputError
from mscflow.reactions.exchange import exchange, exchanges, n_exchanges
from mscflow.reactions.placements import alike, count_placements, placements, symmetries
from mscflow.topology import topology


@pytest.mark.parametrize(
    ("name", "order"),
    [("Cd35Se20", 24), ("In26P13", 12)],
    ids=["tetrahedron", "chiral tetrahedral unit"],
)
def test_cores_have_the_symmetry_of_their_point_group(name, order):
    assert len(symmetries(build(name), ligands=False)) == order


@pytest.mark.parametrize("n", [1, 2, 3])
def test_burnside_brute_force_and_enumeration_agree(n):
    cluster = build("Cd35Se20")
    group = symmetries(cluster, ligands=False)
    sites = topology(cluster).metals
    orbits = {
        min(tuple(sorted(image[i] for i in chosen)) for image in group) for chosen in combinations(sites, n)
    }
    assert set(placements(sites, n, group)) == orbits
    assert count_placements(sites, n, group) == len(orbits)


def test_orbits_of_a_tetrahedron_of_thirty_five():
    # Four corners, six middles of edges and twelve beside them, twelve in faces, one inside.
    assert n_exchanges(build("Cd35Se20"), "Zn2+", 1, "all", symmetry="core") == 5


def test_bridges_over_the_same_edge_are_no_symmetry():
    cluster = build("In26P13", "formate")
    assert sum(map(len, alike(cluster))) == len(topology(cluster).ligands)
    assert len(symmetries(cluster)) < 100


def test_isomers_are_different_ligands():
    straight, branched = (build("In4P", ligand=f"[O-:1]C(=[O:1]){tail}") for tail in ("CCC", "C(C)C"))
    gone = topology(straight).ligands[0]
    (new,) = (lig for lig in topology(branched).ligands if lig.donors == gone.donors)
    assert new.formula == gone.formula
    kept = [i for i in range(len(straight)) if i not in gone.atoms]
    mixed = straight.replace(
        symbols=[straight.symbols[i] for i in kept] + [branched.symbols[i] for i in new.atoms],
        positions=np.vstack([straight.positions[kept], branched.positions[list(new.atoms)]]),
    )
    assert topology(mixed).charge_balance.difference == 0
    assert len(symmetries(mixed)) < len(symmetries(straight))
    assert max(map(len, alike(mixed))) == max(map(len, alike(straight)))


@pytest.mark.parametrize("ion", ["Ga3+", "Zn2+", "Cu+"])
def test_one_site_agrees_with_the_single_exchange(ion):
    cluster = build("In4P")
    single = {(r.site, frozenset(r.tags["leaving"])) for r in exchange(cluster, ion)}
    found = {(r.site, frozenset(r.tags["leaving"])) for r in exchanges(cluster, ion, 1, search="all")}
    assert {site for site, _ in found} == {site for site, _ in single}
    assert found == single


@pytest.mark.parametrize("ion", ["Ga3+", "Zn2+", "Mn2+", "Ag+"])
@pytest.mark.parametrize("n", [2, 3])
def test_several_sites_balance_and_stay_neutral(ion, n):
    cluster = build("In4P")
    found = list(exchanges(cluster, ion, n))
    assert 0 < len(found) <= n_exchanges(cluster, ion, n)
    for reaction in found:
        assert not reaction.imbalance()
        product = reaction.species[2][0]
        assert topology(product).charge_balance.difference == 0
        assert product.symbols.count("In") == 4 - n


def test_order_and_orientation_of_the_atoms_change_nothing():
    cluster = build("In4P")
    rotated = cluster.replace(positions=cluster.positions @ Rotation.random(random_state=1).as_matrix())
    turned = rotated.select(np.random.default_rng(0).permutation(len(cluster)))
    for n in (1, 2):
        leaving = [
            sorted(sorted(r.tags["leaving"]) for r in exchanges(c, "Zn2+", n)) for c in (cluster, turned)
        ]
        assert leaving[0] == leaving[1]


def test_a_thousand_candidates_are_made_one_by_one():
    cluster = build("In37P20", "formate")
    assert n_exchanges(cluster, "Zn2+", 2, "all") > 600
    first = list(islice(exchanges(cluster, "Zn2+", 2, "all"), 3))
    assert len({r.label for r in first}) == 3
    with pytest.raises(InputError, match="n must be at least 1"):
        next(exchanges(cluster, "Zn2+", 0))
