"""Ions that the model does not know: the whole reaction at another level, never a mixture."""

import pytest
from jobflow import run_locally

from mscflow.builder import build
from mscflow.campaign import parse_campaign
from mscflow.jobs import ExchangeMaker, RelaxMaker
from mscflow.reactions.energies import ReactionEnergies

CAMPAIGN = """
name: mixed
structure: {build: In4P}
relax: {level: "mace:msc-small"}
exchange: {ions: [Zn2+, Mn2+], sites: [1]}
"""


def test_a_reaction_is_computed_at_one_level():
    maker = ExchangeMaker(
        ions=("Ga3+", "Mn2+"), sites=[1], relax_maker=RelaxMaker(level="mace:msc-small", fmax=0.5)
    )
    responses = run_locally(maker.make(build("In4P")), log=False, ensure_success=True)
    outputs = [r.output for by_index in responses.values() for r in by_index.values()]
    merged = next(o for o in outputs if isinstance(o, ReactionEnergies) and "," in o.energy_level)
    levels = {row.ion: row.level for row in merged.reactions}
    assert levels == {"Ga3+": "mace:msc-small", "Mn2+": "gfn2-xtb"}
    reactant = [s for s in merged.species if s.name == "In4P(O2CH)9"]
    assert {s.level for s in reactant} == {"mace:msc-small", "gfn2-xtb"}
    assert any("was not trained on Mn" in line and "gfn2-xtb" in line for line in merged.failed)


def test_without_a_fallback_the_reaction_fails():
    maker = ExchangeMaker(
        ions=("Mn2+",), sites=[1], relax_maker=RelaxMaker(level="mace:msc-small"), fallback=None
    )
    with pytest.raises(RuntimeError):
        run_locally(maker.make(build("In4P")), log=False, ensure_success=True)


def test_a_campaign_says_so_before_it_runs():
    campaign = parse_campaign(CAMPAIGN)
    (warning,) = campaign.require(campaign.cluster())
    assert "was not trained on Mn" in warning
    assert "all species of the exchange for Mn2+ are computed with gfn2-xtb" in warning


def test_a_campaign_names_its_own_fallback_and_what_that_does_not_know():
    campaign = parse_campaign(CAMPAIGN.replace("sites: [1]}", "sites: [1], fallback: gfn2-xtb+pairs}"))
    said, about_fallback = campaign.require(campaign.cluster())
    assert "all species of the exchange for Mn2+ are computed with gfn2-xtb+pairs" in said
    assert "gfn2-xtb+pairs has no pair potentials for Mn" in about_fallback
    exchange = campaign.flow(campaign.cluster()).jobs[-1]
    assert exchange.maker.fallback == "gfn2-xtb+pairs"
