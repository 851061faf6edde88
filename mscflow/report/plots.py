"""Plots of the report, as plotly figures in plain dictionaries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mscflow.analysis.spectra import broadened
from mscflow.reactions.energies import ReactionEnergies
from mscflow.reactions.stability import compositions, exchanged
from mscflow.report.results import CampaignResults, cost_name

Figure = dict[str, Any]
BLUE, ORANGE, GREEN, GREY = "#1f5fa8", "#c8571b", "#2f7d4f", "#6b7480"
DOS_FWHM = 0.2
"""Width of an orbital in the density of states / eV."""

BINS_PER_ANGSTROM = 20
"""Bins of the histogram of separations."""

ION_COLOURS = (BLUE, ORANGE, GREEN, "#7a4fa3", "#a8324a", "#3fa7b5", "#8a6d1f", "#d36ba0", "#1c2733")


def figure_of(data: list[dict], x: str, y: str, **layout: Any) -> Figure:
    """Return a figure in the style of the report; `x` and `y` are the titles of the axes, with units."""
    axis = {
        "showline": True,
        "linecolor": GREY,
        "ticks": "outside",
        "gridcolor": "#e6e9ed",
        "zeroline": False,
    }
    return {
        "data": data,
        "layout": {
            "xaxis": {"title": {"text": x}, **axis},
            "yaxis": {"title": {"text": y}, **axis},
            "margin": {"l": 70, "r": 30, "t": 20, "b": 55},
            "height": 340,
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1c2733"},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
            **layout,
        },
    }


def relaxation_plot(results: CampaignResults) -> Figure | None:
    """Return energy and largest force against the step."""
    relaxation = results.relaxation
    if relaxation is None or len(relaxation.energies) < 2:
        return None
    steps = list(range(len(relaxation.energies)))
    last = relaxation.energies[-1]
    energy = {
        "type": "scatter",
        "name": "energy above the last",
        "x": steps,
        "y": [e - last for e in relaxation.energies],
        "line": {"color": BLUE},
    }
    force = {
        "type": "scatter",
        "name": "largest force",
        "x": steps,
        "y": relaxation.max_forces,
        "yaxis": "y2",
        "line": {"color": ORANGE, "width": 1},
    }
    second = {
        "title": {"text": "largest force / eV/Å"},
        "overlaying": "y",
        "side": "right",
        "type": "log",
        "showgrid": False,
        "dtick": 1,
    }
    margin = {"l": 70, "r": 70, "t": 20, "b": 55}
    return figure_of([energy, force], "step", "energy / eV", yaxis2=second, margin=margin)


def separations_plot(results: CampaignResults) -> Figure | None:
    """Return the histogram of cation separations by what bridges them."""
    if results.analysis is None or not results.analysis.separations:
        return None
    every = [pair.distance for pair in results.analysis.separations]
    first, last = (math.floor(distance * BINS_PER_ANGSTROM) for distance in (min(every), max(every)))
    groups: dict[str, list[float]] = {}
    for pair in results.analysis.separations:
        parts = [f"{len(pair.shared_anions)} anion(s)", f"{len(pair.bridging_ligands)} ligand(s)"]
        groups.setdefault("shared: " + ", ".join(parts), []).append(pair.distance)
    data = [
        {
            "type": "histogram",
            "name": name,
            "x": distances,
            "xbins": {
                "start": first / BINS_PER_ANGSTROM,
                "end": (last + 1) / BINS_PER_ANGSTROM,
                "size": 1 / BINS_PER_ANGSTROM,
            },
            "marker": {"color": colour},
        }
        for (name, distances), colour in zip(sorted(groups.items()), ION_COLOURS * len(groups), strict=False)
    ]
    return figure_of(data, "cation–cation separation / Å", "pairs", barmode="stack")


def density_of_states_plot(results: CampaignResults) -> Figure | None:
    """Return the density of states around the gap, stacked by part of the cluster."""
    refinement = results.refinement
    if refinement is None or refinement.electronic is None:
        return None
    orbitals = refinement.electronic.orbitals
    middle = (refinement.homo + refinement.lumo) / 2 if refinement.lumo > refinement.homo else refinement.homo
    energies = np.arange(middle - 7.0, middle + 5.0, 0.02)
    capacity = 1 if refinement.electronic.spins is not None else 2
    data = [
        {
            "type": "scatter",
            "name": part,
            "x": energies.round(3).tolist(),
            "y": (capacity * broadened(orbitals.energies, shares, energies, DOS_FWHM)).round(4).tolist(),
            "line": {"color": colour, "width": 1},
            "stackgroup": "parts",
        }
        for part, shares, colour in (
            ("core", orbitals.core, ORANGE),
            ("surface cations", orbitals.surface, BLUE),
            ("ligands", orbitals.ligand, GREY),
        )
    ]
    figure = figure_of(data, "orbital energy / eV", "density of states / eV⁻¹")
    figure["layout"]["shapes"] = [
        {
            "type": "line",
            "x0": energy,
            "x1": energy,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"dash": "dot", "color": GREY},
        }
        for energy in (refinement.homo, refinement.lumo)
    ]
    return figure


def reaction_plot(energies: ReactionEnergies | None) -> Figure | None:
    """Return reaction energies as bars, a colour for each kind, of exchanges for each ion.

    Exchange energies count from the lowest reactant.
    """
    if energies is None or not energies.reactions:
        return None
    groups = list(dict.fromkeys(row.group for row in energies.reactions))
    data = []
    for n, group in enumerate(groups):
        rows = [row for row in energies.reactions if row.group == group]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": group,
                "y": [row.marked_label.replace(", ", ",<br>") for row in rows],
                "x": [row.cost for row in rows],
                "marker": {"color": ION_COLOURS[n % len(ION_COLOURS)]},
            }
        )
    figure = figure_of(data, _energy_axis(energies), "", height=120 + 38 * len(energies.reactions))
    figure["layout"]["yaxis"].update(automargin=True, autorange="reversed")
    figure["layout"]["xaxis"]["zeroline"] = True
    return figure


def funnel_plot(results: CampaignResults) -> Figure | None:
    """Return the energies of all candidates of a screening, and lines to those of the refined ones."""
    if not results.screenings or results.exchange is None:
        return None
    refined = {(row.group, row.label): row for row in results.exchange.reactions}
    rows = [(screening, row) for screening in results.screenings for row in screening.reactions]
    groups = list(dict.fromkeys(row.group for _, row in rows))
    data: list[dict[str, Any]] = []
    for group, colour in zip(groups, ION_COLOURS * len(groups), strict=False):
        members = [(screening, row) for screening, row in rows if row.group == group]
        for n, (screening, row) in enumerate(members):
            best = refined.get((group, row.label))
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": group,
                    "legendgroup": group,
                    "showlegend": n == 0,
                    "x": [screening.energy_level] + ([best.level] if best else []),
                    "y": [row.cost] + ([best.cost] if best else []),
                    "text": row.marked_label,
                    "marker": {"color": colour, "size": 8},
                    "line": {"color": colour},
                }
            )
    figure = figure_of(data, "", _energy_axis(*results.screenings))
    figure["layout"]["xaxis"]["type"] = "category"
    return figure


def _energy_axis(*documents: ReactionEnergies) -> str:
    arranged = any(row.offset for energies in documents for row in energies.reactions)
    return "ΔE from the lowest arrangement / eV" if arranged else "ΔE / eV"


def stability_plot(energies: ReactionEnergies | None) -> Figure | None:
    """Return the cost of each composition against the chemical potential of the incoming ion."""
    if energies is None or not energies.reactions:
        return None
    lines = [
        (name, ion, composition)
        for name, (ion, replaced) in exchanged(energies).items()
        for composition in compositions(energies, ion, replaced)[1:]
    ]
    crossings = [composition.energy / composition.n for *_, composition in lines]
    low, high = min(*crossings, 0.0) - 0.5, max(*crossings, 0.0) + 0.5
    names = list(dict.fromkeys(name for name, *_ in lines))
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"{composition.n} {name}",
            "x": [low, high],
            "y": [composition.energy - composition.n * mu for mu in (low, high)],
            "line": {"color": ION_COLOURS[names.index(name) % len(ION_COLOURS)], "width": 1 + composition.n},
        }
        for name, _, composition in lines
    ]
    as_it_was = {
        "type": "scatter",
        "mode": "lines",
        "name": "as it was",
        "x": [low, high],
        "y": [0.0, 0.0],
        "line": {"color": GREY, "dash": "dash"},
    }
    axis = f"Δμ of {names[0]} / eV" if len(names) == 1 else "Δμ of the ion of each line / eV"
    costs = dict.fromkeys(cost_name(energies, ion) for _, ion, _ in lines)
    return figure_of([as_it_was, *data], axis, f"Ω from {' or '.join(costs)} / eV")


def spectrum_plot(results: CampaignResults) -> Figure | None:
    """Return the broadened absorption spectrum with its sticks."""
    excitations = results.excitations
    if excitations is None or not excitations.states:
        return None
    states = excitations.states
    spectrum = excitations.spectrum(results.fwhm)
    curve = {
        "type": "scatter",
        "name": f"Gaussians, {results.fwhm} eV full width at half maximum",
        "x": list(spectrum.wavelengths),
        "y": list(spectrum.epsilon),
        "line": {"color": BLUE},
        "fill": "tozeroy",
        "fillcolor": "rgba(31,95,168,0.12)",
    }
    sticks = {
        "type": "bar",
        "name": "oscillator strength",
        "x": [state.wavelength for state in states],
        "y": [state.oscillator_strength for state in states],
        "width": 0.6,
        "yaxis": "y2",
        "marker": {"color": ORANGE},
    }
    second = {
        "title": {"text": "oscillator strength"},
        "overlaying": "y",
        "side": "right",
        "rangemode": "tozero",
        "showgrid": False,
    }
    curves: list[dict] = [curve, sticks]
    measured = excitations.measured
    if measured is not None and max(measured.absorbance) > 0:
        scale = max(spectrum.epsilon) / max(measured.absorbance)
        curves.append(
            {
                "type": "scatter",
                "name": f"measured ({measured.source}), scaled",
                "x": list(measured.wavelengths),
                "y": [scale * value for value in measured.absorbance],
                "line": {"color": GREEN, "dash": "dash"},
            }
        )
    margin = {"l": 80, "r": 70, "t": 20, "b": 55}
    figure = figure_of(curves, "wavelength / nm", "ε / L mol⁻¹ cm⁻¹", yaxis2=second, margin=margin)
    figure["layout"]["yaxis"]["rangemode"] = "tozero"
    return figure
