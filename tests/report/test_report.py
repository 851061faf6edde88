"""A report is made from validated documents, whole or partial, and is safe whatever is in them."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from mscflow import interconversion, run
from mscflow.analysis.spectra import MeasuredSpectrum
from mscflow.builder import precursor
from mscflow.builder.fragments import fragment
from mscflow.cli.campaigns import results_of
from mscflow.jobs import ReactionsMaker, RelaxMaker, StructureMaker
from mscflow.levels import PySCF
from mscflow.report import CampaignResults, write_images, write_report
from mscflow.report.comparison import exchange_plot, exchange_table
from mscflow.report.methods import bibtex, methods_paragraph, references
from mscflow.report.page import all_plots, render, summary
from mscflow.report.plots import (
    density_of_states_plot,
    reaction_plot,
    separations_plot,
    stability_plot,
)
from mscflow.report.tables.electronic import bond_orders_table, charges_table, scf_table, states_table
from mscflow.report.tables.energies import stability_table
from mscflow.report.tables.structure import separations_table
from mscflow.tasks.refine import refine

PARTS = ("structure", "relaxation", "analysis", "vibrations", "refinement", "exchange", "excitations")


def test_all_parts_are_read_and_shown(documents, jobs, tmp_path):
    results = CampaignResults.from_documents(documents, jobs, name="demo", campaign="name: demo\n")
    assert all(getattr(results, part) is not None for part in PARTS)
    assert results.problems == []
    text = write_report(results, tmp_path / "report.html").read_text()
    relaxation = results.relaxation
    for shown in (
        f"{relaxation.energy:.4f} eV",
        "In1–In2",
        "symmetric bridging",
        "C–H stretching",
        f"{results.exchange.reactions[0].energy:+.3f}",
        "HOMO → LUMO (0.9)",
        "not a crystal structure",
        "gfn2-xtb",
        "pbe/def2-svp",
        "10.1021/acs.jctc.8b01176",
        "name: demo",
    ):
        assert shown in text, shown
    assert len(text) < 10e6


def test_cells_of_tables_are_the_numbers_of_the_documents(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    states = states_table(results)
    assert states.columns[1:4] == ("energy / eV", "wavelength / nm", "oscillator strength")
    assert [row[:4] for row in states.rows] == [
        ("S1", "4.100", "302.4", "0.0200"),
        ("S2", "4.300", "288.3", "0.1100"),
        ("S3", "4.600", "269.5", "0.0000"),
    ]
    pairs = separations_table(results)
    positions = results.analysis.cluster.positions
    assert pairs.columns[1] == "separation / Å"
    assert len(pairs.rows) == 6
    for name, distance, *_ in pairs.rows:
        i, j = (int(atom.removeprefix("In")) for atom in name.split("–"))
        assert float(distance) == pytest.approx(np.linalg.norm(positions[i] - positions[j]), abs=6e-4)
    needed = scf_table(results)
    fields = [dict(zip(needed.columns, row, strict=True)) for row in needed.rows]
    assert [(row["part"], row["geometry"]) for row in fields] == [("refinement", "0"), ("excitations", "0")]
    for row in fields:
        assert (row["cycles"], row["energy / eV"]) == ("11", "-1000.000000")


def test_nothing_is_loaded_from_elsewhere(documents, jobs):
    text = render(CampaignResults.from_documents(documents, jobs, name="demo"))
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)\s*=", text)
    assert "@import" not in text


@pytest.mark.parametrize("gone", PARTS)
def test_a_missing_part_is_named_with_its_reason(documents, jobs, gone):
    words = dict(
        zip(PARTS, ("structure", "relax", "analyse", "vibrate", "refine", "exchange", "excite"), strict=True)
    )
    kept = [d for d in documents if d["name"].split()[0] != words[gone]]
    for job in jobs:
        if job["name"].split()[0] == words[gone]:
            job.update(state="failed", error="Traceback\nCalculationError: it broke")
    results = CampaignResults.from_documents(kept, jobs, name="demo")
    assert f"{gone}: CalculationError: it broke" in results.missing()
    assert "it broke" in render(results)


def test_an_empty_run_still_has_a_report(jobs):
    for job in jobs:
        job.update(state="waiting", n_attempts=0)
    text = render(CampaignResults.from_documents([], jobs, name="demo"))
    assert text.count("not there yet") >= 5


def test_names_in_documents_are_text_only(documents, jobs):
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    poisoned = copy.deepcopy(documents)
    poisoned[0]["output"]["cluster"]["name"] = evil
    poisoned[0]["output"]["cluster"]["provenance"] = {"note": evil}
    poisoned[1]["output"]["level_description"] = evil
    poisoned[1]["output"]["level_text"] = "</script>" + evil
    poisoned[3]["output"]["reactions"][0]["label"] = "</script>" + evil
    text = render(CampaignResults.from_documents(poisoned, jobs, name=evil, campaign=evil))
    assert "<script>alert" not in text
    assert "<img" not in text


def test_documents_of_unknown_or_wrong_shape_become_problems(documents, jobs):
    broken = copy.deepcopy(documents)
    broken[1]["output"]["energy"] = "high"
    stranger = {"name": "relax x", "output": {"@module": "os", "@class": "system", "command": "false"}}
    results = CampaignResults.from_documents([stranger, *broken], jobs, name="demo")
    assert results.relaxation is None
    assert any("relax x" in problem and "energy" in problem for problem in results.problems)
    assert any("relax x" in warning for warning in results.warnings())


def test_species_of_reactions_do_not_stand_in_for_the_campaigns_own_parts(documents, jobs):
    species = copy.deepcopy(documents[1])
    species["name"] = "relax Ga(O2CH)3"
    jobs.append({"name": "relax Ga(O2CH)3", "state": "done"})
    results = CampaignResults.from_documents(
        [species, *[d for d in documents if d["name"] != "relax x"]], jobs, name="d"
    )
    assert results.relaxation is None


def test_a_species_is_no_part_of_the_campaign_whose_flow_did_not_begin_with_it(documents, jobs):
    kept = [job for job in jobs if job["name"] != "refine x"]
    kept.append({"name": "refine x", "state": "done", "is_own": False})
    results = CampaignResults.from_documents(documents, kept, name="d")
    assert results.refinement is None
    assert results.missing() == []


@pytest.mark.parametrize("name", ["growth energies", "doping energies", "reactions energies"])
def test_reaction_energies_are_known_by_their_content(documents, jobs, name):
    energies = copy.deepcopy(documents[3])
    energies["name"] = name
    other = copy.deepcopy(energies)
    for row in other["output"]["reactions"]:
        row.update(ion="", label="growth", leaving=[])
    level = other["output"]["geometry_level"]
    found = [
        *(d for d in documents if d["output"]["@class"] != "ReactionEnergies"),
        energies,
        other,
        {
            **other,
            "name": f"at {level} energies",
            "output": {**other["output"], "failed": ["an intermediate"]},
        },
    ]
    results = CampaignResults.from_documents(found, jobs, name="demo")
    assert [row.ion for row in results.exchange.reactions] == ["Ga3+"] * len(results.exchange.reactions)
    assert results.reactions.reactions[0].label == "growth"
    assert results.reactions.failed == []
    assert "Reaction energies, electronic" in render(results)


def test_a_run_of_given_reactions_reports_them(tmp_path):
    small, large = fragment("Cd2Se", "chloride"), fragment("Cd4Se", "chloride")
    step = interconversion(small, large, [precursor("Cd2+", "chloride")])
    maker = ReactionsMaker(name="growth", relax_maker=RelaxMaker(level="gfn2-xtb", fmax=0.5))
    run(maker.make([step]), dir=tmp_path / "growth")
    results = results_of(tmp_path / "growth")
    assert results.reactions.reactions[0].equation == step.equation
    assert results.relaxation is None


def with_rows(results, *changes):
    """Results whose exchanges are copies of the first, each with changes."""
    first = results.exchange.reactions[0]
    rows = [first.model_copy(update=change) for change in changes]
    energies = results.exchange.model_copy(update={"reactions": rows, "energy_level": "a, b"})
    return results.model_copy(update={"exchange": energies})


def test_only_energies_of_the_same_number_and_level_are_compared(documents, jobs):
    results = with_rows(
        CampaignResults.from_documents(documents, jobs, name="demo"),
        {"energy": -1.0, "level": "a", "n": 2, "site": None},
        {"energy": 0.1, "level": "a"},
        {"energy": 0.3, "level": "a"},
        {"energy": -2.0, "level": "a", "changed": ["demo"]},
        {"energy": 0.7, "level": "b"},
        {"energy": -3.0, "level": "b", "ion": "Al3+", "changed": ["demo"]},
    )
    assert [row[1:] for row in exchange_table([("demo", results)]).rows] == [
        ("Al3+ *", "1", "-3.000", "-3.000", "1", "b"),
        ("Ga3+", "1", "+0.100", "+0.200", "2", "a"),
        ("Ga3+", "1", "+0.700", "+0.700", "1", "b"),
        ("Ga3+", "2", "-1.000", "-1.000", "1", "a"),
    ]
    assert sorted(exchange_plot([("demo", results)])["data"][0]["x"]) == [-3.0, -1.0, 0.1, 0.3, 0.7]
    lowest = [(value[:5], level) for what, value, level in summary(results) if what.endswith("energy, Ga3+")]
    assert lowest == [("+0.10", "a"), ("+0.70", "b")]
    text = re.search(r'id="structures">(.*?)</script>', render(results), re.DOTALL).group(1)
    assert json.loads(text)[0]["sites"][0]["text"] == "Ga3+ +0.10 eV, Al3+ -3.00 eV *"


def test_several_arrangements_are_told_apart(documents, jobs):
    results = with_rows(
        CampaignResults.from_documents(documents, jobs, name="demo"),
        {"energy": 0.1, "level": "a", "offset": 0.55},
        {"energy": 0.3, "level": "a", "arrangement": 2},
    )
    (line,) = [line for line in results.warnings() if "arrangement" in line]
    assert "arrangement 2 of the ligands is 0.55 eV lower than the structure that is analysed, at a" in line
    figure = reaction_plot(results.exchange)
    assert figure["data"][0]["x"] == pytest.approx([0.65, 0.3])
    assert figure["layout"]["xaxis"]["title"]["text"] == "ΔE from the lowest arrangement / eV"
    page = render(results)
    for column in (
        "ΔE, own arrangement / eV",
        "ΔE from the lowest arrangement / eV",
        "ΔE from its own reactant",
    ):
        assert column in page


def test_what_exchange_energies_are_good_for_stands_beside_them(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    assert "Energies at gfn2-xtb are for ranking the sites" in " ".join(render(results).split())
    level = {"energy_level": "pbe-d3bj/def2-svp"}
    refined = CampaignResults(name="demo", exchange=results.exchange.model_copy(update=level))
    assert "are for ranking the sites" not in render(refined)


def test_chemical_potentials_of_different_ions_are_different(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    title = stability_plot(results.exchange)["layout"]["xaxis"]["title"]["text"]
    assert title == "Δμ of Ga3+ / eV"
    two = with_rows(results, {"energy": 0.1}, {"energy": 0.3, "ion": "Zn2+"})
    title = stability_plot(two.exchange)["layout"]["xaxis"]["title"]["text"]
    assert title == "Δμ of the ion of each line / eV"
    assert "Δμ of different ions are different quantities" in " ".join(render(two).split())


def test_an_ion_that_replaces_two_elements_has_two_chemical_potentials(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    two = with_rows(results, {"energy": 0.1, "replaced": ["In"]}, {"energy": 0.3, "replaced": ["Cd"]})
    ions = [row[0] for row in stability_table(two).rows]
    assert set(ions) == {"Ga3+ for In", "Ga3+ for Cd"}
    names = {line["name"] for line in stability_plot(two.exchange)["data"]}
    assert names == {"as it was", "1 Ga3+ for In", "1 Ga3+ for Cd"}


def test_a_missing_exchange_names_the_job_that_failed(documents, jobs):
    jobs[-1].update(state="failed", error="Traceback\nCalculationError: no species")
    results = CampaignResults.from_documents(documents[:3], jobs, name="demo")
    assert "exchange: job 'exchange x energies': CalculationError: no species" in results.missing()


def test_sentences_for_a_paper_are_true(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    assert "without vibrations and solvent" in " ".join(render(results).split())
    model = "mace:/home/me/pbe-d3bj/x.model"
    loose = {"converged": False, "max_force": 0.7, "level_text": model}
    level = "pbe0/def2-svp[solvent=toluene]"
    changed = CampaignResults(
        name="demo",
        relaxation=results.relaxation.model_copy(update=loose),
        exchange=results.exchange.model_copy(update={"energy_level": level}),
    )
    assert "without convergence: the largest force on an atom is 0.700 eV/Å" in methods_paragraph(changed)
    assert "until the largest force" not in methods_paragraph(changed)
    page = " ".join(render(changed).split())
    assert "without vibrations, in a solvent where the level names one" in page
    assert "vibrations and solvent" not in page
    network = bibtex(CampaignResults(name="demo", relaxation=changed.relaxation))
    assert references()["mace"] in network
    assert not [key for key in ("pyscf", "pbe", "d3") if references()[key] in network]
    assert references()["pyscf"] in bibtex(changed)


def test_every_separation_lies_within_the_bins(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    pair = results.analysis.separations[0]
    for distance in (2.61, 3.15, 7.0):
        results.analysis.separations.append(replace(pair, distance=distance))
    for trace in separations_plot(results)["data"]:
        assert all(trace["xbins"]["start"] <= x < trace["xbins"]["end"] for x in trace["x"])


def test_a_campaign_that_is_none_is_no_obstacle(tmp_path):
    for text, n_problems in (("notes of mine", 0), ("name: x\nstructure: {made: In4P}\n", 1)):
        run(StructureMaker().make(precursor("Zn2+")), dir=tmp_path / str(n_problems), campaign=text)
        results = results_of(tmp_path / str(n_problems))
        assert results.campaign == text
        assert len(results.problems) == n_problems
        assert all("structure.made" in problem for problem in results.problems)


def test_charges_bond_orders_and_states_of_a_refinement():
    refinement = refine(precursor("Zn2+", "chloride"), PySCF(grid=0))
    results = CampaignResults(name="zinc", refinement=refinement)
    charges = {row[0]: row for row in charges_table(results).rows}
    assert charges["Zn"][2] == "1"
    for kind in (3, 4):
        zinc, chlorine = (float(charges[symbol][kind].split()[0]) for symbol in ("Zn", "Cl"))
        assert zinc == pytest.approx(-2 * chlorine, abs=2e-3)
    (bond,) = bond_orders_table(results).rows
    assert bond[:2] == ("Cl–Zn", "2")
    drawn = density_of_states_plot(results)["data"]
    assert [curve["name"] for curve in drawn] == ["core", "surface cations", "ligands"]
    page = render(results)
    assert 'data-plot="density-of-states"' in page
    assert "Mayer bond orders" in page


def test_a_measured_spectrum_lies_over_the_computed_one(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    first = results.excitations.states[0].wavelength
    wavelengths = np.linspace(first - 60, first + 60, 121)
    absorbance = np.exp(-(((wavelengths - first - 7) / 10) ** 2))
    measured = MeasuredSpectrum(source="lab.csv", wavelengths=wavelengths, absorbance=absorbance)
    results.excitations = results.excitations.model_copy(update={"measured": measured})
    page = render(results)
    assert "First absorption maximum" in page
    assert f"measured {first + 7:.0f} nm" in page
    assert "measured (lab.csv), scaled" in page


@pytest.mark.parametrize(("form", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_every_plot_is_a_file_on_request(documents, jobs, tmp_path, form, start):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    paths = write_images(results, tmp_path / "images", form)
    assert {path.stem for path in paths} == set(all_plots(results))
    for path in paths:
        assert path.read_bytes().startswith(start)
    if form == "svg":
        assert ">pairs</text>" in (tmp_path / "images" / "separations.svg").read_text()


def test_exchange_sites_are_labelled_with_their_energies(documents, jobs):
    results = CampaignResults.from_documents(documents, jobs, name="demo")
    text = re.search(r'id="structures">(.*?)</script>', render(results), re.DOTALL).group(1)
    lowest = min(row.energy for row in results.exchange.reactions)
    for structure in json.loads(text):
        assert structure["sites"] == [{"atom": 1, "text": f"Ga3+ {lowest:+.2f} eV"}]
