"""Gibbs energies of reactions: every species vibrates once, and what is missing is named."""

import numpy as np
import pytest
from ase import units
from jobflow import run_locally

from mscflow.builder import precursor
from mscflow.jobs import ReactionsMaker, RelaxMaker
from mscflow.reactions.energies import collect
from mscflow.reactions.reaction import Reaction
from mscflow.tasks.relax import relax
from mscflow.tasks.vibrate import vibrate

LEVEL = "gfn2-xtb"


@pytest.fixture
def metathesis() -> Reaction:
    zinc, cadmium = (
        {ligand: precursor(ion, ligand) for ligand in ("chloride", "formate")} for ion in ("Zn2+", "Cd2+")
    )
    return Reaction(
        (
            (zinc["formate"], -1),
            (cadmium["chloride"], -1),
            (zinc["chloride"], 1),
            (cadmium["formate"], 1),
        ),
        label="ligands change places",
    )


def test_a_flow_gives_gibbs_energies(metathesis):
    maker = ReactionsMaker(relax_maker=RelaxMaker(level=LEVEL, fmax=0.01), temperature=298.15)
    made = maker.make([metathesis])
    responses = run_locally(made, log=False, ensure_success=True)
    documents = [r.output for by_index in responses.values() for r in by_index.values() if r.output]
    energies = next(d for d in documents if type(d).__name__ == "ReactionEnergies")
    (row,) = energies.reactions
    thermal = {species.name: species.thermal for species in energies.species}
    expected = row.energy + sum(n * thermal[cluster.name] for cluster, n in metathesis.species)
    assert row.gibbs == pytest.approx(expected)
    assert abs(row.gibbs - row.energy) < 0.3  # as many molecules on both sides
    assert energies.temperature == 298.15


def test_gibbs_energies_know_symmetry_and_the_hash_what_decides_them(metathesis):
    results = {c.hash: relax(c, LEVEL, fmax=0.01) for c, _ in metathesis.species}
    vibrations = {key: vibrate(result.cluster, LEVEL) for key, result in results.items()}
    numbers = {c.name: vibrations[c.hash].symmetry_number for c, _ in metathesis.species}
    assert numbers["Zn(Cl)2"] == numbers["Cd(Cl)2"] == 2

    def collected(temperature, level=LEVEL, found=results):
        return collect([metathesis], found, level, vibrations=vibrations, temperature=temperature)

    usual = collected(300.0)
    without = {key: found.model_copy(update={"symmetry_number": 1}) for key, found in vibrations.items()}
    plain = collect([metathesis], results, LEVEL, vibrations=without, temperature=300.0)
    for species, bare in zip(usual.species, plain.species, strict=True):
        expected = units.kB * 300.0 * np.log(numbers[species.name])
        assert species.thermal - bare.thermal == pytest.approx(expected, abs=1e-9)
    moved = {
        key: r.model_copy(update={"cluster": r.cluster.replace(positions=r.cluster.positions + 1e-3)})
        for key, r in results.items()
    }
    others = [collected(350.0), collected(300.0, "gfn1-xtb"), collected(300.0, found=moved)]
    assert len({document.input_hash for document in (usual, *others)}) == 4
    assert collected(300.0).input_hash == usual.input_hash


def test_a_species_without_vibrations_has_no_gibbs_energy(metathesis):
    results = {c.hash: relax(c, LEVEL, fmax=0.05) for c, _ in metathesis.species}
    some = dict(list(results.items())[1:])
    vibrations = {key: vibrate(result.cluster, LEVEL) for key, result in some.items()}
    found = collect([metathesis], results, LEVEL, vibrations=vibrations, temperature=350.0)
    assert found.reactions[0].gibbs is None
    assert [line for line in found.failed if line.endswith(": no vibrations")]
