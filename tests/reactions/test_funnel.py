"""All candidates at the cheap level, the best ones at the dear one, each species once."""

import pytest
from flows_for_tests import FailingMaker
from jobflow import run_locally
from runs_for_tests import rows

import mscflow
from mscflow.builder import build, precursor
from mscflow.executors import STORE_FILE, Journal
from mscflow.jobs import ExchangeMaker, RelaxMaker
from mscflow.report import CampaignResults
from mscflow.report.plots import funnel_plot
from mscflow.report.tables.energies import funnel_table
from mscflow.tasks.relax import relax


def test_a_badly_arranged_reactant_does_not_go_on():
    """Two mirror images with the same product; the energy of one reactant is put 5 eV up."""
    relaxed = relax(build("In4P"), "gfn1-xtb", fmax=0.5)
    mirrored = relaxed.cluster.replace(positions=-relaxed.cluster.positions)
    other = relaxed.model_copy(update={"cluster": mirrored, "energy": relaxed.energy + 5.0})
    cheap, dear = RelaxMaker(level="gfn1-xtb", fmax=0.5), RelaxMaker(level="gfn2-xtb", fmax=0.5)
    maker = ExchangeMaker(ions=("Ga3+",), sites=[1], relax_maker=cheap, refine_maker=dear, best=1)
    made = maker.make(relaxed.cluster, relaxed, [other])
    responses = run_locally(made, log=False, ensure_success=True)
    documents = [r.output for by_index in responses.values() for r in by_index.values() if r.output]
    screening, best = (d for d in documents if type(d).__name__ == "ReactionEnergies")
    good, bad = screening.reactions
    assert (good.arrangement, bad.arrangement) == (1, 2)
    assert bad.energy < good.energy - 4.0
    assert bad.offset == pytest.approx(5.0)
    assert [row.arrangement for row in best.reactions] == [1]


def test_gibbs_energies_go_on_without_displacements(tmp_path):
    cheap, dear = RelaxMaker(level="gfn1-xtb", fmax=0.1), RelaxMaker(level="gfn2-xtb", fmax=0.1)
    maker = ExchangeMaker(
        ions=("Cd2+",), sites="all", relax_maker=cheap, refine_maker=dear, best=1, temperature=300.0
    )
    responses = mscflow.run(maker.make(precursor("Zn2+")), dir=tmp_path)
    found = [r.output for by_index in responses.values() for r in by_index.values()]
    *_, best = (document for document in found if type(document).__name__ == "ReactionEnergies")
    assert best.energy_level == "gfn2-xtb"
    assert best.reactions[0].gibbs is not None
    journal = Journal(tmp_path / STORE_FILE)
    texts = [journal.text(row.key) for row in journal.rows()]
    texts += [str(asked) for asked in journal.asked().values()]
    journal.close()
    assert any('"reduced_mass"' in text for text in texts)
    assert not any('"displacements": [' in text for text in texts)


def test_the_best_go_on_and_the_rest_is_named():
    cluster = build("In4P")
    cheap, dear = RelaxMaker(level="gfn1-xtb", fmax=0.5), RelaxMaker(level="gfn2-xtb", fmax=0.5)
    dear.name = "refine"
    maker = ExchangeMaker(
        ions=("Ga3+",), sites=[1, 2, 3], relax_maker=cheap, refine_maker=dear, best=1, n=2, limit=1
    )
    responses = run_locally(maker.make(cluster), log=False, ensure_success=True)
    documents = [r.output for by_index in responses.values() for r in by_index.values() if r.output]
    screening, best = (d for d in documents if type(d).__name__ == "ReactionEnergies")
    assert screening.energy_level == "gfn1-xtb"
    assert best.energy_level == "gfn2-xtb"
    assert [row.label for row in best.reactions] == [screening.reactions[0].label]
    assert {row.n for row in screening.reactions} == {1, 2}
    assert any("the best 1 of" in line for line in best.failed)
    assert any("placements were computed" in line for line in screening.failed)
    species = {s.name for s in best.species}
    assert len(species) == len(best.species) == 4
    results = CampaignResults.from_documents(
        [
            {
                "name": f"exchange In4P {stage}",
                "output": {"@class": "ReactionEnergies", **document.model_dump()},
            }
            for stage, document in (("screening", screening), ("energies", best))
        ],
        [{"name": "exchange In4P energies", "state": "done"}],
        name="funnel",
    )
    assert results.screenings == [screening]
    table = funnel_table(results)
    assert len(table.rows) == len(screening.reactions)
    assert [row[-1] != "–" for row in table.rows] == [True] + [False] * (len(table.rows) - 1)
    assert table.rows[0][-1] == f"{best.reactions[0].energy:+.3f}"
    lines = [trace for trace in funnel_plot(results)["data"] if len(trace["x"]) == 2]
    assert [line["x"] for line in lines] == [["gfn1-xtb", "gfn2-xtb"]]


def test_without_any_species_the_reason_is_said(tmp_path):
    maker = ExchangeMaker(
        ions=("Ga3+",), sites="all", relax_maker=FailingMaker(), refine_maker=RelaxMaker(), best=1
    )
    mscflow.run(maker.make(build("InL3")), dir=tmp_path)
    errors = {row.name: row.error for row in rows(tmp_path) if row.state == "failed"}
    assert "CalculationError: no species of the reactions" in errors["exchange best 1"]
