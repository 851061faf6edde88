"""Motions of a molecule as a whole are found, and do not happen."""

import numpy as np
import pytest
from ase.build import molecule

from mscflow.builder import precursor
from mscflow.levels import PySCF
from mscflow.levels.dft.calculator import PySCFCalculator
from mscflow.levels.surface import CalculatorSurface
from mscflow.optimize.rigid import InternalSurface, rigid_motions
from mscflow.tasks.refine import refine

START = precursor("Zn2+")
ZINC = START.replace(
    positions=START.positions + np.random.default_rng(0).normal(scale=0.05, size=START.positions.shape)
)
"""Without symmetry, so that the grid leaves a net force and a torque."""


@pytest.mark.parametrize(("name", "number"), [("H", 3), ("N2", 5), ("CO2", 5), ("CH3OH", 6)])
def test_motions_of_the_whole_change_no_distance(name, number):
    atoms = molecule(name)
    atoms.positions += 7.0
    for masses in (None, atoms.get_masses()):
        motions = rigid_motions(atoms.positions, masses)
        np.testing.assert_allclose(motions.T @ motions, np.eye(number), atol=1e-10)
        root = 1.0 if masses is None else np.sqrt(masses)[:, None]
        before = atoms.get_all_distances()
        for motion in motions.T:
            moved = atoms.copy()
            moved.positions += 1e-4 * motion.reshape(-1, 3) / root
            np.testing.assert_allclose(moved.get_all_distances(), before, atol=1e-8)


def test_forces_within_the_molecule_have_no_net_force_and_no_torque():
    surface = CalculatorSurface(ZINC, PySCFCalculator(ZINC, PySCF(grid=0)))
    energy, forces = InternalSurface(surface)(ZINC.positions)
    whole_energy, whole = surface(ZINC.positions)
    assert energy == whole_energy
    assert np.abs(whole.sum(axis=0)).max() > 0.1  # what the grid leaves
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(np.cross(ZINC.positions, forces).sum(axis=0), 0.0, atol=1e-10)
    motions = rigid_motions(ZINC.positions)
    within = np.eye(whole.size) - motions @ motions.T
    np.testing.assert_allclose(forces.ravel(), within @ whole.ravel(), atol=1e-12)


@pytest.mark.parametrize("hessian", ["mace:msc-small", None])
def test_a_refined_molecule_does_not_turn(hessian):
    refined = refine(ZINC, PySCF(grid=0), n_steps=2, hessian=hessian).cluster
    moved = (refined.positions - ZINC.positions).ravel()
    whole = rigid_motions(ZINC.positions).T @ moved
    assert np.linalg.norm(whole) < 0.01 * np.linalg.norm(moved)
