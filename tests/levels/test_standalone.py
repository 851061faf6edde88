"""A level as an ASE calculator for atoms that come without a cluster."""

import pytest
from ase.build import bulk

from mscflow.builder import precursor
from mscflow.errors import InputError
from mscflow.levels import XTB
from mscflow.levels.standalone import LevelCalculator


def energy(cluster):
    atoms = cluster.to_ase()
    atoms.calc = XTB().calculator(cluster)
    return atoms.get_potential_energy()


def test_charge_and_elements_are_followed():
    zinc, indium = precursor("Zn2+"), precursor("In3+")
    cation = zinc.replace(charge=1, multiplicity=2)
    calculator = LevelCalculator("gfn2-xtb")
    for cluster in (zinc, cation, indium, zinc):
        assert calculator.get_potential_energy(cluster.to_ase()) == pytest.approx(energy(cluster), abs=1e-6)


def test_a_charge_that_is_given_wins_over_the_atoms():
    cation = precursor("Zn2+").replace(charge=1, multiplicity=2)
    bare = cation.to_ase()
    bare.info.clear()
    calculator = LevelCalculator(XTB().model_dump(), charge=1, multiplicity=2)
    assert calculator.get_potential_energy(bare) == pytest.approx(energy(cation), abs=1e-6)
    assert calculator.get_forces(bare).shape == (9, 3)


def test_what_the_level_cannot_represent_is_refused():
    calculator = LevelCalculator("mace:msc-small")
    with pytest.raises(InputError, match="was not trained on Mn"):
        calculator.get_potential_energy(precursor("Mn2+").to_ase())


def test_a_crystal_is_refused_and_a_molecule_in_a_box_is_not():
    calculator = LevelCalculator("gfn2-xtb")
    with pytest.raises(InputError, match="gfn2-xtb of CdSe: a molecule is needed, not a periodic structure"):
        calculator.get_potential_energy(bulk("CdSe", "zincblende", a=6.05))
    zinc = precursor("Zn2+")
    boxed = zinc.to_ase()
    boxed.center(vacuum=5.0)
    assert not boxed.pbc.any()
    assert calculator.get_potential_energy(boxed) == pytest.approx(energy(zinc), abs=1e-6)
