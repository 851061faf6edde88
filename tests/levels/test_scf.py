"""Ground states and gradients of our own code are those of PySCF."""

import numpy as np
import pytest
from ase.build import molecule
from ase.units import Hartree

from mscflow.builder import precursor
from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.levels import parse_level
from mscflow.levels.pyscf import PySCF

LEVEL = parse_level("pbe/def2-svp[grid=0]")
assert isinstance(LEVEL, PySCF)


def converged_energy(cluster: Cluster, level: PySCF, rung: str) -> float:
    """Return the energy of a closed shell / Eh by one rung alone."""
    from mscflow.levels.dft.guess import initial_density
    from mscflow.levels.dft.ladder import Watch, run
    from mscflow.levels.dft.mean_field import mean_field

    mf = mean_field(cluster, level).build()
    density, _ = initial_density(cluster, level, mf.mol)
    run(mf, density.sum(axis=0), 1e-8, rung, Watch(mf))
    assert mf.converged
    return float(mf.e_tot)


def test_every_rung_of_the_ladder_ends_in_the_same_energy():
    from mscflow.levels.dft.ladder import RUNGS

    cluster = fragment("Zn", "chloride")
    assert np.ptp([converged_energy(cluster, LEVEL, rung) for rung in RUNGS]) < 1e-6


@pytest.mark.parametrize(
    "text", ["pbe/gth-dzvp-molopt-sr[ke_cutoff=60]", "pbe0/def2-svp[grid=0,exchange=seminumerical]"]
)
def test_second_order_has_the_responses_of_other_routes(text):
    from mscflow.levels.dft.ladder import FADED, NEWTON

    level = parse_level(text)
    assert isinstance(level, PySCF)
    water = Cluster.from_ase(molecule("H2O"))
    assert np.ptp([converged_energy(water, level, rung) for rung in (FADED, NEWTON)]) < 1e-6


@pytest.mark.parametrize(("name", "limit", "cycles"), [("FADED_CYCLES", 5, 5), ("STRAYED", 0.5, 1)])
def test_second_order_goes_on_from_the_best_orbitals_of_a_rung_that_fails(monkeypatch, name, limit, cycles):
    from mscflow.levels.dft import ladder
    from mscflow.levels.dft.scf import ground_state

    cluster = precursor("Mn2+", "chloride")
    level = LEVEL.model_copy(update={"grid": 1})
    whole = ground_state(cluster, level)
    monkeypatch.setattr(ladder, name, limit)
    cut = ground_state(cluster, level)
    assert cut.mf.e_tot == pytest.approx(whole.mf.e_tot, abs=1e-6)
    _, failed, coarse, fine, stability = cut.stages
    assert f"{ladder.FADED}: {cycles} cycles to 1e-05 Eh, not converged" in failed
    for line, label in ((coarse, "grid 0"), (fine, "grid 1")):  # the rung that has worked is the first one
        assert line.startswith(f"{label}, {ladder.NEWTON}: ")
    assert int(fine.split(": ")[1].split()[0]) < 6
    assert stability.startswith("stability: stable")


def apart(cluster: Cluster, distance: float) -> Cluster:
    """Return two of a cluster, so far from each other that few pairs of functions overlap."""
    positions = np.concatenate([cluster.positions, cluster.positions + np.array([0.0, 0.0, distance])])
    return cluster.replace(symbols=[*cluster.symbols] * 2, positions=positions)


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored integrals", "computed again"])
@pytest.mark.parametrize(
    "cluster",
    [
        fragment("Cd", "chloride"),
        precursor("Mn2+", "chloride"),
        apart(precursor("Zn2+", "chloride"), 12.0),
    ],
    ids=["core potential", "sextet", "two apart"],
)
def test_gradients_are_those_of_pyscf(cluster, is_stored):
    from pyscf import df

    from mscflow.levels.dft.coulomb import StoredIntegrals
    from mscflow.levels.dft.gradient import gradient
    from mscflow.levels.dft.scf import ground_state

    mf = ground_state(cluster, LEVEL).mf
    if not is_stored:
        mf.with_df = StoredIntegrals(mf.mol, LEVEL.auxiliary_basis, memory_gib=0.0)
    ours = gradient(mf)
    mf.with_df = df.DF(mf.mol, LEVEL.auxiliary_basis)
    method = mf.nuc_grad_method()
    method.verbose = 0
    np.testing.assert_allclose(ours, method.kernel(), atol=2e-7)


def ground_and_excited(cation: Cluster):
    """Return the ground state of a cation, and a field with a hole one orbital below the highest."""
    from pyscf.scf.addons import mom_occ

    from mscflow.levels.dft.mean_field import mean_field
    from mscflow.levels.dft.scf import ground_state
    from mscflow.levels.dft.scf_checkpoint import ORBITALS

    ground = ground_state(cation, LEVEL)
    excited = mean_field(cation, LEVEL)
    occupations = ground.mf.mo_occ.copy()
    occupations[1, 3], occupations[1, 4] = 0.0, 1.0
    chosen = mom_occ(mean_field(cation, LEVEL), ground.mf.mo_coeff, occupations)
    chosen.kernel(dm0=chosen.make_rdm1(ground.mf.mo_coeff, occupations))
    for name in ORBITALS:
        setattr(excited, name, getattr(chosen, name))
    assert excited.e_tot > ground.mf.e_tot + 0.05
    return ground, excited


