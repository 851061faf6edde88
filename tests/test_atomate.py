"""atomate2's Makers in our flows and ours in theirs: one level of theory, one energy, charge included."""

import numpy as np
import pytest
from atomate2.forcefields.jobs import ForceFieldRelaxMaker, ForceFieldStaticMaker
from jobflow import Flow, run_locally
from networks_for_tests import save_network
from pymatgen.core import Lattice, Structure

from mscflow.atomate import CALCULATOR, Atomate2RelaxMaker, MoleculeRelaxMaker, calculator_kwargs
from mscflow.builder import precursor
from mscflow.errors import InputError
from mscflow.flows import CampaignMaker
from mscflow.jobs import ExchangeMaker, RelaxMaker
from mscflow.levels import MACE, XTB, parse_level
from mscflow.tasks.relax import Relaxation, relax


def run(work, tmp_path):
    """Run and return the outputs by job name."""
    flow = work if isinstance(work, Flow) else Flow([work])
    responses = run_locally(flow, ensure_success=True, root_dir=str(tmp_path), create_folders=True)
    names = {job.uuid: job.name for job, _ in flow.iterflow()}
    return {names.get(uuid, uuid): list(r.values())[-1].output for uuid, r in responses.items()}


def energy(cluster, level):
    """Energy of a single point with the level's own calculator / eV."""
    atoms = cluster.to_ase()
    atoms.calc = parse_level(level).calculator(cluster)
    return atoms.get_potential_energy()


@pytest.fixture(scope="module")
def charged(tmp_path_factory):
    path = save_network(tmp_path_factory.mktemp("net") / "q.model", ("total_charge", "total_spin"))
    return MACE(model=str(path)).trusting()


@pytest.mark.parametrize("level", ["mace:msc-small", "gfn2-xtb"])
def test_their_relaxation_ends_where_ours_does(level, tmp_path):
    start = precursor("In3+")
    theirs = run(Atomate2RelaxMaker(level=level).make(start), tmp_path)["relax"]
    ours = relax(start, level, fmax=0.02)
    assert isinstance(theirs, Relaxation)
    assert theirs.converged
    assert theirs.max_force < 0.02
    assert theirs.optimizer == "atomate2 ForceFieldRelaxMaker (FIRE)"
    assert theirs.energies[0] == pytest.approx(energy(start, level), abs=1e-6)
    assert theirs.energy == pytest.approx(ours.energy, abs=1e-3 * len(start))
    assert theirs.energy == pytest.approx(energy(theirs.cluster, level), abs=1e-6)


def test_charge_and_spin_survive_their_way_to_ase(charged, tmp_path):
    zinc = precursor("Zn2+")
    for charge, multiplicity in ((0, 1), (1, 2), (-1, 2), (0, 3)):
        cluster = zinc.replace(charge=charge, multiplicity=multiplicity)
        maker = Atomate2RelaxMaker(level=charged, maker=ForceFieldRelaxMaker(steps=1))
        theirs = run(maker.make(cluster), tmp_path)["relax"]
        assert theirs.energies[0] == pytest.approx(energy(cluster, charged), abs=1e-8)
        assert (theirs.cluster.charge, theirs.cluster.multiplicity) == (charge, multiplicity)


def test_their_maker_alone_takes_our_level(charged, tmp_path):
    cation = precursor("Zn2+").replace(charge=1, multiplicity=2)
    maker = ForceFieldStaticMaker(
        force_field_name=CALCULATOR, calculator_kwargs=calculator_kwargs(charged, 1, 2)
    )
    document = run(maker.make(cation.to_pymatgen()), tmp_path)[maker.name]
    assert document.output.energy == pytest.approx(energy(cation, charged), abs=1e-8)


def test_our_relaxation_in_their_flow(tmp_path):
    cation = precursor("Zn2+").replace(charge=1, multiplicity=2)
    first = MoleculeRelaxMaker(level="gfn2-xtb", fmax=0.05).make(cation.to_pymatgen())
    static = ForceFieldStaticMaker(
        force_field_name=CALCULATOR, calculator_kwargs=calculator_kwargs("gfn2-xtb", 1, 2)
    )
    second = static.make(first.output.molecule)
    outputs = run(Flow([first, second]), tmp_path)
    ours = relax(cation, XTB(), fmax=0.05)
    document = outputs["mscflow relaxation"]
    assert document.is_force_converged
    assert document.output.energy == pytest.approx(ours.energy, abs=1e-6)
    assert (document.molecule.charge, document.molecule.spin_multiplicity) == (1, 2)
    assert outputs[static.name].output.energy == pytest.approx(ours.energy, abs=1e-6)


