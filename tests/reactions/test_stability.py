"""The stable composition is the lower hull of cost against the number of ions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mscflow.reactions.stability import Composition, stable_ranges


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


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=8), st.floats(-5, 5))
def test_the_stable_one_is_the_lowest_at_every_potential(energies, potential):
    found = costs(*energies)
    lowest = min(item.energy - item.n * potential for item in found)
    here = next(part for part in stable_ranges(found) if part.low <= potential <= part.high)
    assert abs(here.composition.energy - here.composition.n * potential - lowest) < 1e-9
