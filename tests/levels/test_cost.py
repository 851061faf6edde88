"""What a calculation takes is known before, its route is chosen from that, and all routes give one number."""

import gc
from itertools import pairwise

import numpy as np
import psutil
import pytest
from ase.build import molecule

from mscflow.builder import build, precursor
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.levels import MACE, PySCF, calibration, parse_level
from mscflow.levels.base import Estimate
from mscflow.levels.calibration import kept_in, speed
from mscflow.levels.dft import cost
from mscflow.levels.dft.coulomb import StoredIntegrals
from mscflow.levels.dft.mean_field import mean_field
from mscflow.levels.dft.scf import forces, ground_state
from mscflow.levels.memory import GIB, memory_limit, more_memory
from mscflow.levels.potentials.registry import find_model

ZINC = precursor("Zn2+", "chloride")


def test_counts_are_those_of_pyscf():
    from pyscf import df

    from mscflow.levels.dft.molecule import molecule as molecule_at

    for text in ("pbe/def2-svp", "pbe0/def2-tzvp"):
        level = parse_level(text)
        cluster = build("In4P")
        mol = molecule_at(cluster, level)
        (estimate, *_) = cost.routes(cluster, level)
        assert estimate.n_basis == mol.nao
        assert estimate.n_auxiliary == df.addons.make_auxmol(mol, level.auxiliary_basis).nao


@pytest.mark.parametrize("text", ["pbe/def2-svp[grid=0,conv_tol=1e-10]", "pbe0/def2-svp[grid=0]"])
def test_little_memory_takes_another_route_to_the_same_number(text, monkeypatch):
    level = parse_level(text)
    ways = cost.routes(ZINC, level)
    ample = ground_state(ZINC, level)
    fitting = ample.mf.with_df
    assert fitting._cderi is not None if level.is_hybrid else fitting.kept.dtype is np.float64
    for more, lean in pairwise(ways):
        monkeypatch.setenv("MSCFLOW_MEMORY_GIB", str((more.memory_gib + lean.memory_gib) / 2))
        assert cost.estimate(ZINC, level).route == lean.route
        tight = ground_state(ZINC, level)
        assert tight.route == (None if level.is_hybrid else lean.route)
        assert tight.energy == pytest.approx(ample.energy, abs=1e-6)
        assert forces(tight) == pytest.approx(forces(ample), abs=1e-4)


def test_too_little_memory_is_refused_with_what_would_fit(monkeypatch):
    cluster = build("In26P13", ligand="phenylacetate")
    level = PySCF(xc="pbe0", basis="def2-tzvp")
    monkeypatch.setenv("MSCFLOW_MEMORY_GIB", "2")
    with pytest.raises(InputError, match=r"by its leanest route .* take gfn2-xtb, or a larger --memory"):
        mean_field(cluster, level)
    for limit, proposed in (("4", "ligands cut to formates .793 instead of 2119"), ("2.5", "gfn2-xtb,")):
        monkeypatch.setenv("MSCFLOW_MEMORY_GIB", limit)
        with pytest.raises(InputError, match=f"may be used: take {proposed}"):
            mean_field(cluster, PySCF(basis="gth-szv-molopt-sr"))
    pure = PySCF(basis="def2-tzvp")
    least = cost.matrices_gib(cost.routes(ZINC, pure)[0].n_basis)
    monkeypatch.setenv("MSCFLOW_MEMORY_GIB", str(least - 1e-4))
    with pytest.raises(InputError, match="take pbe/def2-svp,"):
        mean_field(ZINC, pure)


def test_cheaper_levels_are_offered_as_the_elements_need_them():
    offered = [other for other in cost.alternatives(ZINC, PySCF(grid=1)) if other.is_periodic]
    assert {other.ke_cutoff for other in offered} == {200.0}
    for other in offered:
        assert other.require(ZINC) == []
        assert parse_level(other.text).hash == other.hash


def test_seminumerical_exchange_is_near_the_fitted_one():
    fitted = parse_level("pbe0/def2-svp[grid=1]")
    seminumerical = parse_level("pbe0/def2-svp[exchange=seminumerical,grid=1]")
    states = [ground_state(ZINC, level) for level in (fitted, seminumerical)]
    assert states[0].energy == pytest.approx(states[1].energy, abs=5e-3)
    assert forces(states[0]) == pytest.approx(forces(states[1]), abs=5e-3)
    assert "seminumerical exchange" in seminumerical.description
    assert cost.estimate(ZINC, seminumerical).route == cost.SEMINUMERICAL


