"""A reaction of which a species fell apart is named, and never the best."""

import numpy as np
import pytest

from mscflow.builder import build
from mscflow.reactions.energies import collect, spreads
from mscflow.reactions.exchange import exchange
from mscflow.reactions.reaction import distinct_species
from mscflow.reactions.stability import compositions
from mscflow.report import CampaignResults
from mscflow.report.page import summary
from mscflow.report.tables.energies import exchange_table
from mscflow.tasks.relax import relax


@pytest.fixture(scope="module")
def energies():
    """Exchanges at two sites; in the product of the lower one the new atom has left the core."""
    reactions = exchange(build("In4P"), "Ga3+", sites=[1, 2])
    found = {key: relax(member, "gfn1-xtb", fmax=50) for key, member in distinct_species(reactions).items()}
    best = min(reactions, key=lambda r: r.energy({key: result.energy for key, result in found.items()}))
    product = best.species[2][0]
    positions = product.positions.copy()
    positions[best.site] += 20.0 * np.eye(3)[0]
    broken = found[product.hash].model_copy(update={"cluster": product.replace(positions=positions)})
    return best, collect(reactions, {**found, product.hash: broken}, "gfn1-xtb")


def test_the_reaction_comes_last_and_names_the_species(energies):
    best, document = energies
    assert document.reactions[0].changed == []
    last = document.reactions[-1]
    assert (last.label, last.changed) == (best.label, [best.species[2][0].name])
    assert last.energy == min(row.energy for row in document.reactions)


def test_it_is_never_the_best(energies):
    best, document = energies
    assert best.label not in [item.label for item in compositions(document, "Ga3+")]
    results = CampaignResults(name="x", exchange=document)
    (value,) = (value for what, value, _ in summary(results) if what.startswith("Lowest"))
    assert document.reactions[0].label in value
    assert spreads(document) == []


def test_the_table_marks_it(energies):
    _, document = energies
    table = exchange_table(CampaignResults(name="x", exchange=document))
    assert [row[1].endswith("*") for row in table.rows] == [bool(row.changed) for row in document.reactions]
    assert "another reaction" in table.caption
