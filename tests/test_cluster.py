"""A cluster keeps what it is given and refuses what cannot be a molecule."""

import numpy as np
import pytest
from ase.io import read as ase_read
from hypothesis import given, settings
from hypothesis import strategies as st

from mscflow.builder import build, precursor
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.files import read, write

NASTY = 'Å → ß, "quoted", C:\\temp, {braces} = [1]'


@pytest.fixture
def manganese() -> Cluster:
    return precursor("Mn2+").replace(provenance={"source": "test", "note": NASTY})


@pytest.mark.parametrize("suffix", ["xyz", "extxyz", "json"])
def test_files_keep_charge_spin_name_and_provenance(manganese, tmp_path, suffix):
    path = write(manganese, tmp_path / f"mn.{suffix}")
    again = read(path)
    assert again.multiplicity == 6
    assert (again.name, again.provenance) == (manganese.name, manganese.provenance)
    np.testing.assert_allclose(again.positions, manganese.positions, atol=1e-7)


@pytest.mark.parametrize(
    "name", ["007", "1e3", "1.50", "T", "1 2 3", "a\nb", "two\u2028lines", "5' [end", "C:\\0", "a\tb", " x "]
)
def test_an_xyz_file_keeps_any_name(manganese, tmp_path, name):
    again = read(write(manganese.replace(name=name), tmp_path / "mn.xyz"))
    assert (again.name, again.provenance) == (name, manganese.provenance)


def test_a_cluster_without_a_name_keeps_its_provenance(manganese, tmp_path):
    nameless = manganese.replace(name="")
    again = read(write(nameless, tmp_path / "mn.xyz"))
    assert (again.name, again.provenance) == ("mn", manganese.provenance)
    nameless.replace(provenance={"source": "test"}).to_ase().write(tmp_path / "by_ase.xyz")
    by_ase = Cluster.from_ase(ase_read(tmp_path / "by_ase.xyz"))
    assert (by_ase.name, by_ase.provenance) == ("", {"source": "test"})


def test_ase_pymatgen_and_dict_round_trips_are_exact(manganese):
    assert Cluster.from_ase(manganese.to_ase()) == manganese
    assert Cluster.from_pymatgen(manganese.to_pymatgen()) == manganese
    assert Cluster.from_dict(manganese.as_dict()) == manganese


def test_hash_sees_atoms_charge_and_spin_but_no_name():
    water = Cluster(("O", "H", "H"), np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
    assert water.hash == water.replace(name="water", provenance={"a": 1}).hash
    assert water.hash != water.replace(multiplicity=3).hash
    assert water.hash != water.replace(charge=2).hash
    assert water.hash != water.replace(positions=water.positions + 1e-9).hash


def test_positions_cannot_be_changed():
    cluster = build("In4P")
    with pytest.raises(ValueError, match="read-only"):
        cluster.positions[0, 0] = 1.0


@pytest.mark.parametrize(
    ("symbols", "positions", "kwargs", "message"),
    [
        ((), np.zeros((0, 3)), {}, "empty structure"),
        (("Xx",), np.zeros((1, 3)), {}, "unknown element 'Xx'"),
        (("He",), np.array([[np.nan, 0, 0]]), {}, "not finite"),
        (("He", "He"), np.zeros((2, 3)), {}, "coincide"),
        (("H",), np.zeros((1, 3)), {}, "multiplicity must be 2, 4"),
        (("He",), np.zeros((1, 3)), {"multiplicity": 2}, "multiplicity must be 1, 3"),
        (("He",), np.zeros((1, 3)), {"charge": 3}, "more electrons than there are"),
        (("He",), np.zeros((1, 3)), {"charge": 0.5}, "must be an integer"),
        (("He",), np.zeros((1, 3)), {"charge": np.inf}, "must be an integer"),
        (("He",), np.zeros((1, 3)), {"charge": "2"}, "must be an integer"),
        (("He",), np.zeros((2, 3)), {}, "shape"),
    ],
)
def test_what_is_no_molecule_is_refused(symbols, positions, kwargs, message):
    with pytest.raises(InputError, match=message):
        Cluster(symbols, positions, **kwargs)


@settings(max_examples=30, deadline=None)
@given(st.integers(-6, 6), st.integers(1, 8))
def test_charge_and_multiplicity_fit_the_electrons(charge, multiplicity):
    def make() -> Cluster:
        return Cluster(("In",), np.zeros((1, 3)), charge=charge, multiplicity=multiplicity)

    if (49 - charge - multiplicity + 1) % 2:
        with pytest.raises(InputError, match="multiplicity must be"):
            make()
    else:
        assert make().n_electrons == 49 - charge
