"""A relaxation ends in a minimum of its level and says what happened on the way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mscflow.builder import build, precursor
from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.levels import MACE, XTB, parse_level
from mscflow.levels.potentials.domain import Domain, domain_file
from mscflow.levels.potentials.registry import shipped_models
from mscflow.tasks.relax import Relaxation, bond_changes, fixed_atoms, new_core_bonds, outside, relax
from mscflow.topology import topology

LEVELS = ["gfn2-xtb", "mace:msc-small"]


@pytest.mark.parametrize("level", LEVELS)
def test_relaxed_precursors_are_minima(level):
    start = precursor("In3+")
    result = relax(start, level, fmax=0.02)
    assert result.converged
    assert result.max_force < 0.02
    assert result.energy < result.energies[0]
    assert not result.warnings
    displaced = result.cluster.replace(
        positions=result.cluster.positions + np.random.default_rng(0).normal(scale=0.02, size=(13, 3))
    )
    atoms = displaced.to_ase()
    atoms.calc = result.level.calculator(displaced)
    assert atoms.get_potential_energy() > result.energy


@pytest.mark.parametrize("level", LEVELS)
def test_forces_are_the_gradient_of_the_energy(level):
    cluster = precursor("Zn2+")
    atoms = cluster.to_ase()
    atoms.calc = parse_level(level).calculator(cluster)
    forces = atoms.get_forces()
    step = 1e-3
    for atom, axis in ((0, 0), (1, 2), (3, 1)):
        energies = []
        for sign in (1, -1):
            atoms.positions = cluster.positions
            atoms.positions[atom, axis] += sign * step
            energies.append(atoms.get_potential_energy())
        assert forces[atom, axis] == pytest.approx((energies[1] - energies[0]) / (2 * step), abs=2e-3)


def test_the_grid_of_a_density_functional_moves_no_molecule():
    level = "pbe/def2-svp[grid=0]"
    bond = 0.98  # Å, too long a bond
    water = Cluster(("O", "H", "H"), np.array([[0, 0, 0], [bond, 0, 0], [-0.25 * bond, 0.97 * bond, 0]]))
    atoms = water.to_ase()
    atoms.calc = parse_level(level).calculator(water)
    assert np.abs(atoms.get_forces().sum(axis=0)).max() > 1e-3
    relaxed = relax(water, level, fmax=0.02)
    assert relaxed.converged
    moved = relaxed.cluster.positions - water.positions
    assert np.abs(moved).max() > 0.005
    assert np.abs(moved.mean(axis=0)).max() < 1e-4


def test_energy_does_not_depend_on_orientation_or_order():
    cluster = build("In4P")
    level = MACE()
    order = np.random.default_rng(1).permutation(len(cluster))
    turned = cluster.replace(positions=cluster.positions @ Rotation.random(random_state=2).as_matrix())
    energies = []
    for c in (cluster, turned.select(order)):
        atoms = c.to_ase()
        atoms.calc = level.calculator(c)
        energies.append(atoms.get_potential_energy())
    assert energies[0] == pytest.approx(energies[1], abs=1e-6)


def test_charge_and_multiplicity_reach_the_calculator():
    cluster = precursor("Zn2+")
    cation = cluster.replace(charge=1, multiplicity=2)
    energies = []
    for c in (cluster, cation):
        atoms = c.to_ase()
        atoms.calc = XTB().calculator(c)
        energies.append(atoms.get_potential_energy())
    assert energies[1] - energies[0] > 5.0  # an ionisation energy / eV


def test_the_shipped_model_agrees_with_its_teacher_on_in4p():
    start = build("In4P")
    teacher = relax(start, shipped_models()["msc-small"].teacher, fmax=0.05)
    student = relax(teacher.cluster, "mace:msc-small", fmax=0.05)
    graph = topology(teacher.cluster)
    assert not bond_changes(start, teacher.cluster)
    assert not bond_changes(teacher.cluster, student.cluster)
    phosphorus = graph.core_anions[0]
    assert graph.graph.degree(phosphorus) == 4
    for metal in graph.metals:
        bonds = [
            np.linalg.norm(c.positions[metal] - c.positions[phosphorus])
            for c in (teacher.cluster, student.cluster)
        ]
        assert bonds[0] == pytest.approx(bonds[1], abs=0.05)


def test_an_unfinished_relaxation_says_so():
    result = relax(build("In4P"), "gfn2-xtb", max_steps=2)
    assert not result.converged
    assert "not converged" in result.warnings[0]


def test_broken_bonds_and_lost_ligands_are_noticed():
    cluster = build("In4P")
    apart = cluster.positions.copy()
    apart[1] += 3.0 * apart[1] / np.linalg.norm(apart[1])
    assert "core bonds broken: P0–In1" in bond_changes(cluster, cluster.replace(positions=apart))[0]
    gone = cluster.positions.copy()
    gone[-4:] += 8.0 * gone[-2] / np.linalg.norm(gone[-2])
    assert bond_changes(cluster, cluster.replace(positions=gone)) == ["1 ligand(s) left the cluster"]


def test_bonds_that_only_the_relaxed_core_has_are_named():
    cluster = fragment("In7P2", "formate")
    graph = topology(cluster)
    assert new_core_bonds(graph, graph) == []
    phosphide = graph.core_anions[0]
    free = [i for i in graph.metals if frozenset((i, phosphide)) not in graph.core_bonds]
    near = min(free, key=lambda i: np.linalg.norm(cluster.positions[i] - cluster.positions[phosphide]))
    closed = cluster.positions.copy()
    towards = closed[near] - closed[phosphide]
    closed[near] = closed[phosphide] + 2.75 * towards / np.linalg.norm(towards)
    name = f"In{near}–P{phosphide}"
    assert new_core_bonds(graph, topology(cluster.replace(positions=closed))) == [
        f"core bonds formed: {name} (2.75 Å)"
    ]


@pytest.mark.parametrize("scale", [0.75, 0.85, 1.2, 1.5])
def test_the_shipped_model_names_what_it_never_saw(scale):
    cluster, level = build("In4P"), MACE()
    torn = cluster.replace(positions=scale * cluster.positions)
    found = level.extrapolation(torn)
    assert found.max() > 1
    assert "outside of what" in outside(torn, level, found)[0]
    assert outside(cluster, level, level.extrapolation(cluster)) == []


def test_elements_without_a_domain_are_named_and_the_document_can_be_read_back(tmp_path):
    shipped = shipped_models()["msc-small"].path
    model = Path(shutil.copy(shipped, tmp_path / "few-zinc.model"))
    known = Domain.load(domain_file(shipped)).elements
    Domain({s: domain for s, domain in known.items() if s != "Zn"}).save(domain_file(model))
    result = relax(precursor("Zn2+"), MACE(model=str(model)).trusting(), fmax=0.1)
    assert "too few training atoms of Zn to judge by" in result.warnings[0]
    again = Relaxation.model_validate_json(result.model_dump_json())
    assert again.extrapolation == result.extrapolation
    assert np.isfinite(json.loads(result.model_dump_json())["extrapolation"]).all()


def test_a_resumed_relaxation_is_the_uninterrupted_one(tmp_path):
    start, state = build("In4P"), tmp_path / "state.npz"
    whole = relax(start, fmax=0.05, n_frames=8)
    for max_steps in (20, 45):
        part = relax(start, fmax=0.05, max_steps=max_steps, state_file=state, n_frames=8)
        assert not part.converged
    resumed = relax(start, fmax=0.05, state_file=state, n_frames=8)
    assert resumed.model_dump(exclude={"wall_time_s"}) == whole.model_dump(exclude={"wall_time_s"})
    again = relax(start, fmax=0.05, state_file=state)
    assert again.energies == whole.energies  # nothing is left to do
    with pytest.raises(InputError, match="belongs to another relaxation"):
        relax(start, fmax=0.05, fixed=[0], state_file=state)


def test_the_way_of_a_relaxation_leads_from_start_to_end():
    start = build("ZnL2")
    result = relax(start, fmax=0.05, n_frames=5)
    assert 2 <= len(result.trajectory) <= 5
    np.testing.assert_allclose(result.trajectory[0], start.positions, atol=5e-4)
    np.testing.assert_allclose(result.trajectory[-1], result.cluster.positions, atol=5e-4)
    assert relax(start, fmax=0.05).trajectory == []


def test_fixed_atoms_stay_and_the_others_relax():
    start = build("In4P")
    fixed = [i for i, symbol in enumerate(start.symbols) if symbol in ("In", "P")]
    result = relax(start, fmax=0.05, fixed=fixed)
    assert result.converged
    assert result.fixed == fixed
    np.testing.assert_array_equal(result.cluster.positions[fixed], start.positions[fixed])
    atoms = result.cluster.to_ase()
    atoms.calc = MACE().calculator(result.cluster)
    largest = np.linalg.norm(atoms.get_forces(), axis=1)
    assert np.delete(largest, fixed).max() < 0.05
    assert largest[fixed].max() > 0.05  # what holds them is felt
    assert result.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


def test_the_core_can_be_fixed():
    start = build("In4P")
    graph = topology(start)
    assert fixed_atoms(start, "core") == list(graph.core_anions)
    with pytest.raises(InputError, match="no core to fix"):
        fixed_atoms(precursor("Zn2+"), "core")


@pytest.mark.parametrize(
    ("fixed", "message"),
    [([99], "fixed atom 99 does not exist"), (range(9), "all 9 atoms are fixed"), ("shell", "or 'core'")],
)
def test_fixed_atoms_must_exist_and_leave_some_free(fixed, message):
    with pytest.raises(InputError, match=message):
        fixed_atoms(precursor("Zn2+"), fixed)


@pytest.mark.parametrize("fmax", [0.0, -1.0, float("nan")])
def test_a_threshold_must_be_positive(fmax):
    with pytest.raises(InputError, match="fmax must be positive"):
        relax(precursor("Zn2+"), "gfn2-xtb", fmax=fmax)


def test_the_same_input_gives_the_same_document():
    first, second = (relax(precursor("Zn2+"), "gfn2-xtb") for _ in range(2))
    assert first.model_dump(exclude={"wall_time_s"}) == second.model_dump(exclude={"wall_time_s"})
