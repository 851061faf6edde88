"""A level is a value: its text form, its hash and its cost are known before anything runs."""

import numpy as np
import pytest
from ase.calculators.calculator import CalculationFailed
from tblite.ase import TBLite

from mscflow.builder import build, precursor
from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.levels import MACE, XTB, parse_level
from mscflow.levels.potentials.pair_potential import PairPotential
from mscflow.levels.potentials.registry import file_checksum, shipped_models

TEXTS = [
    "mace:msc-small",
    "gfn1-xtb",
    "gfn2-xtb",
    "gfn2-xtb+pairs",
    "pbe/def2-svp",
    "pbe-d3bj/def2-svp",
    "pbe0-d3bj/def2-tzvp",
    "b3lyp/def2-svp",
    "hse06-d3bj/def2-svp",
    "camb3lyp-d4/def2-svp",
    "pbe-d3bj/gth-dzvp-molopt-sr",
    "pbe0-d3bj/def2-svp[exchange=seminumerical,grid=1]",
    "pbe-d4/def2-svp[solvent=toluene]",
    "pbe-d4/def2-svp[solvent=toluene,solvation=smd]",
    "pbe-d3bj/def2-svp[grid=1,conv_tol=1e-06]",
    "pbe/def2-svp[conv_tol=1.23456789e-07]",
    "pbe/gth-szv-molopt-sr[box_margin=6.5,ke_cutoff=200]",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_forms_round_trip(text):
    level = parse_level(text)
    assert level.text == text
    assert parse_level(level.text).hash == level.hash
    assert type(level).model_validate(level.model_dump()) == level


def test_hashes_differ():
    assert len({parse_level(text).hash for text in TEXTS}) == len(TEXTS)


@pytest.mark.parametrize("text", TEXTS)
def test_cost_is_estimated_before_anything_runs(text):
    estimate = parse_level(text).estimate(build("In4P"))
    assert estimate.n_atoms == 41
    assert estimate.time_s > 0
    assert 0 < estimate.memory_gib < 24


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gfn2", "did you mean 'gfn2-xtb'"),
        ("pbe", "unknown level 'pbe'"),
        ("pbee/def2-svp", "unknown functional 'pbee'.*did you mean 'pbe'"),
        ("pbe/def2-svpp", "unknown basis 'def2-svpp'.*did you mean 'def2-svp'"),
        ("pbe/def2-svp[grid]", r"write settings as \[name=value"),
        ("pbe/def2-svp[grud=1]", "unknown setting 'grud': known are solvent, .*grid"),
        ("pbe/def2-svp[exchange=seminumerical]", "pbe has no exact exchange"),
        ("pbe/def2-svp[solvent=toluol]", "unknown solvent .toluol.: did you mean .toluene."),
        ("pbe/gth-dzvp-molopt-sr[solvent=water]", "a solvent needs a def2 basis"),
        ("pbe/def2-svp[grid=77]", "grid: Input should be less than or equal to 9"),
        ("pbe/gth-dzvp-molopt-sr[grid=5]", "grid needs a basis such as def2-svp"),
        ("pbe/def2-svp[ke_cutoff=200]", "ke_cutoff needs a basis such as gth-dzvp-molopt-sr"),
        ("pbe/def2-svp[box_margin=6]", "box_margin needs a basis such as gth-dzvp-molopt-sr"),
        ("pbe/gth-dzvp-molopt-sr[ke_cutoff=inf]", "ke_cutoff: Input should be less than or equal to 2000"),
        ("pbe/gth-dzvp-molopt-sr[box_margin=nan]", "box_margin: Input should be"),
        ("pbe/def2-svp[conv_tol=1e-30]", "conv_tol: Input should be greater than"),
    ],
)
def test_unknown_levels_are_refused_with_the_nearest_one(text, message):
    with pytest.raises(InputError, match=message):
        parse_level(text)


def test_elements_the_model_never_saw_are_refused():
    with pytest.raises(InputError, match="was not trained on Mn"):
        MACE().require(precursor("Mn2+"))


