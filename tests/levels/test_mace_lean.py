"""The lean evaluation is the model of mace-torch, to round-off in double precision."""

import numpy as np
import pytest
from mace.modules import RealAgnosticInteractionBlock, RealAgnosticResidualInteractionBlock
from networks_for_tests import Irreps, network
from scipy.spatial.transform import Rotation

from mscflow.builder import build, precursor
from mscflow.levels import MACE
from mscflow.levels.potentials import mace_slots
from mscflow.levels.potentials.mace_lean import LeanMACE
from mscflow.levels.potentials.mace_tables import (
    SKIN,
    UnsupportedModelError,
    evaluate_monomials,
    monomial_slopes,
    tables,
)
from mscflow.levels.potentials.neighbours import neighbours
from mscflow.levels.surface import LeanSurface


@pytest.fixture(scope="module")
def model():
    return MACE().calculator(precursor("Zn2+")).models[0]


@pytest.fixture(scope="module")
def cluster():
    return build("In4P")


def lean(model, numbers, dtype="float64"):
    return LeanMACE(model, tables(model), numbers, dtype)


def reference(cluster, positions):
    atoms = cluster.to_ase()
    atoms.positions = positions
    atoms.calc = MACE().calculator(cluster)
    return atoms.get_potential_energy(), atoms.get_forces()


@pytest.mark.parametrize(("dtype", "energy", "force"), [("float64", 1e-6, 1e-6), ("float32", 2e-3, 2e-3)])
def test_energy_and_forces_are_those_of_the_calculator(model, cluster, dtype, energy, force):
    evaluator = lean(model, [cluster.numbers], dtype)
    rng = np.random.default_rng(0)
    for scale in (0.0, 0.05, 0.3):  # the last one moves atoms beyond the skin
        positions = cluster.positions + rng.normal(scale=scale, size=cluster.positions.shape)
        energies, forces = evaluator(positions)
        expected_energy, expected_forces = reference(cluster, positions)
        assert np.abs(expected_forces).max() > 1.0
        assert energies[0] == pytest.approx(expected_energy, abs=energy)
        np.testing.assert_allclose(forces, expected_forces, atol=force, rtol=force)


def test_features_are_those_of_mace_torch_and_follow_the_positions(model, cluster):
    evaluator = lean(model, [cluster.numbers])
    moved = cluster.positions * 1.01
    evaluator(moved)
    for positions in (moved, cluster.positions):
        atoms = cluster.replace(positions=positions).to_ase()
        expected = MACE().calculator(cluster).get_descriptors(atoms)
        np.testing.assert_allclose(evaluator.features(positions), expected, atol=1e-6)


def untrained(**changes):
    """Return a model with random weights that differs from the shipped one in more than size."""
    settings = {
        "num_bessel": 8,
        "interaction_cls_first": RealAgnosticInteractionBlock,
        "hidden_irreps": Irreps("16x0e"),
        "MLP_irreps": Irreps("8x0e"),
        "atomic_energies": np.array([-13.0, -150.0, -430.0, -90.0]),
        "atomic_inter_scale": 1.7,
        "atomic_inter_shift": 0.3,
        "radial_MLP": None,
    }
    return network([1, 6, 8, 30], **{**settings, **changes})


def through_mace_torch(model, cluster, positions):
    import torch
    from mace import data
    from mace.tools import AtomicNumberTable
    from mace.tools.torch_geometric import Batch

    atoms = cluster.to_ase()
    atoms.positions = positions
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        table = AtomicNumberTable([int(z) for z in model.atomic_numbers])
        graph = data.AtomicData.from_config(
            data.config_from_atoms(atoms), z_table=table, cutoff=float(model.r_max), heads=["Default"]
        )
        out = model(Batch.from_data_list([graph]).to_dict())
    finally:
        torch.set_default_dtype(before)
    return out["energy"].item(), out["forces"].detach().numpy()


