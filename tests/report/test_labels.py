"""Every number of a page says what it is of: level, model, method, structure."""

from __future__ import annotations

import shutil

import pytest
from jobflow import Flow

from mscflow import run
from mscflow.builder import build, precursor
from mscflow.cli.campaigns import results_of
from mscflow.errors import InputError
from mscflow.jobs import RelaxMaker, named
from mscflow.levels import MACE
from mscflow.levels.potentials.registry import shipped_models
from mscflow.reactions.energies import collect, merged_energies
from mscflow.reactions.exchange import exchange
from mscflow.report import CampaignResults
from mscflow.report.comparison import excitations_table, separations_plot, separations_table, spectra_plot
from mscflow.report.methods import bibtex, exchange_errors, methods_paragraph, references
from mscflow.report.notebook import document_html
from mscflow.report.page import render, summary
from mscflow.report.plots import stability_plot
from mscflow.report.tables.energies import species_table, spread_table, stability_table
from mscflow.report.tables.record import levels_table
from mscflow.tasks.excite import excite
from mscflow.tasks.relax import relax


def test_a_model_that_is_gone_is_named_by_the_bytes_that_were_used(tmp_path):
    file = tmp_path / "mine.model"
    shutil.copy(shipped_models()["msc-small"].path, file)
    level = MACE(model=str(file)).trusting()
    used = level.hash
    start = precursor("In3+")
    reactions = exchange(start, "Ga3+")
    species = {c.hash: c for reaction in reactions for c, _ in reaction.species}
    relaxed = {key: relax(c, level, fmax=0.5) for key, c in species.items()}
    energies = collect(reactions, relaxed, level.text)
    file.unlink()
    with pytest.raises(InputError):
        _ = level.hash
    relaxation = relaxed[reactions[0].species[0][0].hash]
    results = CampaignResults(name="demo", relaxation=relaxation, exchange=energies)
    assert [row[-1] for row in levels_table(results).rows] == [used[:12]] * 2
    assert used[:12] in render(results)
    assert used[:12] in document_html(energies)
    earlier = relaxation.model_copy(update={"level_hash": ""})
    assert levels_table(CampaignResults(name="earlier", relaxation=earlier)).rows[0][-1] == "–"


def test_errors_are_those_of_the_levels_they_were_measured_at():
    (one,) = exchange_errors(["mace:msc-small", "gfn2-xtb+pairs"]).split(". ")
    assert "mace:msc-small and gfn2-xtb+pairs were off by up to 0.8 eV" in one
    assert "0.8 eV" not in exchange_errors(["gfn2-xtb", "mace:mine"])
    assert "at gfn2-xtb were off by up to 3.7 eV" in exchange_errors(["gfn2-xtb", "mace:mine"])
    assert exchange_errors(["mace:mine"]) == "The error of exchange energies at mace:mine was not measured."


def test_excitations_of_different_methods_are_told_apart():
    cluster = precursor("Zn2+")
    named_results = [
        (method, CampaignResults(name=method, excitations=excite(cluster, "pbe/def2-svp[grid=0]", 1, method)))
        for method in ("tda-ris", "gap")
    ]
    levels = [row[-1] for row in excitations_table(named_results).rows]
    assert [level.partition(",")[0] for level in levels] == ["TDA-ris", "differences of orbital energies"]
    curves = [curve["name"] for curve in spectra_plot(named_results)["data"]]
    for (_, results), level, curve in zip(named_results, levels, curves, strict=True):
        assert level in [shown for _, _, shown in summary(results)]
        assert level in curve
        assert level in render(results)
    keys = [what for _, results in named_results for what, *_ in summary(results)]
    assert keys == ["Lowest singlet excitation", "Lowest difference of orbital energies"]


