"""The model Hessian knows what moves freely, what is stiff, and nothing about where the molecule lies."""

import numpy as np
import pytest
from ase.build import molecule
from ase.data import atomic_numbers, covalent_radii
from scipy.spatial.transform import Rotation

from mscflow.builder import build, precursor
from mscflow.optimize import model_hessian as module
from mscflow.optimize.model_hessian import ForceConstants, model_hessian

REST = ForceConstants().rest


@pytest.fixture(scope="module")
def cluster():
    return build("In4P")


def test_shifts_and_turns_of_the_whole_cost_no_more_than_the_rest(cluster):
    hessian = model_hessian(cluster.positions, cluster.numbers)
    for axis in np.eye(3):
        for motion in (np.tile(axis, (len(cluster), 1)), np.cross(axis, cluster.positions)):
            np.testing.assert_allclose(hessian @ motion.ravel(), REST * motion.ravel(), atol=1e-9)


def test_it_is_symmetric_and_positive_definite(cluster):
    hessian = model_hessian(cluster.positions, cluster.numbers)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)
    assert np.linalg.eigvalsh(hessian)[0] > 0.99 * REST


def test_it_turns_and_permutes_with_the_cluster(cluster):
    turn = Rotation.random(random_state=1).as_matrix()
    order = np.random.default_rng(2).permutation(len(cluster))
    there = model_hessian((cluster.positions @ turn.T)[order], cluster.numbers[order])
    here = model_hessian(cluster.positions, cluster.numbers).reshape(len(cluster), 3, -1, 3)
    moved = np.einsum("ai,minj,bj->manb", turn, here[order][:, :, order], turn)
    np.testing.assert_allclose(there, moved.reshape(there.shape), atol=1e-8)


@pytest.mark.parametrize("kind", ["_stretches", "_bends", "_torsions"])
def test_rows_are_derivatives_of_internal_coordinates(cluster, kind):
    """Against differences of ASE's distances, angles and dihedrals."""
    constants = ForceConstants()
    edges = module._edges(cluster.positions, cluster.numbers, constants)
    terms = (edges, module._angles(edges, constants)) if kind == "_bends" else (edges,)
    atoms, derivatives, strengths = getattr(module, kind)(*terms, constants)
    assert len(atoms) > 50
    assert (strengths > 0).all()
    direction = np.random.default_rng(3).normal(size=cluster.positions.shape)
    step = 1e-5
    plus, minus = (cluster.to_ase() for _ in range(2))
    plus.positions += step * direction
    minus.positions -= step * direction
    measure = {2: "get_distance", 3: "get_angle", 4: "get_dihedral"}[atoms.shape[1]]
    unit = 1.0 if measure == "get_distance" else np.pi / 180
    bent = 0
    for row in range(0, len(atoms), max(1, len(atoms) // 40)):
        change = (getattr(plus, measure)(*atoms[row]) - getattr(minus, measure)(*atoms[row])) * unit
        change = (change + np.pi) % (2 * np.pi) - np.pi
        angle = cluster.to_ase().get_angle(*atoms[row][:3]) if atoms.shape[1] == 3 else 90.0
        if 15 < angle < 165:  # the derivative of a straight angle is damped
            bent += 1
            expected = (derivatives[row] * direction[atoms[row]]).sum()
            assert change / (2 * step) == pytest.approx(expected, abs=1e-5, rel=1e-5)
    assert bent > 10


def test_dense_and_sparse_are_the_same(cluster, monkeypatch):
    dense = model_hessian(cluster.positions, cluster.numbers)
    monkeypatch.setattr(module, "DENSE", 0)
    sparse = model_hessian(cluster.positions, cluster.numbers)
    assert sparse.nnz < dense.size
    np.testing.assert_allclose(sparse.toarray(), dense, atol=1e-10)


def test_bonds_are_stiffer_than_what_is_far_apart():
    acid = precursor("Zn2+")
    hessian = model_hessian(acid.positions, acid.numbers).reshape(len(acid), 3, len(acid), 3)
    carbon = acid.symbols.index("C")
    distance = np.linalg.norm(acid.positions - acid.positions[carbon], axis=1)
    coupling = np.linalg.norm(hessian[carbon], axis=(0, 2))
    bonded, far = np.argsort(distance)[1], np.argmax(distance)
    assert 20 < coupling[bonded] < 100  # C–H and C–O bonds: some 30 to 80 eV/Å²
    assert coupling[far] < 0.01 * coupling[bonded]


def test_bonds_to_metals_are_softer_than_others():
    """At the sum of the covalent radii, where both are full bonds; angles at full bonds, too."""
    constants = ForceConstants()

    def stretch(one, two):
        numbers = [atomic_numbers[one], atomic_numbers[two]]
        positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, covalent_radii[numbers].sum()]])
        return model_hessian(positions, np.array(numbers))[2, 2] - REST

    def bend(middle, ends):
        numbers = [atomic_numbers[symbol] for symbol in (middle, ends, ends)]
        length = covalent_radii[numbers[:2]].sum()
        positions = length * np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        out_of_line = model_hessian(positions, np.array(numbers))[4, 4] - REST
        return out_of_line * length**2

    assert stretch("In", "P") == pytest.approx(constants.metal_stretch * stretch("C", "O"))
    assert stretch("O", "Zn") == pytest.approx(constants.metal_stretch * stretch("C", "O"))
    assert bend("In", "O") == pytest.approx(constants.metal_bend * bend("C", "O"))


def test_molecules_without_torsions_or_bonds_have_one_too():
    for name in ("H2O", "H2", "H"):
        atoms = molecule(name)
        values = np.linalg.eigvalsh(model_hessian(atoms.positions, atoms.numbers))
        assert values.min() > 0