@pytest.mark.parametrize(
    "changes",
    [
        {"pair_repulsion": True},
        {"max_ell": 3, "correlation": 3},
        {"max_ell": 1, "correlation": 1, "num_interactions": 3},
        {"residual_first": True, "distance": 4.0},
    ],
    ids=["repulsion", "degree 3, correlation 3", "three layers", "residual first layer"],
)
def test_other_networks_are_evaluated_as_by_mace_torch(changes):
    if changes.pop("residual_first", False):
        changes["interaction_cls_first"] = RealAgnosticResidualInteractionBlock
        changes["r_max"] = changes.pop("distance")
    other, cluster = untrained(**changes), precursor("Zn2+")
    positions = cluster.positions + np.random.default_rng(8).normal(scale=0.1, size=cluster.positions.shape)
    expected_energy, expected_forces = through_mace_torch(other, cluster, positions)
    energies, forces = lean(other, [cluster.numbers])(positions)
    assert np.abs(expected_forces).max() > 0.01
    assert energies[0] == pytest.approx(expected_energy, abs=1e-6)
    np.testing.assert_allclose(forces, expected_forces, atol=1e-6)


def test_networks_with_vectors_are_left_to_mace_torch():
    with pytest.raises(UnsupportedModelError, match="not scalars"):
        tables(untrained(hidden_irreps=Irreps("8x0e+8x1o")))


def test_several_clusters_in_one_call_do_not_feel_each_other(model, cluster):
    others = [cluster, precursor("Zn2+"), precursor("In3+")]
    together = lean(model, [c.numbers for c in others], "float64")
    energies, forces = together(np.concatenate([c.positions for c in others]))
    start = 0
    for n, other in enumerate(others):
        energy, force = lean(model, [other.numbers])(other.positions)
        assert energies[n] == pytest.approx(energy[0], abs=1e-8)
        np.testing.assert_allclose(forces[start : start + len(other)], force, atol=1e-8)
        start += len(other)


def test_energy_does_not_depend_on_orientation_place_or_order(model, cluster):
    order = np.random.default_rng(1).permutation(len(cluster))
    turn = Rotation.random(random_state=2).as_matrix()
    energy, forces = lean(model, [cluster.numbers])(cluster.positions)
    moved = (cluster.positions @ turn.T + 7.0)[order]
    there, forces_there = lean(model, [cluster.numbers[order]])(moved)
    assert there[0] == pytest.approx(energy[0], abs=1e-6)
    np.testing.assert_allclose(forces_there, (forces @ turn.T)[order], atol=1e-6)


def test_forces_are_the_gradient_of_the_energy(model, cluster):
    evaluator = lean(model, [cluster.numbers], "float64")
    forces = evaluator(cluster.positions)[1]
    direction = np.random.default_rng(5).normal(size=forces.shape)
    step = 1e-4
    plus, minus = (evaluator(cluster.positions + sign * step * direction)[0][0] for sign in (1, -1))
    assert (plus - minus) / (2 * step) == pytest.approx(-(forces * direction).sum(), abs=1e-4)


def test_the_anchor_makes_a_second_evaluator_repeat_the_digits(model, cluster):
    first, second = (LeanSurface(lean(model, [cluster.numbers], "float32")) for _ in range(2))
    moved = cluster.positions + np.random.default_rng(6).normal(scale=0.02, size=cluster.positions.shape)
    first(cluster.positions)
    second.anchor = first.anchor
    np.testing.assert_array_equal(first.anchor, cluster.positions)
    assert first(moved)[0] == second(moved)[0]
    np.testing.assert_array_equal(first(moved)[1], second(moved)[1])


