"""The stable composition is the lower hull of cost against the number of ions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mscflow.builder import build
from mscflow.builder.edit import swap_elements
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.levels import parse_level
from mscflow.reactions.energies import ReactionEnergies, ReactionEnergy, collect
from mscflow.reactions.exchange import exchange, exchanges
from mscflow.reactions.reaction import Reaction
from mscflow.reactions.stability import Composition, compositions, outgoing, stable_ranges
from mscflow.tasks.relax import Relaxation


def costs(*energies: float) -> list[Composition]:
    return [Composition(n, energy, f"{n}") for n, energy in enumerate((0.0, *energies))]


def test_one_ion_is_stable_above_its_cost():
    without, with_one = stable_ranges(costs(0.3))
    assert (without.low, without.high) == (-np.inf, 0.3)
    assert (with_one.low, with_one.high) == (0.3, np.inf)


def test_a_composition_above_the_hull_is_never_stable():
    found = stable_ranges(costs(1.0, 0.4))
    assert [part.composition.n for part in found] == [0, 2]
    assert found[1].low == 0.2


@pytest.mark.parametrize("above", [0.0, 0.1, 2.0])
def test_a_badly_arranged_reactant_is_no_good_site(above):
    energies = two_arrangements(above)
    without, with_one = compositions(energies, "Ga3+")
    assert (without.energy, with_one.energy) == (0.0, pytest.approx(0.3))
    best, other = energies.reactions
    assert (best.arrangement, best.energy, best.offset) == (1, pytest.approx(0.3), 0.0)
    assert (other.energy, other.offset) == (pytest.approx(0.5 - above), pytest.approx(above))
    assert ReactionEnergy(**best.model_dump(exclude={"offset", "gibbs_offset"})) == best


def test_costs_against_different_outgoing_complexes_are_not_compared():
    mixed = swap_elements(build("In4P"), {"In": "Ga"}, [1])
    reactions = [r for n in (1, 2) for r in exchanges(mixed, "Zn2+", n, "all")]
    energies: dict[Cluster, float] = {cluster: 0.0 for r in reactions for cluster, _ in r.species}
    for reaction in reactions:
        energies[reaction.species[2][0]] = 0.1 if 1 in reaction.tags["sites"] else 0.5
    document = collected(reactions, energies)
    assert sorted(outgoing(document, "Zn2+")) == ["Ga", "GaIn", "In"]
    for replaced, cost in (("Ga", {1: 0.1}), ("In", {1: 0.5, 2: 0.5}), ("GaIn", {2: 0.1})):
        found = compositions(document, "Zn2+", replaced)
        assert {item.n: item.energy for item in found[1:]} == pytest.approx(cost)
    assert compositions(document, "Zn2+")[0].n == 0
    with pytest.raises(InputError, match="no exchange of Zn2\\+ for Al among"):
        compositions(document, "Zn2+", "Al")


def two_arrangements(above: float) -> ReactionEnergies:
    """Ga in In4P and in its mirror image, whose reactant lies `above` / eV higher, its product 0.2 eV."""
    first = build("In4P")
    mirrored = first.replace(positions=-first.positions)
    energies: dict[Cluster, float] = {}
    reactions = []
    for number, (reactant, high, cost) in enumerate(((first, 0.0, 0.3), (mirrored, above, 0.5)), start=1):
        (reaction,) = exchange(reactant, "Ga3+", [1])
        reactions.append(replace(reaction, tags={**reaction.tags, "arrangement": number}))
        energies = {cluster: 0.0 for cluster, _ in reaction.species} | energies
        energies |= {reactant: high, reaction.species[2][0]: cost}
    return collected(reactions, energies)


def collected(reactions: list[Reaction], energies: dict[Cluster, float]) -> ReactionEnergies:
    """Energies / eV of species as a document."""
    level = parse_level("gfn2-xtb")
    results = {
        cluster.hash: Relaxation(
            input_hash="", cluster=cluster, level=level, level_text=level.text,
            level_description="", energy=energy, converged=True, n_force_calls=1, max_force=0.0, fmax=0.1,
        )
        for cluster, energy in energies.items()
    }  # fmt: skip
    return collect(reactions, results, level.text)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=8), st.floats(-5, 5))
def test_the_stable_one_is_the_lowest_at_every_potential(energies, potential):
    found = costs(*energies)
    lowest = min(item.energy - item.n * potential for item in found)
    here = next(part for part in stable_ranges(found) if part.low <= potential <= part.high)
    assert abs(here.composition.energy - here.composition.n * potential - lowest) < 1e-9
