"""Interconversion, binding and displacement: every reaction balances, and what cannot balance says why."""

from __future__ import annotations

from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobflow import Flow, JobStore, run_locally
from maggma.stores import MemoryStore

from mscflow.builder import build, precursor
from mscflow.builder.edit import add_ligand, remove_ligand
from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.jobs import ReactionsMaker, RelaxMaker
from mscflow.reactions.balance import balanced, interconversion
from mscflow.reactions.energies import ReactionEnergies
from mscflow.reactions.removal import binding, displacement
from mscflow.topology import topology


def atoms(formula: dict[str, int], name: str = "") -> Cluster:
    """A row of atoms: only its composition matters."""
    symbols = tuple(symbol for symbol, n in formula.items() for _ in range(n))
    return Cluster(symbols, np.arange(len(symbols))[:, None] * [3.0, 0.0, 0.0], name=name)


def coefficients(reaction) -> dict[str, float]:
    return {cluster.name: n for cluster, n in reaction.species}


def test_smallest_whole_numbers():
    reaction = balanced([atoms({"Fe": 1}, "Fe"), atoms({"O": 2}, "O2")], [atoms({"Fe": 2, "O": 3}, "Fe2O3")])
    assert coefficients(reaction) == {"Fe": -4, "O2": -3, "Fe2O3": 2}


def test_growth_takes_only_the_reservoirs_it_needs():
    unit, fusion = build("In26P13", "formate"), build("In37P20", "formate")
    indium = precursor("In3+")
    reaction = interconversion(unit, fusion, [indium, precursor("Zn2+")])
    assert coefficients(reaction) == {unit.name: -20, fusion.name: 13, indium.name: 39}
    assert reaction.label == "In26P13(O2CH)39 → In37P20(O2CH)51"


def test_interconversion_with_a_neutral_anion_source():
    unit, fusion = build("In26P13", "formate"), build("In37P20", "formate")
    phosphine, acid = atoms({"P": 1, "H": 3}, "PH3"), atoms({"C": 1, "O": 2, "H": 2}, "HCOOH")
    reaction = interconversion(unit, fusion, [precursor("In3+"), phosphine, acid])
    assert coefficients(reaction) == {
        unit.name: -1, fusion.name: 1, "In(O2CH)3": -11, "PH3": -7, "HCOOH": 21,
    }  # fmt: skip


def test_what_cannot_balance_says_what_is_missing():
    cadmium, indium = build("Cd35Se20", "benzoate"), build("In37P20", "formate")
    with pytest.raises(InputError, match=r"give a reservoir with .*In.*P.*Se"):
        interconversion(cadmium, indium, [precursor("Cd2+")])
    with pytest.raises(InputError, match="another reservoir is needed"):
        balanced([atoms({"H": 2}, "H2")], [atoms({"O": 2}, "O2")], [atoms({"H": 2, "O": 1}, "H2O")])
    helium, ion = atoms({"He": 1}, "He"), atoms({"He": 1}, "He2+").replace(charge=2)
    for reservoirs in ([], [atoms({"H": 2}, "H2")]):
        with pytest.raises(InputError, match=r"balance \(charge \+2\): give a reservoir with charge"):
            balanced([helium], [ion], reservoirs)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 4)), min_size=2, max_size=4))
def test_random_equations_balance_or_are_refused(numbers):
    species = [
        atoms({"C": c, "O": o, "H": 2 * h}, f"C{c}O{o}H{2 * h}#{n}") for n, (c, o, h) in enumerate(numbers)
    ]
    try:
        reaction = balanced(species[:1], species[1:2], species[2:])
    except InputError:
        return
    assert not reaction.imbalance()
    assert gcd(*(int(n) for _, n in reaction.species)) == 1


@pytest.mark.parametrize("site", [1, 2])
def test_binding_leaves_a_vacancy_and_a_neutral_complex(site):
    reaction = binding(build("In4P"), site)
    rest, complex_ = reaction.species[1][0], reaction.species[2][0]
    assert rest.composition["In"] == 3
    assert complex_.name == "In(O2CH)3"
    assert topology(rest).charge_balance.difference == 0
    assert reaction.site == site


@pytest.mark.parametrize("ligand", ["benzenethiolate", "benzeneselenolate"])
def test_a_cation_leaves_with_thiolates_and_selenolates_of_its_neighbours(ligand):
    cluster = fragment("Cd2Se", ligand)
    site, neighbour = topology(cluster).metals
    while own := [n for n, lig in enumerate(topology(cluster).ligands) if site in lig.metals]:
        cluster = remove_ligand(cluster, own[0])
    while len(topology(cluster).ligands) < 2:
        cluster = add_ligand(cluster, ligand, neighbour)
    rest, complex_ = (species for species, _ in binding(cluster, site).species[1:])
    assert (rest.composition["Cd"], complex_.composition["C"]) == (1, 12)


def test_displacement_takes_neutral_ligands_along():
    reaction = displacement(build("In4P"), 2, "methylamine", n=2)
    assert [n for _, n in reaction.species] == [-1, -2, 1, 1]
    complex_ = reaction.species[3][0]
    assert len(topology(complex_).ligands) == 5
    assert reaction.tags["n"] == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: binding(build("In4P"), 0), "is no cation"),
        (lambda: displacement(build("In4P"), 1, "formate"), "only neutral ligands displace"),
        (lambda: displacement(build("In4P"), 1, "ammonia", n=0), "n must be at least 1"),
    ],
)
def test_bad_input_is_one_clear_line(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_energies_of_given_reactions_are_a_flow_of_their_own():
    complexes = [precursor(ion) for ion in ("Zn2+", "Cd2+")]
    swapped = [precursor(ion, "acetate") for ion in ("Zn2+", "Cd2+")]
    reaction = balanced([complexes[0], swapped[1]], [complexes[1], swapped[0]], label="scrambling")
    maker = ReactionsMaker(relax_maker=RelaxMaker(level="mace:msc-small", fmax=0.1))
    flow = Flow([maker.make([reaction])])
    responses = run_locally(flow, store=JobStore(MemoryStore()), ensure_success=True)
    outputs = [r.output for indices in responses.values() for r in indices.values()]
    energies = next(o for o in outputs if isinstance(o, ReactionEnergies))
    assert len(energies.species) == 4
    assert energies.reactions[0].label == "scrambling"
    total = {s.name: s.energy for s in energies.species}
    expected = sum(n * total[cluster.name] for cluster, n in reaction.species)
    assert energies.reactions[0].energy == pytest.approx(expected)
