"""Pair potentials: forces are derivatives, the end is smooth, a fit finds what was put in."""

import numpy as np
import pytest
from ase import Atoms

from mscflow.levels.potentials.pair_potential import PairCalculator, PairPotential, SplineBasis
from mscflow.train.pairs import Lack, Weights, fit_pairs, left_out, remaining

BASIS = SplineBasis(first=1.0, last=4.0, size=12)
ELEMENTS = (8, 15, 49)


def some_potential(seed=0):
    rng = np.random.default_rng(seed)
    return PairPotential(BASIS, ELEMENTS, rng.normal(size=(6, BASIS.size)))


def some_atoms(seed, n=8):
    rng = np.random.default_rng(seed)
    return Atoms(rng.choice([8, 15, 49], size=n), positions=rng.uniform(0, 3.5, size=(n, 3)))


def test_forces_are_the_derivative_of_the_energy():
    atoms = some_atoms(1)
    atoms.calc = PairCalculator(some_potential())
    forces = atoms.get_forces()
    step = 1e-5
    for i, x in ((0, 0), (3, 1), (7, 2)):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[i, x] += sign * step
            moved.calc = PairCalculator(some_potential())
            energies.append(moved.get_potential_energy())
        assert forces[i, x] == pytest.approx((energies[1] - energies[0]) / (2 * step), abs=1e-6)


def test_the_end_is_smooth_and_the_beginning_goes_on_as_a_line():
    potential = some_potential()

    def energy(distance):
        return potential.energy_and_forces(np.array([8, 49]), np.array([[0, 0, 0], [distance, 0, 0]]))[0]

    assert energy(4.1) == 0
    assert abs(energy(3.999)) < 1e-6
    assert energy(0.5) - energy(0.6) == pytest.approx(energy(0.6) - energy(0.7))


def test_elements_without_potential_do_not_count():
    potential = some_potential()
    positions = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]])
    energy, forces = potential.energy_and_forces(np.array([8, 49, 1]), positions)
    assert energy == potential.energy_and_forces(np.array([8, 49]), positions[:2])[0]
    assert not forces[2].any()


def test_a_file_keeps_the_potential(tmp_path):
    potential = some_potential()
    potential.save(tmp_path / "pairs.npz")
    found = PairPotential.load(tmp_path / "pairs.npz")
    assert found.basis == potential.basis
    assert found.pairs == potential.pairs
    np.testing.assert_array_equal(found.coefficients, potential.coefficients)


def test_a_fit_finds_the_potential_that_made_the_data():
    truth = some_potential(3)
    lacks = []
    for seed in range(40):
        frame = some_atoms(seed)
        frame.info["config_type"] = f"family {seed % 8}"
        energy, forces = truth.energy_and_forces(frame.numbers, frame.positions)
        offset = 0.3 * np.count_nonzero(frame.numbers == 8)
        lacks.append(Lack(frame, energy + offset, forces, size=1.0))
    left = left_out(lacks, BASIS, Weights(energy=1.0, curvature=1e-5, value=1e-5))
    before, after = (np.abs(np.concatenate([i.forces for i in items])).mean() for items in (lacks, left))
    assert len(left) == len(lacks)
    assert after < 0.01 * before
    fitted = fit_pairs(lacks, BASIS, Weights(energy=1.0, curvature=1e-5, value=1e-5))
    distances = np.linspace(1.3, 3.5, 20)
    found, expected = (BASIS(distances)[0] @ p.coefficients[p.pairs.index((8, 49))] for p in (fitted, truth))
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_of_cores_in_another_basis_neither_light_atoms_nor_the_zero_of_the_energy_count():
    truth = some_potential(3)
    lacks = []
    for seed in range(40):
        frame = some_atoms(seed)
        frame.info["config_type"] = "core"
        energy, forces = truth.energy_and_forces(frame.numbers, frame.positions)
        light = frame.numbers < 15
        forces[light] += 1.0
        lacks.append(Lack(frame, energy - 1000.0, forces, size=seed % 3, core_only=True))
        assert not lacks[-1].counted[light].any()
    fitted = fit_pairs(lacks, BASIS, Weights(energy=1.0, curvature=1e-5, value=1e-5))
    left = [remaining(item, fitted) for item in lacks]
    assert max(np.abs(item.forces[item.counted]).max() for item in left) < 0.02
    energies = np.array([item.energy for item in left])
    assert np.ptp(energies) < 0.05