def test_a_campaign_with_their_relax_step(tmp_path):
    """Exchange of the only cation of In(O2CH)3 for Ga gives Ga(O2CH)3 and In(O2CH)3: nothing happens."""
    energies = {}
    for name, maker in (
        ("theirs", Atomate2RelaxMaker(level="gfn2-xtb")),
        ("ours", RelaxMaker("relax", "gfn2-xtb")),
    ):
        flow = CampaignMaker(
            name=name,
            relax_maker=maker,
            refine_maker=None,
            exchange_maker=ExchangeMaker(ions=("Ga3+",), relax_maker=maker),
        ).make(precursor("In3+"))
        responses = run_locally(flow, ensure_success=True, root_dir=str(tmp_path), create_folders=True)
        outputs = [r.output for answers in responses.values() for r in answers.values()]
        summary = next(o for o in outputs if type(o).__name__ == "ReactionEnergies")
        relaxed = next(o for o in outputs if isinstance(o, Relaxation))
        energies[name] = (relaxed.energy, summary.reactions[0].energy)
    assert energies["theirs"][0] == pytest.approx(energies["ours"][0], abs=2e-3)
    assert np.abs([energies["theirs"][1], energies["ours"][1]]).max() < 5e-3


def test_our_executor_runs_their_maker(tmp_path):
    import mscflow

    work = Atomate2RelaxMaker(level="gfn2-xtb").make(precursor("Zn2+"))
    answers = mscflow.run(Flow([work]), dir=tmp_path / "run")
    output = answers[work.uuid][1].output
    energy = output["energy"] if isinstance(output, dict) else output.energy
    assert energy == pytest.approx(relax(precursor("Zn2+"), "gfn2-xtb").energy, abs=1e-3)


def test_an_unfinished_relaxation_of_theirs_says_so(tmp_path):
    maker = Atomate2RelaxMaker(
        level="gfn2-xtb", maker=ForceFieldRelaxMaker(steps=3, relax_kwargs={"fmax": 0.001})
    )
    result = run(maker.make(precursor("In3+")), tmp_path)["relax"]
    assert not result.converged
    assert "not converged" in result.warnings[0]
    assert result.n_force_calls == len(result.energies) == 4


def test_energy_and_forces_are_those_of_the_relaxed_structure_whatever_is_observed(tmp_path):
    every, some = (
        run(
            Atomate2RelaxMaker(
                level="gfn2-xtb", maker=ForceFieldRelaxMaker(relax_kwargs={"fmax": 0.1, "interval": interval})
            ).make(precursor("Zn2+")),
            tmp_path,
        )["relax"]
        for interval in (1, 10)
    )
    assert some.energy == pytest.approx(energy(some.cluster, "gfn2-xtb"), abs=1e-6)
    assert some.max_force < 0.1
    assert some.energies == every.energies


def test_atoms_that_the_model_never_saw_are_named_here_too(tmp_path):
    start = precursor("Zn2+")
    squeezed = start.replace(positions=0.75 * start.positions)
    maker = ForceFieldRelaxMaker(steps=1)
    result = run(Atomate2RelaxMaker(maker=maker).make(squeezed), tmp_path)["relax"]
    assert max(result.extrapolation) > 1
    assert any("are outside of what mace:msc-small was trained on" in text for text in result.warnings)
    with pytest.warns(UserWarning, match="not converged"):
        MoleculeRelaxMaker(steps=1).run_ase(squeezed.to_pymatgen())


def test_a_crystal_is_refused():
    crystal = Structure(Lattice.cubic(4.0), ["Zn"], [[0, 0, 0]])
    with pytest.raises(InputError, match="a molecule is needed"):
        MoleculeRelaxMaker(level="gfn2-xtb").run_ase(crystal)
