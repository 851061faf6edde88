"""Separations and binding modes describe what the builder intended, and survive rotation."""

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mscflow.analysis.binding import binding_modes, coordination
from mscflow.analysis.separations import separations
from mscflow.builder import build, precursor
from mscflow.builder.tetrahedron import capped_tetrahedron
from mscflow.errors import InputError


def test_in4p_separations_share_the_anion_and_one_carboxylate():
    pairs = separations(build("In4P"), "In")
    assert len(pairs) == 6
    for pair in pairs:
        assert pair.shared_anions == (0,)
        assert len(pair.bridging_ligands) == 1
        assert pair.surface == "surface–surface"
    bond = np.linalg.norm(build("In4P").positions[1])
    assert pairs[0].distance == pytest.approx(bond * np.sqrt(8 / 3))
    assert list(pairs.table["distance"]) == sorted(pairs.table["distance"])


def test_pairs_of_a_large_core_are_of_three_kinds():
    pairs = separations(build("In26P13", "formate"))
    kinds = {"surface–surface": 60, "core–surface": 36, "core–core": 6}
    assert Counter(pair.surface for pair in pairs) == kinds


def test_binding_modes_are_as_built():
    modes = [row.mode for row in binding_modes(build("In4P"))]
    assert modes == ["symmetric bridging"] * 6 + ["chelating"] * 3
    assert {row.mode for row in binding_modes(precursor("Zn2+"))} == {"chelating"}


def test_a_shifted_bridge_is_asymmetric():
    cluster = capped_tetrahedron()
    ligand = list(range(5, 9))
    along = cluster.positions[1] - cluster.positions[2]
    shifted = cluster.positions.copy()
    shifted[ligand] += 0.25 * along / np.linalg.norm(along)
    assert binding_modes(cluster.replace(positions=shifted))[0].mode == "asymmetric bridging"


def test_coordination_counts_and_lengths():
    rows = coordination(build("In4P"))
    assert rows[0].neighbours == {"In": 4}
    assert rows[1].neighbours == {"P": 1, "O": 3}
    assert [row.number for row in rows[2:]] == [6, 6, 6]
    assert 2.1 < rows[1].mean_distance["O"] < 2.3


def test_results_do_not_change_under_rotation():
    cluster = build("In4P")
    turned = cluster.replace(positions=cluster.positions @ Rotation.random(random_state=3).as_matrix())
    assert [row.mode for row in binding_modes(turned)] == [row.mode for row in binding_modes(cluster)]
    np.testing.assert_allclose(
        [p.distance for p in separations(turned)], [p.distance for p in separations(cluster)], atol=1e-10
    )


def test_only_cations_have_separations():
    with pytest.raises(InputError, match="'P' is not a cation"):
        separations(build("In4P"), "P")
