"""Vibrations: known molecules and limits, ASE beside us, saddle points, what moves."""

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.morse import MorsePotential
from ase.vibrations import Vibrations as AseVibrations
from scipy.spatial.transform import Rotation

from mscflow.analysis.modes import normal_modes
from mscflow.builder import precursor
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.levels import XTB, PySCF
from mscflow.levels.corrected import CorrectedXTB
from mscflow.levels.hessian import DISPLACEMENT, XTB_ACCURACY, hessian
from mscflow.tasks.refine import refine
from mscflow.tasks.relax import relax
from mscflow.tasks.vibrate import Vibrations, vibrate


def relaxed(name, level="gfn2-xtb", fmax=0.001):
    return relax(Cluster.from_ase(molecule(name)), level, fmax=fmax).cluster


@pytest.fixture(scope="module")
def water():
    return vibrate(relaxed("H2O"), "gfn2-xtb")


@pytest.fixture(scope="module")
def carbon_dioxide():
    return vibrate(relaxed("CO2"), "gfn2-xtb")


def test_water_is_sane(water):
    """Experiment (harmonic): 1649, 3832, 3943 cm⁻¹; GFN2-xTB is known to be a few per cent low."""
    assert water.is_minimum
    assert not water.is_linear
    assert water.frequencies == pytest.approx([1649, 3832, 3943], rel=0.1)
    assert [mode.description for mode in water.modes] == [
        "H bending or torsion",
        "O–H stretching",
        "O–H stretching",
    ]
    assert water.zero_point_energy == pytest.approx(water.frequencies.sum() / 2 / 8065.544, rel=1e-6)
    assert all(1.0 < mode.reduced_mass < 1.2 for mode in water.modes)


def test_carbon_dioxide_is_linear_with_one_pair_of_bends(carbon_dioxide):
    """Experiment (harmonic): 673 (twice), 1354, 2397 cm⁻¹."""
    assert carbon_dioxide.is_linear
    assert len(carbon_dioxide.modes) == 4
    bend, same_bend, symmetric, asymmetric = carbon_dioxide.modes
    assert bend.frequency == pytest.approx(same_bend.frequency, abs=0.5)
    assert carbon_dioxide.frequencies == pytest.approx([673, 673, 1354, 2397], rel=0.12)
    assert symmetric.reduced_mass == pytest.approx(15.999, abs=1e-3)
    assert symmetric.elements["O"] == pytest.approx(1.0, abs=1e-6)
    assert symmetric.stretching["C–O"] == pytest.approx(1.0, abs=1e-6)
    assert bend.stretching["C–O"] == pytest.approx(0.0, abs=1e-6)
    assert symmetric.intensity < 0.1 < 20 < bend.intensity < asymmetric.intensity


@pytest.mark.parametrize("name", ["H2O", "CH3OH"])
def test_agreement_with_ase_on_the_same_level(name, tmp_path):
    cluster = relaxed(name)
    atoms = cluster.to_ase()
    atoms.calc = XTB().calculator(cluster)
    atoms.calc.set(accuracy=XTB_ACCURACY)
    theirs = AseVibrations(atoms, name=str(tmp_path / "vib"), delta=DISPLACEMENT)
    theirs.run()
    frequencies = theirs.get_frequencies().real[6:]
    ours = vibrate(cluster, "gfn2-xtb")
    # ASE leaves translations and rotations in: they mix a little into the softest modes.
    assert ours.frequencies == pytest.approx(frequencies, abs=1.5)
    assert ours.zero_point_energy == pytest.approx(frequencies.sum() / 2 / 8065.544, abs=5e-4)


def test_dipole_derivatives_give_the_intensities_of_ase(water, tmp_path):
    from ase.vibrations import Infrared

    atoms = water.cluster.to_ase()
    atoms.calc = XTB().calculator(water.cluster)
    atoms.calc.set(accuracy=XTB_ACCURACY)
    theirs = Infrared(atoms, name=str(tmp_path / "ir"), delta=DISPLACEMENT)
    theirs.run()
    theirs.read()
    expected = theirs.intensities[6:] * 42.255  # (D/Å)²/amu → km/mol
    assert [mode.intensity for mode in water.modes] == pytest.approx(expected, rel=0.02)


def test_pair_potentials_take_the_accuracy_and_the_dipole_of_tight_binding():
    cluster = relaxed("CO2", fmax=0.01)
    plain, corrected = (hessian(cluster, level) for level in (XTB(), CorrectedXTB()))
    assert corrected.asymmetry < 3 * plain.asymmetry < 0.01
    assert np.abs(corrected.hessian - plain.hessian).max() > 0.1
    np.testing.assert_allclose(corrected.dipole_derivatives, plain.dipole_derivatives, atol=1e-4)