@pytest.mark.parametrize("text", ["gfn1-xtb", "gfn2-xtb", "gfn2-xtb+pairs"])
def test_tight_binding_ends_with_radon(text):
    uranium = Cluster(("U", "O", "O"), [[0, 0, 0], [0, 0, 1.8], [0, 0, -1.8]], charge=2)
    with pytest.raises(InputError, match="has no parameters for U of .*: it covers the elements up to radon"):
        parse_level(text).require(uranium)


@pytest.mark.parametrize("text", ["gfn2-xtb", "gfn2-xtb+pairs"])
def test_tight_binding_forgets_the_geometry_before(text):
    cluster, level = precursor("Cd2+"), parse_level(text)
    here, there = cluster.to_ase(), cluster.to_ase()
    here.calc, there.calc = level.calculator(cluster), level.calculator(cluster)
    there.positions *= 1.05
    assert there.get_potential_energy() != here.get_potential_energy()
    there.positions = here.positions
    assert there.get_potential_energy() == here.get_potential_energy()
    np.testing.assert_array_equal(there.get_forces(), here.get_forces())


def test_tight_binding_takes_another_start_where_the_first_fails():
    piece = fragment("Cd2Se", "chloride")
    stretched = piece.replace(positions=1.6 * piece.positions)
    first = TBLite(method="GFN2-xTB", verbosity=0)
    with pytest.raises(CalculationFailed, match="SCF not converged"):
        first.get_potential_energy(stretched.to_ase())
    atoms = stretched.to_ase()
    atoms.calc = XTB().calculator(stretched)
    energy = atoms.get_potential_energy()
    assert energy > XTB().calculator(piece).get_potential_energy(piece.to_ase())
    atoms.positions = piece.positions
    atoms.get_potential_energy()
    atoms.positions = stretched.positions
    assert atoms.get_potential_energy() == energy


def test_a_field_that_fails_is_a_failed_calculation():
    stripped = Cluster(("O", "H", "H"), [[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]], 9, 2)
    with pytest.raises(CalculationError, match="tblite: Total number of electrons"):
        XTB().calculator(stripped).get_potential_energy(stripped.to_ase())


def test_a_head_that_the_shipped_model_does_not_have_is_refused():
    with pytest.raises(InputError, match="model 'msc-small' has no head 'foo'"):
        parse_level("mace:msc-small@foo").require(precursor("Zn2+"))
    with pytest.raises(InputError, match="name a head of the model after '@', or write mace:msc-small"):
        parse_level("mace:msc-small@")


def test_ignored_charge_is_a_warning():
    cation = precursor("Zn2+").replace(charge=1, multiplicity=2)
    assert "ignores charge 1" in MACE().require(cation)[0]


def test_shipped_models_have_the_recorded_checksum_and_size():
    for record in shipped_models().values():
        assert file_checksum(record.path) == record.sha256
        assert record.path.stat().st_size < 1e7


def test_unknown_model_files_load_only_when_trusted(tmp_path):
    path = tmp_path / "copy.model"
    path.write_bytes(shipped_models()["msc-small"].path.read_bytes())
    cluster = precursor("Zn2+")
    with pytest.raises(InputError, match="pass --trust"):
        MACE(model=str(path)).calculator(cluster)
    trusted = MACE(model=str(path), trusted_sha256=file_checksum(path))
    assert trusted.calculator(cluster) is not None
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="expected"):
        trusted.calculator(cluster)


def test_a_model_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="unknown model 'msc-smal': did you mean 'msc-small'"):
        MACE(model="msc-smal").require(precursor("Zn2+"))


def test_pair_potentials_are_added_to_tight_binding():
    cluster = build("In4P")
    energies, forces = [], []
    for text in ("gfn2-xtb", "gfn2-xtb+pairs"):
        atoms = cluster.to_ase()
        atoms.calc = parse_level(text).calculator(cluster)
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
    level = parse_level("gfn2-xtb+pairs")
    potential = PairPotential.load(level._file)
    energy, pull = potential.energy_and_forces(cluster.numbers, cluster.positions)
    assert energies[1] - energies[0] == pytest.approx(energy, abs=1e-6)
    np.testing.assert_allclose(forces[1] - forces[0], pull, atol=1e-6)
    assert level.require(cluster) == []
    assert "no pair potentials for Mn" in level.require(precursor("Mn2+"))[0]
