"""Charge and multiplicity reach the networks that read them; what ignores them says so."""

import pytest
from networks_for_tests import save_network

from mscflow.builder import precursor
from mscflow.errors import InputError
from mscflow.levels import MACE, parse_level
from mscflow.levels.potentials.registry import file_checksum
from mscflow.levels.potentials.weights import facts, load_network

STATES = [(0, 1), (0, 3), (1, 2), (-1, 2), (2, 1)]


@pytest.fixture(scope="module")
def charged(tmp_path_factory):
    """A network that reads charge and spin."""
    path = tmp_path_factory.mktemp("networks") / "charged.model"
    return trusted(save_network(path, ("total_charge", "total_spin")))


def trusted(path, **settings):
    return MACE(model=str(path), **settings).trusting()


def energy(level, cluster, atoms=None):
    atoms = cluster.to_ase() if atoms is None else atoms
    atoms.calc = level.calculator(cluster)
    return atoms.get_potential_energy()


def test_every_charge_and_multiplicity_has_its_own_energy(charged):
    zinc = precursor("Zn2+")
    energies = [energy(charged, zinc.replace(charge=q, multiplicity=m)) for q, m in STATES]
    gaps = [abs(a - b) for i, a in enumerate(energies) for b in energies[:i]]
    assert min(gaps) > 1e-2
    assert not charged.require(zinc.replace(charge=1, multiplicity=2))


def test_the_charge_of_the_cluster_is_used_whatever_the_atoms_say(charged):
    cation = precursor("Zn2+").replace(charge=1, multiplicity=2)
    expected = energy(charged, cation)
    silent, wrong = cation.to_ase(), cation.to_ase()
    silent.info.clear()
    wrong.info.update(charge=0, spin=1)
    assert energy(charged, cation, silent) == pytest.approx(expected, abs=1e-10)
    assert energy(charged, cation, wrong) == pytest.approx(expected, abs=1e-10)


def test_calculators_of_two_states_do_not_disturb_each_other(charged):
    zinc = precursor("Zn2+")
    cation = zinc.replace(charge=1, multiplicity=2)
    apart = [energy(charged, c) for c in (zinc, cation)]
    calculators = [charged.calculator(c) for c in (zinc, cation)]
    together = [calc.get_potential_energy(zinc.to_ase()) for calc in calculators]
    assert together == pytest.approx(apart, abs=1e-10)
    assert calculators[0].models[0] is calculators[1].models[0]


def test_charged_states_relax_in_different_ways(charged):
    from mscflow.tasks.relax import relax

    cation = precursor("Zn2+").replace(charge=1, multiplicity=2)
    result = relax(cation, charged, max_steps=1)
    # a search may begin in single precision; the states themselves differ by more than 0.01 eV
    assert result.energies[0] == pytest.approx(energy(charged, cation), abs=1e-4)
    assert result.cluster.charge == 1


def test_what_has_no_embedding_is_refused(charged):
    zinc = precursor("Zn2+")
    with pytest.raises(InputError, match=r"has no charge -6 \(it covers -5 to 5\)"):
        charged.require(zinc.replace(charge=-6))
    with pytest.raises(InputError, match=r"has no multiplicity 7 \(it covers 0 to 6\)"):
        charged.require(zinc.replace(multiplicity=7))


def test_elements_and_inputs_are_read_from_the_file(tmp_path):
    path = save_network(tmp_path / "charge.model", ("total_charge",))
    found = facts(load_network(path, file_checksum(path), "float64"))
    assert found.elements == ("H", "C", "O", "Zn", "In")
    assert found.reads_charge
    assert not found.reads_spin
    level = trusted(path)
    with pytest.raises(InputError, match="was not trained on Cd"):
        level.require(precursor("Cd2+"))
    cation = precursor("Zn2+").replace(charge=1, multiplicity=2)
    assert level.require(cation) == [f"{level.text} ignores multiplicity 2 of {cation.name}"]


def test_a_network_without_inputs_gives_one_energy_and_a_warning(tmp_path):
    level = trusted(save_network(tmp_path / "plain.model"))
    zinc = precursor("Zn2+")
    cation = zinc.replace(charge=1, multiplicity=2)
    assert energy(level, cation) == energy(level, zinc)
    assert level.require(cation)[0].startswith(f"{level.text} ignores charge 1 and multiplicity 2")


def test_a_head_is_chosen_by_name(tmp_path):
    path = save_network(tmp_path / "heads.model", heads=("pbe", "r2scan"))
    zinc = precursor("Zn2+")
    with pytest.raises(InputError, match=r"several heads: write mace:.*@HEAD with one of pbe, r2scan"):
        trusted(path).require(zinc)
    with pytest.raises(InputError, match="no head 'pbee'.*did you mean 'pbe'"):
        trusted(path, head="pbee").require(zinc)
    levels = [trusted(path, head=head) for head in ("pbe", "r2scan")]
    assert abs(energy(levels[0], zinc) - energy(levels[1], zinc)) > 1e-6
    assert levels[0].hash != levels[1].hash
    assert parse_level(levels[1].text).head == "r2scan"


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "bad.model"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no model of mace-torch"):
        trusted(path).require(precursor("Zn2+"))