def test_density_functional_forces_are_accurate_enough_for_differences():
    """Harmonic PBE, large basis: 1594, 3702, 3806 cm⁻¹; the grid alone leaves an asymmetry of 0.006 eV/Å²."""
    level = PySCF()
    found = vibrate(refine(Cluster.from_ase(molecule("H2O")), level, n_steps=15, fmax=0.01).cluster, level)
    assert found.is_minimum
    assert found.frequencies == pytest.approx([1594, 3702, 3806], rel=0.015)
    assert found.asymmetry < 0.008


def test_where_no_bond_is_known_nothing_bends():
    (mode,) = vibrate(relaxed("H2"), "gfn2-xtb").modes
    assert mode.stretching == {}
    assert mode.description == "motion of H"


def test_a_diatomic_is_an_oscillator_of_its_reduced_mass():
    """A Morse well has the force constant 2εa², with a = ρ0/r0."""
    epsilon, rho0, r0 = 4.0, 3.0, 1.2
    well = MorsePotential(epsilon=epsilon, rho0=rho0, r0=r0, rcut1=20.0, rcut2=30.0)
    cluster = Cluster(("H", "Cl"), [[0, 0, 0], [0, 0, r0]])
    atoms = cluster.to_ase()
    atoms.calc = well
    matrix = np.empty((6, 6))
    for row in range(6):
        for sign in (1, -1):
            atoms.positions = cluster.positions
            atoms.positions[divmod(row, 3)] += sign * 1e-4
            matrix[row] = (matrix[row] if sign == -1 else 0) - sign * atoms.get_forces().ravel() / 2e-4
    modes = normal_modes(cluster, matrix)
    constant = 2 * epsilon * (rho0 / r0) ** 2
    h, cl = 1.008, 35.45
    reduced = h * cl / (h + cl)
    assert modes.is_linear
    assert modes.frequencies == pytest.approx([np.sqrt(constant / reduced) * 521.471], rel=1e-4)
    # of a displacement of length one, not of a change of the bond by one
    assert modes.reduced_masses == pytest.approx([h * cl * (h + cl) / (h**2 + cl**2)], rel=1e-6)


@pytest.mark.parametrize(("name", "n_external"), [("H2O", 6), ("CO2", 5), ("C2H2", 5), ("CH4", 6)])
def test_translations_and_rotations_cost_nothing(name, n_external):
    """The whole mass-weighted Hessian has six (linear: five) modes near zero; we take out just these."""
    cluster = relaxed(name)
    second = hessian(cluster, XTB())
    modes = normal_modes(cluster, second.hessian)
    root = np.sqrt(np.repeat(modes.masses, 3))
    values = np.linalg.eigvalsh(second.hessian / np.outer(root, root))
    everything = np.sign(values) * np.sqrt(np.abs(values)) * 521.471
    near_zero = np.abs(everything) < 60
    assert near_zero.sum() == n_external
    assert len(modes.frequencies) == 3 * len(cluster) - n_external
    assert modes.residual == pytest.approx(np.abs(everything[near_zero]).max(), abs=2.0)
    assert modes.frequencies == pytest.approx(everything[~near_zero], abs=1.5)


def test_frequencies_do_not_depend_on_orientation_or_order(water):
    turned = water.cluster.positions @ Rotation.random(random_state=3).as_matrix() + [3.0, -2.0, 7.0]
    moved = water.cluster.replace(positions=turned).select([2, 0, 1])
    again = vibrate(moved, "gfn2-xtb")
    assert again.frequencies == pytest.approx(water.frequencies, abs=0.5)
    for one, other in zip(water.modes, again.modes, strict=True):
        assert one.intensity == pytest.approx(other.intensity, rel=0.02, abs=0.05)
        assert one.elements == pytest.approx(other.elements, abs=1e-3)


def test_planar_ammonia_is_a_saddle_point():
    planar = molecule("NH3")
    planar.positions[:, 2] = 0.0
    top = relax(Cluster.from_ase(planar), "gfn2-xtb", fmax=0.001).cluster
    assert np.ptp(top.positions[:, 2]) < 1e-6  # the relaxation keeps the mirror plane
    result = vibrate(top, "gfn2-xtb")
    assert result.n_imaginary == 1
    assert not result.is_minimum
    assert result.frequencies[0] < -100
    assert "1 imaginary mode(s)" in result.warnings[0]
    out_of_plane = np.abs(result.displacements[0][:, :2]).max()
    assert out_of_plane < 1e-3
    assert result.zero_point_energy == pytest.approx(
        result.frequencies[result.frequencies > 0].sum() / 2 / 8065.544, rel=1e-6
    )
    pyramid = vibrate(relaxed("NH3"), "gfn2-xtb")
    assert pyramid.is_minimum
    assert pyramid.energy < result.energy