def test_an_open_shell_is_led_from_an_excited_to_the_lowest_solution():
    from mscflow.levels.dft.ladder import Ladder

    cation = Cluster.from_ase(molecule("H2O")).replace(charge=1, multiplicity=2)
    ground, excited = ground_and_excited(cation)
    assert ground.stages[-1].startswith("stability: stable")
    ladder = Ladder(excited, cation)
    ladder.stabilise(1e-8)
    assert excited.e_tot == pytest.approx(ground.mf.e_tot, abs=1e-6)
    assert ladder.cycles > 0
    assert "lower by" in ladder.lines[-2]
    assert ladder.lines[-1].startswith("stability: stable")


def test_a_solution_that_is_hardly_lower_is_taken_for_the_same(monkeypatch):
    from mscflow.levels.dft import ladder

    cation = Cluster.from_ase(molecule("H2O")).replace(charge=1, multiplicity=2)
    ground, excited = ground_and_excited(cation)
    monkeypatch.setattr(ladder, "STABLE_TOL", 10.0)
    climbed = ladder.Ladder(excited, cation)
    climbed.stabilise(1e-8)
    assert excited.e_tot == pytest.approx(ground.mf.e_tot, abs=1e-6)  # the lower one stays
    assert climbed.lines[-1] == "stability: stable within 10 Eh"


def test_an_open_shell_keeps_its_solution_where_the_lower_one_does_not_converge(monkeypatch, tmp_path):
    from mscflow.levels.dft import ladder
    from mscflow.levels.dft.scf_checkpoint import ScfCheckpoint
    from mscflow.tasks.refine import refine

    cation = Cluster.from_ase(molecule("H2O")).replace(charge=1, multiplicity=2)
    _, excited = ground_and_excited(cation)
    energy, density = excited.e_tot, excited.make_rdm1()
    monkeypatch.setattr(ladder, "MAX_CYCLE", 1)
    monkeypatch.setattr(ladder, "FADED_CYCLES", 1)
    climbed = ladder.Ladder(excited, cation)
    climbed.stabilise(1e-8)
    assert climbed.lines[-1] == "stability: not stable, the lower solution did not converge"
    assert excited.converged
    assert excited.e_tot == energy
    np.testing.assert_array_equal(excited.make_rdm1(), density)
    keep = ScfCheckpoint(tmp_path / "state.scf.npz", f"{cation.hash} {LEVEL.hash} None {LEVEL.conv_tol}")
    keep.finish(excited, {"guess": "excited", "stages": climbed.lines, "cycles": climbed.cycles})
    found = refine(cation, LEVEL, state_file=tmp_path / "state.npz")
    assert found.energy == pytest.approx(energy * Hartree)
    assert any("at lower energy (stability: not stable" in warning for warning in found.warnings)


def test_a_solvent_stabilises_a_polar_molecule_and_its_forces_are_derivatives():
    from mscflow.levels.dft.scf import forces, ground_state

    water = Cluster.from_ase(molecule("H2O"))
    wet = parse_level("pbe/def2-svp[solvent=water,grid=3]")
    energies = [ground_state(water, level).energy for level in (parse_level("pbe/def2-svp"), wet)]
    assert -0.6 < energies[1] - energies[0] < -0.1
    force = forces(ground_state(water, wet))
    step = 0.005
    moved = []
    for sign in (1, -1):
        positions = water.positions.copy()
        positions[1, 2] += sign * step
        moved.append(ground_state(water.replace(positions=positions), wet).energy)
    assert force[1, 2] == pytest.approx(-(moved[0] - moved[1]) / (2 * step), abs=0.02)
    assert "water as a dielectric" in wet.description


def test_d4_is_another_dispersion_than_d3():
    from mscflow.levels.dft.scf import ground_state

    dimer = fragment("Zn", "chloride")
    found = {d: ground_state(dimer, parse_level(f"pbe-{d}/def2-svp[grid=0]")) for d in ("d3bj", "d4")}
    assert all(state.dispersion_energy < 0 for state in found.values())
    assert found["d4"].dispersion_energy != pytest.approx(found["d3bj"].dispersion_energy, abs=1e-6)
    assert abs(found["d4"].dispersion_forces.sum(axis=0)).max() < 1e-6


@pytest.mark.parametrize("text", ["pbe-d3bj/def2-svp", "pbe0-d3bj/def2-svp", "camb3lyp-d4/def2-svp"])
def test_dispersion_is_that_of_the_functional_and_its_forces_are_slopes(text):
    from pyscf import dft

    from mscflow.levels.dft.dispersion import dispersion
    from mscflow.levels.dft.molecule import molecule as molecule_at

    level, cluster = parse_level(text), fragment("Zn", "chloride")
    along = np.random.default_rng(0).normal(size=(len(cluster), 3))
    step = 0.005 * along / np.linalg.norm(along)
    energy, force = dispersion(cluster, level)
    kind = "d4" if level.dispersion == "d4" else "d3bj2b"
    stock = dft.RKS(molecule_at(cluster, level), xc=level.xc).get_dispersion(kind)
    assert energy == pytest.approx(stock * Hartree, abs=1e-8)
    up, down = (
        dispersion(cluster.replace(positions=cluster.positions + s * step), level)[0] for s in (1, -1)
    )
    assert np.vdot(force, step) == pytest.approx((down - up) / 2, rel=1e-4)
