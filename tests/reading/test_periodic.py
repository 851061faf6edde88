"""Periodic files and objects hold one whole cluster, wherever the borders of the cell cut it."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule

from mscflow.builder import build
from mscflow.errors import InputError, RepairWarning
from mscflow.files import read, write
from mscflow.topology import topology

CELL = [[11, 0, 0], [2, 12, 0], [1, 3, 13]]


@pytest.fixture
def wrapped():
    """Zn(O2CH)2 cut by the borders of a triclinic cell."""
    atoms = build("ZnL2").to_ase()
    atoms.info.clear()
    atoms.set_cell(CELL)
    atoms.pbc = True
    atoms.wrap()
    return atoms


def shape(cluster):
    """Sorted distances / Å between all atoms."""
    delta = cluster.positions[:, None] - cluster.positions[None]
    return np.sort(np.linalg.norm(delta, axis=2), axis=None)


def same(cluster) -> bool:
    return (
        np.allclose(shape(cluster), shape(build("ZnL2")), atol=1e-5) and len(topology(cluster).ligands) == 2
    )


def test_a_periodic_xyz_is_made_whole(wrapped, tmp_path):
    wrapped.write(tmp_path / "w.xyz", format="extxyz")
    with pytest.warns(RepairWarning, match="made whole"):
        assert same(read(tmp_path / "w.xyz"))


def test_ase_and_pymatgen_objects_are_read(wrapped):
    from pymatgen.io.ase import AseAtomsAdaptor

    assert same(read(wrapped))
    assert same(read(AseAtomsAdaptor.get_structure(wrapped)))
    cluster = build("MnL2")
    assert read(cluster.to_ase()) == cluster
    assert read(cluster.to_pymatgen()) == cluster
    with pytest.raises(InputError, match="not int"):
        read(3)


def test_a_periodic_cell_keeps_its_spin(wrapped):
    manganese = build("MnL2").to_ase()
    manganese.set_cell([20, 20, 20])
    manganese.pbc = True
    del manganese.info["multiplicity"]
    assert read(manganese).multiplicity == manganese.info["spin"] == 6
    wrapped.info["charge"] = 2
    assert read(wrapped).charge == 2


@pytest.mark.parametrize("state", [{"charge": 2}, {"spin": 3}, {"multiplicity": 3}])
def test_charge_and_spin_of_several_molecules_are_not_those_of_one(wrapped, tmp_path, state):
    solvent = molecule("H2O")
    solvent.translate([5.5, 7.5, 6.5] - solvent.positions.mean(axis=0))
    both = wrapped + solvent
    both.info = state
    both.write(tmp_path / "both.xyz", format="extxyz")
    (field,) = state
    given = {"multiplicity" if field == "spin" else field: state[field]}
    for source in (both, tmp_path / "both.xyz"):
        with pytest.raises(InputError, match=r"of several molecules: give that of ZnC2H2O4"):
            read(source)
        with pytest.warns(RepairWarning, match="left out: 1 H2O"):
            assert len(read(source, **given)) == len(wrapped)


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR", "CONTCAR_relaxed", "x.vasp"])
def test_vasp_files_are_known_by_their_names(wrapped, tmp_path, name):
    wrapped.write(tmp_path / name, format="vasp", sort=True)
    assert same(read(tmp_path / name))


@pytest.mark.parametrize("name", ["x.cif", "x.mol", "x.sdf", "x.vasp", "x.xzy"])
def test_formats_that_are_not_written_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot write"):
        write(build("CuL"), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_charge_the_ions_contradict_is_said(tmp_path):
    whole = build("InL3")
    graph = topology(whole)
    gone = {i for ligand in graph.ligands[:2] for i in ligand.atoms}
    rest = whole.select([i for i in range(len(whole)) if i not in gone], charge=2).to_ase()
    rest.info.clear()
    rest.write(tmp_path / "two.xyz", format="xyz")
    with pytest.warns(RepairWarning, match=r"0 is taken, but the oxidation states sum to \+2"):
        assert read(tmp_path / "two.xyz").charge == 0
    gone = set(graph.ligands[0].atoms)
    rest = whole.select([i for i in range(len(whole)) if i not in gone], charge=1).to_ase()
    rest.info.clear()
    rest.write(tmp_path / "one.xyz", format="xyz")
    with pytest.raises(InputError, match=r"no charge is given, the oxidation states sum to \+1"):
        read(tmp_path / "one.xyz")
    assert read(tmp_path / "one.xyz", charge=1).charge == 1