def test_a_structure_that_is_not_relaxed_is_no_minimum():
    result = vibrate(Cluster.from_ase(molecule("H2O")), "gfn1-xtb")
    assert result.max_force > result.fmax
    assert not result.is_minimum
    assert "not a stationary point" in result.warnings[0]


@pytest.fixture(scope="module")
def indium_formate():
    cluster = relax(precursor("In3+"), "mace:msc-small", fmax=0.005).cluster
    return vibrate(cluster, "mace:msc-small")


def test_the_network_agrees_with_differences_of_its_forces(indium_formate):
    cluster, level = indium_formate.cluster, indium_formate.level
    exact = hessian(cluster, level)
    differences = hessian(cluster, level, "finite differences")
    assert exact.method == "analytic"
    assert exact.asymmetry < 1e-10
    assert np.abs(exact.hessian - differences.hessian).max() < 0.02 * np.abs(exact.hessian).max()
    both = [normal_modes(cluster, second.hessian).frequencies for second in (exact, differences)]
    assert both[0] == pytest.approx(both[1], abs=1.0)
    sums = exact.hessian.reshape(39, 13, 3).sum(axis=1)
    assert np.abs(sums).max() < 1e-8  # moving everything costs nothing


def test_formate_modes_are_named_by_what_moves(indium_formate):
    assert indium_formate.is_minimum
    assert len(indium_formate.modes) == 3 * 13 - 6
    top = indium_formate.modes[-3:]
    assert all(mode.description == "C–H stretching" and 2500 < mode.frequency < 3300 for mode in top)
    carboxylate = [m for m in indium_formate.modes if m.stretching["C–O"] > 0.5]
    assert len(carboxylate) == 6
    metal = [m for m in indium_formate.modes if m.stretching["In–O"] > 0.5]
    assert metal
    assert all(m.frequency < 700 for m in metal)
    assert all(sum(m.elements.values()) == pytest.approx(1.0) for m in indium_formate.modes)
    assert all(sum(m.roles.values()) == pytest.approx(1.0) for m in indium_formate.modes)
    assert indium_formate.intensities.startswith("none: mace:msc-small has no dipole")


def test_displacements_are_the_modes(indium_formate):
    """Along a mode the energy grows as half of μω² times the squared step."""
    from ase.units import invcm

    cluster = indium_formate.cluster
    atoms = cluster.to_ase()
    atoms.calc = indium_formate.level.calculator(cluster)
    step = 0.02
    mode, vector = indium_formate.modes[-1], indium_formate.displacements[-1]
    energies = []
    for sign in (1, -1):
        atoms.positions = cluster.positions + sign * step * vector
        energies.append(atoms.get_potential_energy() - indium_formate.energy)
    quantum = mode.frequency * invcm
    constant = mode.reduced_mass * quantum**2 / 0.0041801593  # ħ²/(amu Å²) / eV
    assert np.mean(energies) == pytest.approx(0.5 * constant * step**2, rel=0.02)


def test_documents_survive_json(water):
    copy = Vibrations.model_validate_json(water.model_dump_json())
    assert copy.displacements == pytest.approx(water.displacements)
    assert copy.model_dump(mode="json") == water.model_dump(mode="json")


def test_the_maker_keeps_displacements_in_the_data_store(tmp_path):
    from jobflow import run_locally

    from mscflow.jobs import VibrateMaker
    from mscflow.store import job_store

    store = job_store(tmp_path / "store.sqlite")
    work = VibrateMaker(level="gfn2-xtb").make(relaxed("CO2"))
    run_locally(work, store=store, ensure_success=True, root_dir=str(tmp_path))
    store.connect()
    stored = store.get_output(work.uuid, load=False)
    assert "blob_uuid" in stored["displacements"]
    light = Vibrations.model_validate({k: v for k, v in stored.items() if not k.startswith("@")})
    assert light.displacements is None
    assert light.is_linear
    loaded = store.get_output(work.uuid, load=True)
    assert np.shape(loaded["displacements"]) == (4, 3, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "analytic"}, "has no analytic Hessian"),
        ({"method": "guess"}, "unknown method 'guess'"),
        ({"displacement": 0.0}, "displacement must be between"),
        ({"fmax": -1.0}, "fmax must be positive"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        vibrate(Cluster.from_ase(molecule("H2O")), "gfn2-xtb", **settings)


def test_one_atom_has_no_vibrations():
    with pytest.raises(InputError, match="has no vibrations"):
        vibrate(Cluster(("He",), [[0, 0, 0]]), "gfn2-xtb")
