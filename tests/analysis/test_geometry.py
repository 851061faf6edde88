"""Rings, symmetry, crowding, stacking and averages: what is known of cores and of simple bodies comes out."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from scipy.spatial.transform import Rotation

from mscflow.analysis.rings import puckering, six_rings, torsions
from mscflow.analysis.sterics import (
    SPHERE,
    Phenyl,
    _ball,
    _contact,
    _directions,
    _inside,
    _shaded,
    crowding,
    phenyls,
)
from mscflow.analysis.symmetry import core_symmetry, operations, point_group, symmetry_number
from mscflow.analysis.trajectories import averaged_bonds, averaged_separations
from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import topology

PLANAR = np.array([[np.cos(a), np.sin(a), 0.0] for a in np.pi / 3 * np.arange(6)])


@pytest.mark.parametrize(
    ("heights", "polar"),
    [([1, -1, 1, -1, 1, -1], 0), ([1, -0.5, -0.5, 1, -0.5, -0.5], 90), ([0, 1, -1, 0, 1, -1], 90)],
)
def test_puckering_of_ideal_rings(heights, polar):
    ring = PLANAR + 0.2 * np.outer(heights, [0, 0, 1])
    amplitude, theta, phi = puckering(ring @ Rotation.random(random_state=1).as_matrix())
    assert amplitude == pytest.approx(0.2 * np.linalg.norm(heights))
    assert min(theta, 180 - theta) == pytest.approx(polar, abs=1e-6)
    if polar:
        assert phi % 60 == pytest.approx(30 if heights[0] == 0 else 0, abs=1e-6) or phi % 60 == pytest.approx(
            60
        )


def test_torsions_of_a_chair_alternate():
    found = torsions(PLANAR * [1, 1, 0] + 0.25 * np.outer([1, -1, 1, -1, 1, -1], [0, 0, 1]))
    np.testing.assert_allclose(found, found[0] * np.array([1, -1] * 3), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "rings", "point_group", "chiral"),
    [
        ("In37P20", {"twist-boat": 54}, "C2", True),
        ("In26P13", {"twist-boat": 30}, "T", True),
        ("Cd35Se20", {"chair": 40}, "Td", False),
    ],
)
def test_rings_and_point_groups_of_the_cores(name, rings, point_group, chiral):
    ligands = ["formate", "ammonia"] if name.startswith("Cd") else "formate"
    left, right = (build(name, ligand=ligands, hand=hand) for hand in ("left", "right"))
    found, mirrored = six_rings(left), six_rings(right)
    assert {ring.shape: len(found) for ring in found} == rings
    symmetry = core_symmetry(left)
    assert (symmetry.point_group, symmetry.chiral) == (point_group, chiral)
    if chiral:  # one hand, and the other one in the mirror image
        assert len(found.counts) == 1
        assert {ring.hand for ring in mirrored} == {"P", "M"} - {ring.hand for ring in found}


def test_phosphorus_in_in37p20_has_eleven_surroundings():
    cluster = build("In37P20", ligand="formate")
    kinds = core_symmetry(cluster).environments(cluster, "P")
    assert len(kinds) == 11
    assert sum(map(len, kinds)) == 20


@pytest.mark.parametrize("seed", [0, 5])
def test_a_distorted_core_keeps_its_orbits(seed):
    cluster = build("In26P13")
    noise = np.random.default_rng(seed).normal(scale=0.04, size=cluster.positions.shape)
    symmetry = core_symmetry(cluster.replace(positions=cluster.positions + noise))
    assert (symmetry.point_group, symmetry.chiral, len(symmetry.orbits)) == ("T", True, 6)
    assert sorted(i for orbit in symmetry.orbits for i in orbit) == list(topology(cluster).skeleton)


def test_operations_are_a_group_within_the_tolerance():
    cluster = build("Cd35Se20")
    core = list(topology(cluster).skeleton)
    noise = np.random.default_rng(0).normal(scale=0.05, size=(len(core), 3))
    orders = []
    for tolerance in (1e-3, 0.2, 0.25, 0.3, 0.5):
        found = operations([cluster.symbols[i] for i in core], cluster.positions[core] + noise, tolerance)
        assert max(operation.deviation for operation in found) <= tolerance
        images = {operation.image for operation in found}
        assert {tuple(np.array(a)[list(b)].tolist()) for a in images for b in images} == images
        orders.append(len(found))
    assert (orders[0], orders[-1]) == (1, 24)
    assert orders == sorted(orders)


@pytest.mark.parametrize(
    ("name", "group", "number"),
    [
        ("H2O", "C2v", 2), ("NH3", "C3v", 3), ("CH4", "Td", 12), ("C6H6", "D6h", 12), ("C2H6", "D3d", 6),
        ("C3H4_D2d", "D2d", 4), ("H2O2", "C2", 2), ("trans-butane", "C2h", 2), ("BF3", "D3h", 6),
        ("CH3OH", "Cs", 1), ("C60", "Ih", 60), ("CO2", None, 2), ("HCN", None, 1),
    ],
)  # fmt: skip
def test_molecules_have_their_point_groups(name, group, number):
    found = Cluster.from_ase(molecule(name))
    turned = found.replace(positions=found.positions @ Rotation.random(random_state=3).as_matrix())
    assert symmetry_number(turned, 0.05) == number
    if group:
        assert point_group(operations(turned.symbols, turned.positions, 0.05)) == group


def test_a_core_of_two_atoms_has_no_point_group():
    with pytest.raises(InputError, match="a core of 1 atoms"):
        core_symmetry(build("InL3"))


def test_rotation_changes_nothing():
    cluster = build("In4P")
    turned = cluster.replace(positions=cluster.positions @ Rotation.random(random_state=2).as_matrix() + 3)
    for one, other in zip(crowding(cluster), crowding(turned), strict=True):
        assert one.buried_volume == pytest.approx(other.buried_volume, abs=0.01)
        assert one.solid_angle == pytest.approx(other.solid_angle, abs=0.01)


def test_one_ball_fills_what_geometry_says():
    radius, distance = 1.5, 2.5
    cap = (1 - np.sqrt(1 - (radius / distance) ** 2)) / 2
    assert _shaded(
        _directions(20000), np.array([[0, 0, distance]]), np.array([radius])
    ).mean() == pytest.approx(cap, abs=1e-3)
    inside = _inside(_ball(SPHERE, 0.1), np.array([[0.5, 0, 0]]), np.array([radius])).mean()
    assert inside == pytest.approx((radius / SPHERE) ** 3, rel=0.02)


def test_bulky_ligands_crowd_the_surface():
    small, large = (
        crowding(build("In4P", ligand=ligand)) for ligand in ("formate", "[O-:1]C(=[O:1])C(C)(C)C")
    )
    assert np.mean([row.solid_angle for row in small]) < np.mean([row.solid_angle for row in large])


def test_every_phenylacetate_has_one_flat_ring():
    cluster = build("In4P", ligand="phenylacetate")
    assert sorted(ring.ligand for ring in phenyls(cluster)) == list(range(9))
    assert phenyls(build("In4P")) == []


@pytest.mark.parametrize(
    ("shift", "turn", "kind"),
    [((1.5, 0, 3.5), 0, "stacked"), ((0, 0, 5.0), 90, "T-shaped"), ((0, 0, 9), 0, ""), ((0, 0, 4), 45, "")],
)
def test_phenyl_rings_stack_or_stand(shift, turn, kind):
    upright = np.array([0.0, 0.0, 1.0])
    turned = Rotation.from_euler("x", turn, degrees=True).apply(upright)
    found = _contact(Phenyl(0, np.zeros(3), upright), Phenyl(1, np.array(shift), turned))
    assert (found.kind if found else "") == kind
    if kind == "stacked":
        assert found.offset == pytest.approx(1.5)


def test_averages_over_a_trajectory():
    cluster = build("In4P")
    rng = np.random.default_rng(0)
    frames = [cluster.positions + 0.01 * rng.normal(size=cluster.positions.shape) for _ in range(400)]
    table = averaged_separations(cluster, frames)
    np.testing.assert_allclose(table["mean"], table["distance"], atol=0.005)
    np.testing.assert_allclose(table["std"], 0.01 * np.sqrt(2), rtol=0.15)
    bonds = averaged_bonds(cluster, frames)
    assert (bonds["bond"] == "P–In").sum() == 4
    with pytest.raises(InputError, match="no frames"):
        averaged_bonds(cluster, [])
    with pytest.raises(InputError, match="40 atoms do not belong to a cluster of 41"):
        averaged_bonds(cluster, [cluster.positions[1:]])
