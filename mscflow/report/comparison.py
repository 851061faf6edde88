"""One page that compares campaigns: key numbers side by side, separations, exchange energies, spectra."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mscflow.reactions.energies import ReactionEnergy
from mscflow.report.page import embed, fill, summary
from mscflow.report.plots import ION_COLOURS, Figure, figure_of
from mscflow.report.results import CampaignResults, comparable, excitation_level
from mscflow.report.tables import Table
from mscflow.whole_file import write_whole

Named = list[tuple[str, CampaignResults]]


def write_comparison(campaigns: Sequence[CampaignResults], path: Path) -> Path:
    """Write the page.

    Parameters
    ----------
    campaigns
        What is known of each, finished or not; two of one name are told apart by number.
    path
        The HTML file; it needs no other file and no network.

    Returns
    -------
    Path
        `path`.
    """
    named = _named(campaigns)
    makers = (numbers_table, separations_table, exchange_table, excitations_table)
    plots = {
        "separations": separations_plot(named),
        "exchange": exchange_plot(named),
        "spectra": spectra_plot(named),
    }
    text = fill(
        "comparison.html.jinja",
        names=[name for name, _ in named],
        warnings=[f"{name}: {warning}" for name, results in named for warning in results.warnings()],
        tables={table.key: table for make in makers if (table := make(named)).rows},
        plots=embed({key: figure for key, figure in plots.items() if figure["data"]}),
    )
    return write_whole(path, text)


def numbers_table(named: Named) -> Table:
    """Return the key numbers of each campaign, one row for each number, with its level."""
    found: dict[str, dict[str, str]] = {name: {} for name, _ in named}
    for name, results in named:
        for what, value, level in summary(results):
            before = f"{found[name][what]}; " if what in found[name] else ""
            found[name][what] = f"{before}{value} ({level})"
    names = dict.fromkeys(what for numbers in found.values() for what in numbers)
    rows = [
        ("Cluster", *(_formula(results) for _, results in named)),
        *((what, *(found[name].get(what, "–") for name, _ in named)) for what in names),
    ]
    return Table("numbers", "Key numbers", ("", *(name for name, _ in named)), rows)


def separations_table(named: Named) -> Table:
    """Return statistics of the surface cation separations, those with a bridging ligand only apart."""
    rows = []
    for name, results in named:
        for kind, distances in _surface(results).items():
            statistics = (min(distances), float(np.mean(distances)), float(np.std(distances)))
            numbers = (str(len(distances)), *(f"{value:.3f}" for value in statistics))
            rows.append((name, _analysed(results), kind, *numbers))
    columns = ("campaign", "structure", "pairs", "number", "shortest / Å", "mean / Å", "spread / Å")
    return Table("separations", "Surface cation separations", columns, rows)


def exchange_table(named: Named) -> Table:
    """Return the lowest and the mean exchange energy of each ion, number of ions and level.

    Energies count from the lowest reactant.
    """
    rows = []
    for name, results in named:
        for (ion, n, level), members in comparable(results.exchange).items():
            energies = [row.cost for row in members]
            numbers = (f"{min(energies):+.3f}", f"{np.mean(energies):+.3f}", str(len(energies)))
            rows.append((name, f"{ion}{_mark(members)}", str(n), *numbers, level))
    columns = ("campaign", "ion", "number", "lowest ΔE / eV", "mean ΔE / eV", "reactions", "level")
    caption = "Exchange energies of reactions without changed species"
    if any(row[1].endswith("*") for row in rows):
        caption += "; * a species of each lost a core bond or a ligand: the energy is of another reaction"
    return Table("exchange", caption, columns, rows)


def excitations_table(named: Named) -> Table:
    """Return the first excitation of each campaign."""
    rows = []
    for name, results in named:
        if results.excitations is not None and results.excitations.states:
            first = results.excitations.states[0]
            numbers = (f"{first.energy:.3f}", f"{first.wavelength:.0f}", f"{first.oscillator_strength:.3f}")
            rows.append((name, *numbers, excitation_level(results.excitations)))
    columns = ("campaign", "first excitation / eV", "wavelength / nm", "oscillator strength", "method, level")
    return Table("excitations", "Lowest singlet excitations", columns, rows)


def separations_plot(named: Named) -> Figure:
    """Return all surface separations of each campaign as a box with its points."""
    data = [
        {
            "type": "box",
            "name": f"{name}, {kind}<br>{_analysed(results)}",
            "x": distances,
            "boxpoints": "all",
            "marker": {"color": ION_COLOURS[n % len(ION_COLOURS)]},
        }
        for n, (name, results) in enumerate(named)
        for kind, distances in _surface(results).items()
    ]
    figure = figure_of(data, "surface cation–cation separation / Å", "", height=140 + 60 * len(data))
    figure["layout"]["yaxis"].update(automargin=True, autorange="reversed")
    figure["layout"]["showlegend"] = False
    return figure


def exchange_plot(named: Named) -> Figure:
    """Return the exchange energies of each ion, number of ions and level, a colour for each campaign."""
    data = []
    for n, (name, results) in enumerate(named):
        found = comparable(results.exchange).items()
        points = [
            (row.cost, f"{f'{many} ' if many > 1 else ''}{ion}{_mark(rows)}<br>{level}")
            for (ion, many, level), rows in found
            for row in rows
        ]
        if points:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [energy for energy, _ in points],
                    "y": [place for _, place in points],
                    "marker": {"color": ION_COLOURS[n % len(ION_COLOURS)], "size": 9, "opacity": 0.7},
                }
            )
    figure = figure_of(data, "ΔE / eV", "")
    figure["layout"]["yaxis"].update(automargin=True)
    return figure


def spectra_plot(named: Named) -> Figure:
    """Return the absorption spectra on one axis."""
    data = []
    for n, (name, results) in enumerate(named):
        if results.excitations is None or not results.excitations.states:
            continue
        spectrum = results.excitations.spectrum(results.fwhm)
        data.append(
            {
                "type": "scatter",
                "name": f"{name} ({excitation_level(results.excitations)})",
                "x": spectrum.wavelengths.round(2).tolist(),
                "y": spectrum.epsilon.round(2).tolist(),
                "line": {"color": ION_COLOURS[n % len(ION_COLOURS)]},
            }
        )
    return figure_of(data, "wavelength / nm", "molar absorption / L mol⁻¹ cm⁻¹")


def _named(campaigns: Sequence[CampaignResults]) -> Named:
    names = [results.name for results in campaigns]
    return [
        (name if names.count(name) == 1 else f"{name} {names[:n].count(name) + 1}", results)
        for n, (name, results) in enumerate(zip(names, campaigns, strict=True))
    ]


def _formula(results: CampaignResults) -> str:
    if results.structure is None:
        return "–"
    cluster = results.structure.cluster
    return f"{cluster.name or cluster.formula}, {len(cluster)} atoms"


def _analysed(results: CampaignResults) -> str:
    """Return which structure was analysed."""
    return results.analysis.of if results.analysis is not None else ""


def _surface(results: CampaignResults) -> dict[str, list[float]]:
    pairs = results.analysis.separations if results.analysis else []
    surface = [pair for pair in pairs if pair.surface == "surface–surface"]
    found = {
        "all": [pair.distance for pair in surface],
        "bridged by ligands only": [
            p.distance for p in surface if p.bridging_ligands and not p.shared_anions
        ],
    }
    return {kind: distances for kind, distances in found.items() if distances}


def _mark(rows: Sequence[ReactionEnergy]) -> str:
    return " *" if any(row.changed for row in rows) else ""