@pytest.mark.parametrize("xc", ["pbe0", "hse06"])
def test_forces_of_hybrids_are_slopes_of_their_energies(xc):
    level = parse_level(f"{xc}/def2-svp[grid=3,conv_tol=1e-10]")
    rng = np.random.default_rng(1)
    water = Cluster.from_ase(molecule("H2O"))
    bent = water.replace(positions=water.positions + 0.1 * rng.normal(size=(3, 3)))
    along = rng.normal(size=(3, 3))
    step = 0.005 * along / np.linalg.norm(along)
    up, down = (
        ground_state(bent.replace(positions=bent.positions + s * step), level).energy for s in (1, -1)
    )
    found = np.vdot(forces(ground_state(bent, level)), step) / 0.005
    assert abs(found) > 0.5
    assert found == pytest.approx((down - up) / 0.01, abs=2e-3)


def test_the_smallest_limit_counts(monkeypatch):
    free = 0.7 * psutil.virtual_memory().available / GIB
    assert memory_limit() == pytest.approx(free, rel=0.1)
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "1024")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "2")
    assert memory_limit() == pytest.approx(2)
    monkeypatch.setenv("MSCFLOW_MEMORY_GIB", "1.5")
    assert memory_limit() == pytest.approx(1.5)
    for text in ("much", "nan", "inf", "0", "-1"):
        monkeypatch.setenv("MSCFLOW_MEMORY_GIB", text)
        with pytest.raises(InputError, match=f"MSCFLOW_MEMORY_GIB must be a positive number, not '{text}'"):
            memory_limit()


def test_a_refusal_says_which_limit_would_have_to_be_raised(monkeypatch):
    assert more_memory() == "a machine with more memory"
    monkeypatch.setenv("MSCFLOW_MEMORY_GIB", "1e6")  # more than there is
    assert more_memory() == "a machine with more memory"
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "512")
    assert more_memory() == "a larger allocation"
    monkeypatch.setenv("MSCFLOW_MEMORY_GIB", "0.1")
    with pytest.raises(InputError, match=r"0.1 GiB may be used: take .*, or a larger --memory"):
        mean_field(ZINC, PySCF())


def test_a_calibration_expects_what_it_does_before_it_takes_memory_for_it(tmp_path, monkeypatch):
    held = []
    estimate = PySCF.estimate

    def watched(level: PySCF, cluster: Cluster) -> Estimate:
        held.append(sum(isinstance(thing, StoredIntegrals) for thing in gc.get_objects()))
        return estimate(level, cluster)

    monkeypatch.setenv("MSCFLOW_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(calibration, "REFERENCES", {"density fitting": "pbe/def2-svp[grid=0]"})
    monkeypatch.setattr(PySCF, "estimate", watched)
    gc.collect()
    before = sum(isinstance(thing, StoredIntegrals) for thing in gc.get_objects())
    found = calibration.calibrate(ZINC)
    assert held == [before]
    assert speed("density fitting") == found["density fitting"] > 0


def test_the_shipped_potential_is_calibrated_as_relaxations_evaluate_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MSCFLOW_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(calibration, "REFERENCES", {"MACE": "mace:msc-small"})
    monkeypatch.setattr(MACE, "calculator", lambda *_: pytest.fail("mace-torch was asked"))
    assert calibration.calibrate(ZINC)["MACE"] > 0


def test_models_of_others_are_expected_to_take_longer(tmp_path):
    path = tmp_path / "copy.model"
    path.write_bytes(find_model("msc-small").path.read_bytes())
    own, other = (MACE(model=name).estimate(ZINC).time_s for name in ("msc-small", str(path)))
    assert other > 5 * own


def test_a_slower_machine_expects_longer_times(tmp_path, monkeypatch):
    monkeypatch.setenv("MSCFLOW_DATA_DIR", str(tmp_path))
    level = parse_level("gfn2-xtb")
    usual = level.estimate(ZINC).time_s
    monkeypatch.setenv("MSCFLOW_DATA_DIR", str(tmp_path / "slow"))
    kept_in().parent.mkdir()
    kept_in().write_text('{"tight binding": 3.0}')
    assert level.estimate(ZINC).time_s == pytest.approx(3 * usual)
    assert speed("MACE") == 1.0
    monkeypatch.setenv("MSCFLOW_DATA_DIR", str(tmp_path / "damaged"))
    kept_in().parent.mkdir()
    kept_in().write_text("{")
    with pytest.raises(InputError, match="damaged: run mscflow doctor --calibrate"):
        level.estimate(ZINC)