@pytest.mark.parametrize("block_slots", [10**9, 200, 1], ids=["one block", "some blocks", "a block a row"])
def test_neighbours_are_all_pairs_within_cutoff_and_skin(cluster, block_slots):
    positions = cluster.positions
    found = neighbours(positions, 5.0, SKIN, near=2.1, block_slots=block_slots)
    distance = np.linalg.norm(positions[:, None] - positions, axis=2)
    expected = {(i, j) for i, j in np.argwhere(distance < 5.0 + SKIN) if i < j}
    assert {tuple(pair) for pair in found.pairs} == expected
    assert len(found.pairs) == len(expected)
    is_near = distance[tuple(found.pairs.T)] < 2.1
    assert 0 < found.n_near == is_near[: found.n_near].sum() == is_near.sum() < len(is_near)
    atom = np.concatenate([np.repeat(found.atoms[block.rows], block.width) for block in found.blocks])
    np.testing.assert_array_equal(atom[found.slots], found.pairs)
    np.testing.assert_array_equal(found.neighbour[found.slots], found.pairs[:, ::-1])
    np.testing.assert_array_equal(found.pair[found.slots.T], np.arange(len(found.pairs))[None].repeat(2, 0))
    assert (found.pair < len(found.pairs)).sum() == 2 * len(found.pairs)
    assert sorted(found.atoms) == list(range(len(cluster)))
    sizes = [block.slots.stop - block.slots.start for block in found.blocks]
    assert sizes == [np.prod(block.shape) for block in found.blocks]
    assert max(sizes) <= max(block_slots, found.blocks[-1].width)
    nudged = positions.copy()
    nudged[0, 0] += 0.4 * SKIN
    assert found.are_valid(nudged)
    nudged[0, 0] += 0.2 * SKIN
    assert not found.are_valid(nudged)


def test_atoms_without_neighbours_have_the_energy_of_a_single_one(model):
    hydrogen = np.array([1])
    (one,), forces = lean(model, [hydrogen])(np.zeros((1, 3)))
    np.testing.assert_array_equal(forces, np.zeros((1, 3)))
    (two,), forces = lean(model, [np.repeat(hydrogen, 2)])(np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]]))
    assert two == pytest.approx(2 * one, abs=1e-9)
    np.testing.assert_array_equal(forces, np.zeros((2, 3)))


def test_blocks_change_no_number(model, cluster, monkeypatch):
    whole = lean(model, [cluster.numbers])
    energy, forces = whole(cluster.positions)
    monkeypatch.setattr(mace_slots, "BLOCK_BYTES", 100_000)
    parts = lean(model, [cluster.numbers])
    same_energy, same_forces = parts(cluster.positions)
    assert len(parts._slots.listed.blocks) > len(whole._slots.listed.blocks)
    assert same_energy == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(same_forces, forces, atol=1e-9)


def test_pairs_that_become_near_and_far_stay_right(model):
    """Radial functions of near and of far pairs agree where a pair changes from one to the other."""
    zinc = precursor("Zn2+")
    bond = int(np.argmin(np.abs(np.linalg.norm(zinc.positions[1:] - zinc.positions[0], axis=1) - 2.1))) + 1
    axis = zinc.positions[bond] - zinc.positions[0]
    axis /= np.linalg.norm(axis)
    evaluator = lean(model, [zinc.numbers])
    for start in (2.05, 2.15):
        for change in (-0.19, 0.0, 0.19):
            listed, moved = zinc.positions.copy(), zinc.positions.copy()
            listed[bond], moved[bond] = listed[0] + start * axis, moved[0] + (start + change) * axis
            evaluator.list_neighbours(listed)
            energy, forces = evaluator(moved)
            expected_energy, expected_forces = reference(zinc, moved)
            assert energy[0] == pytest.approx(expected_energy, abs=1e-6)
            np.testing.assert_allclose(forces, expected_forces, atol=1e-6)


def test_slopes_of_monomials_are_their_derivatives():
    unit = np.random.default_rng(7).normal(size=(5, 3))
    step = 1e-6
    for axis, slope in enumerate(monomial_slopes(4)):
        shift = step * np.eye(3)[axis]
        difference = (evaluate_monomials(unit + shift, 4) - evaluate_monomials(unit - shift, 4)) / (2 * step)
        np.testing.assert_allclose(evaluate_monomials(unit, 4) @ slope, difference, atol=1e-6)