def test_separations_say_whose_they_are(documents, jobs):
    relaxed = CampaignResults.from_documents(documents, jobs, name="demo")
    given = relaxed.model_copy(update={"analysis": relaxed.analysis.model_copy(update={"of": "as given"})})
    both = [("a", relaxed), ("b", given)]
    table = separations_table(both)
    assert table.columns[1] == "structure"
    assert {row[:2] for row in table.rows} == {("a", "relaxed at gfn2-xtb"), ("b", "as given")}
    assert {box["name"].partition("<br>")[2] for box in separations_plot(both)["data"]} == {
        "relaxed at gfn2-xtb",
        "as given",
    }


def two_levels(results, **changes):
    """Exchanges of Ga at one level and of Zn at another one."""
    first = results.exchange
    rows = [
        row.model_copy(update={"ion": "Zn2+", "level": "other", **changes}) for row in first.reactions
    ] * 2
    rows[-1] = rows[-1].model_copy(update={"arrangement": 2})
    species = [species.model_copy(update={"level": "other"}) for species in first.species]
    update = {"energy_level": "other", "reactions": rows, "species": species, "temperature": 298.15}
    merged = merged_energies([first.model_copy(update=update), first])
    return results.model_copy(update={"exchange": merged})


def test_numbers_of_several_levels_carry_their_own(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    assert "level" not in species_table(results).columns
    mixed = two_levels(results)
    for table in (species_table(mixed), spread_table(mixed), stability_table(mixed)):
        cells = {row[table.columns.index("level")] for row in table.rows}
        assert cells == {"other", "gfn2-xtb"}, table.key
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_costs_of_compositions_say_what_energy_they_are(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    assert "cost ΔE / eV" in stability_table(results).columns
    free = two_levels(results, gibbs=0.3)
    table = stability_table(free)
    assert table.columns[3] == "cost ΔE or ΔG(298.15 K) / eV"
    assert {row[0] for row in table.rows} == {"Zn2+, ΔG(298.15 K)", "Ga3+, ΔE"}
    title = stability_plot(free.exchange)["layout"]["yaxis"]["title"]["text"]
    assert title == "Ω from ΔE or ΔG(298.15 K) / eV"


def test_sentences_name_what_was_held_and_what_did_not_converge(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    assert "held" not in methods_paragraph(results)
    assert "converge" not in methods_paragraph(results)
    changed = CampaignResults(
        name="demo",
        relaxation=relax(build("In4P"), "gfn2-xtb", fmax=1.0, fixed="core"),
        refinement=results.refinement.model_copy(
            update={"n_steps": 2, "converged": False, "max_force": 0.31}
        ),
        excitations=results.excitations.model_copy(update={"converged": False}),
    )
    text = methods_paragraph(changed)
    assert f"with {len(changed.relaxation.fixed)} atoms held where they were" in text
    assert "largest force on a free atom was below 1.0 eV/Å" in text
    assert "2 geometry steps without convergence (the largest force on an atom is 0.310 eV/Å)" in text
    assert "not all of them converged" in text
    page = " ".join(render(changed).split())
    assert "2 geometry steps, NOT converged" in page
    assert "NOT all converged" in page


def test_the_level_of_the_structures_is_cited(documents, jobs):
    exchange = CampaignResults.from_documents(documents, jobs, name="demo").exchange
    levels = {"geometry_level": "mace:msc-small", "energy_level": "pbe0/def2-svp"}
    assert references()["mace"] in bibtex(
        CampaignResults(name="demo", exchange=exchange.model_copy(update=levels))
    )


def test_a_run_of_several_clusters_draws_one_and_names_the_others(tmp_path):
    clusters = [precursor(ion) for ion in ("Zn2+", "In3+")]
    flow = Flow([named(RelaxMaker(level="gfn2-xtb", fmax=0.5), cluster) for cluster in clusters])
    run(flow, dir=tmp_path / "series")
    results = results_of(tmp_path / "series")
    name = results.relaxation.cluster.name
    (line,) = results.warnings()
    assert line == f"relaxation: that of 'relax {name}' is shown, 1 further of this run are not"
    page = render(results)
    assert 'id="viewer"' in page
    assert "Structure: not part of this campaign" not in page
    assert "This is a derived model, not a crystal structure" in page
