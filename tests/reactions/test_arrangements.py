"""Exchange energies over several arrangements of the ligands."""

import numpy as np
import pytest
from flows_for_tests import fail
from jobflow import Flow, OnMissing, run_locally
from runs_for_tests import rows

import mscflow
from mscflow.builder import build
from mscflow.campaign import parse_campaign
from mscflow.errors import InputError
from mscflow.jobs import ExchangeMaker, RelaxMaker
from mscflow.reactions.energies import ReactionEnergies, spreads
from mscflow.report import CampaignResults
from mscflow.report.tables.energies import spread_table
from mscflow.tasks.relax import relax

CAMPAIGN = """
name: arrangements
structure: {build: In4P}
relax: {level: gfn2-xtb+pairs, fmax: 0.5}
exchange: {ions: [Ga3+], sites: [1, 2], shells: 2}
analyse: false
"""


def test_best_mean_and_spread_of_two_arrangements():
    campaign = parse_campaign(CAMPAIGN)
    flow = campaign.flow(campaign.cluster())
    responses = run_locally(flow, log=False, ensure_success=True)
    outputs = [r.output for by_index in responses.values() for r in by_index.values()]
    energies = next(o for o in outputs if isinstance(o, ReactionEnergies))
    assert {row.arrangement for row in energies.reactions} == {1, 2}
    assert all(row.label.startswith(f"arrangement {row.arrangement}: Ga3+") for row in energies.reactions)
    (spread,) = spreads(energies)
    expected = [min(r.energy for r in energies.reactions if r.arrangement == k) for k in (1, 2)]
    assert sorted(spread.lowest) == pytest.approx(sorted(expected))
    (row,) = spread_table(CampaignResults(name="x", exchange=energies)).rows
    assert float(row[4]) == pytest.approx(np.mean(expected), abs=1e-3)
    names = {name for s in energies.species if (name := s.name).startswith("In4P")}
    assert {"In4P(O2CH)9", "In4P(O2CH)9 (arrangement 2)", "In4P(O2CH)9 (arrangement 2) Ga@In1"} <= names
    references = [s for s in energies.species if s.name == "Ga(O2CH)3"]
    assert len(references) == 1  # once for both arrangements


def test_an_arrangement_that_reacted_stops_no_other():
    """GFN2-xTB lets phosphide take oxygen from the second arrangement: what is left is no formate."""
    campaign = parse_campaign(CAMPAIGN.replace("+pairs", ""))
    responses = run_locally(campaign.flow(campaign.cluster()), log=False, ensure_success=True)
    outputs = [r.output for by_index in responses.values() for r in by_index.values()]
    energies = next(o for o in outputs if isinstance(o, ReactionEnergies))
    assert {row.arrangement for row in energies.reactions} == {1}
    assert any("arrangement 2, Ga3+: no molecular reference" in line for line in energies.failed)


def test_an_arrangement_that_failed_keeps_its_number(tmp_path):
    first, third = (relax(build("InL3", seed=seed), "gfn2-xtb", fmax=0.5) for seed in (0, 1))
    failed = fail()
    relaxer = RelaxMaker(level="gfn2-xtb", fmax=0.5)
    exchange = ExchangeMaker(ions=("Ga3+",), sites="all", relax_maker=relaxer)
    made = exchange.make(first.cluster, first, [failed.output, third])
    made.config.on_missing_references = OnMissing.NONE
    alone = exchange.make(failed.output.cluster, failed.output, [third])
    alone.config.on_missing_references = OnMissing.NONE
    responses = mscflow.run(Flow([failed, made, alone]), dir=tmp_path)
    outputs = [r.output for by_index in responses.values() for r in by_index.values()]
    energies = next(o for o in outputs if isinstance(o, ReactionEnergies))
    assert {row.arrangement for row in energies.reactions} == {1, 3}
    (error,) = (row.error for row in rows(tmp_path) if row.uuid == alone.uuid)
    assert "CalculationError: the cluster could not be relaxed: see the job that failed" in error


def test_arrangements_of_a_file_are_refused():
    campaign = parse_campaign(CAMPAIGN.replace("relax: {level: gfn2-xtb+pairs, fmax: 0.5}\n", ""))
    with pytest.raises(InputError, match="shells needs a built cluster"):
        campaign.flow(campaign.cluster())
