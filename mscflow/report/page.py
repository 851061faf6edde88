"""The page: parts of a campaign put into one self-contained HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors

from mscflow.analysis.spectra import compare
from mscflow.cluster import Cluster
from mscflow.json_text import json_text
from mscflow.reactions.energies import ReactionEnergy
from mscflow.report import plots
from mscflow.report.methods import bibtex, exchange_errors, methods_paragraph
from mscflow.report.results import CampaignResults, comparable, excitation_level, rough_levels
from mscflow.report.tables import all_tables
from mscflow.topology import Role, topology
from mscflow.whole_file import write_whole

N_OPEN_WARNINGS = 8
"""Further ones are folded away."""

HYDROGEN_COLOUR = "#d5dbe1"
"""White would vanish on the white page."""

ROLE_COLOURS = {
    Role.CORE_CATION: "#7a4fa3",
    Role.SURFACE_CATION: "#1f5fa8",
    Role.CORE_ANION: "#c8571b",
    Role.LIGAND: "#9aa4af",
    Role.FREE: "#2f7d4f",
}


def write_report(results: CampaignResults, path: Path) -> Path:
    """Write the report.

    Parameters
    ----------
    results
        What is known of the campaign, finished or not.
    path
        The HTML file; it needs no other file and no network.

    Returns
    -------
    Path
        `path`.
    """
    return write_whole(path, render(results))


def render(results: CampaignResults) -> str:
    """Return the page as text."""
    sites, found = _sites(results), _structures(results)
    drawn = [_drawn(label, cluster, sites) for label, cluster in found]
    rough = rough_levels(results.exchange)
    return fill(
        "report.html.jinja",
        results=results,
        cluster=found[-1][1] if found else None,
        summary=summary(results),
        warnings=results.warnings(),
        rough=rough,
        errors=exchange_errors(rough),
        n_open_warnings=N_OPEN_WARNINGS,
        tables={table.key: table for table in all_tables(results)},
        plots=embed(all_plots(results)),
        structures=embed([*drawn, *_played(results, sites)]),
        methods=methods_paragraph(results),
        bibtex=bibtex(results),
        created=datetime.fromtimestamp(results.created, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        states=Counter(job.state for job in results.jobs),
        total_time=sum(job.wall_time_s or 0.0 for job in results.jobs),
    )


def fill(template: str, **content: Any) -> str:
    """Return a template with its content, style, script and plotly: one file that needs no other."""
    from plotly.offline import get_plotlyjs

    sources = files("mscflow.report") / "templates"
    return fill_part(
        template,
        **content,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        style=(sources / "report.css").read_text(encoding="utf-8"),
        script=(sources / "report.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
    )


def fill_part(template: str, **content: Any) -> str:
    """Return a template with its content; all of it is escaped that does not say otherwise."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("mscflow.report"), autoescape=select_autoescape(["html", "jinja"], default=True)
    )
    return environment.get_template(template).render(**content)


def embed(content: Any) -> str:
    """Return JSON that is safe inside a script element; numbers that are not finite become null."""
    text = json_text(content)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def summary(results: CampaignResults) -> list[tuple[str, str, str]]:
    """Return the key numbers: what, value with unit, level of theory."""
    rows = []
    if results.relaxation is not None:
        r = results.relaxation
        rows.append(("Energy of the relaxed structure", f"{r.energy:.3f} eV", r.level_text))
    if results.analysis is not None and results.analysis.separations:
        pairs = [p.distance for p in results.analysis.separations if p.surface == "surface–surface"]
        if pairs:
            value = f"{min(pairs):.2f}–{max(pairs):.2f} Å ({len(pairs)} pairs)"
            rows.append(("Surface cation separations", value, results.analysis.of))
    if results.vibrations is not None:
        v = results.vibrations
        rows.append(("Zero-point energy", f"{v.zero_point_energy:.3f} eV", v.level_text))
    if results.refinement is not None:
        f = results.refinement
        rows.append(("DFT energy", f"{f.energy:.3f} eV", f.level_text))
        rows.append(("Orbital gap", f"{f.gap:.2f} eV", f.level_text))
    found = comparable(results.exchange)
    for (ion, n, level), members in found.items():
        if n == min(number for other, number, _ in found if other == ion):
            best = min(members, key=lambda row: row.cost)
            name = f"Lowest exchange energy, {f'{n} ' if n > 1 else ''}{ion}"
            rows.append((name, f"{best.cost:+.2f} eV ({best.marked_label})", level))
    if results.excitations is not None and results.excitations.states:
        first, known = results.excitations.states[0], results.excitations.calibration
        error = f" ± {known.error:.2f}" if known else ""
        value = (
            f"{first.energy:.2f}{error} eV, {first.wavelength:.0f} nm, f = {first.oscillator_strength:.3f}"
        )
        level = excitation_level(results.excitations)
        is_gap = level.startswith("differences of orbital energies")
        what = "Lowest difference of orbital energies" if is_gap else "Lowest singlet excitation"
        rows.append((what, value, level))
        if results.excitations.measured is not None:
            peaks = compare(results.excitations.spectrum(results.fwhm), results.excitations.measured)
            value = (
                f"{peaks.computed_nm:.0f} nm, measured {peaks.measured_nm:.0f} nm ({peaks.error_ev:+.2f} eV)"
            )
            rows.append(("First absorption maximum", value, level))
    return rows


def all_plots(results: CampaignResults) -> dict[str, plots.Figure]:
    """Return the plots of all parts that are there, by name."""
    made = {
        "relaxation": plots.relaxation_plot(results),
        "separations": plots.separations_plot(results),
        "density-of-states": plots.density_of_states_plot(results),
        "exchange": plots.reaction_plot(results.exchange),
        "funnel": plots.funnel_plot(results),
        "stability": plots.stability_plot(results.exchange),
        "reactions": plots.reaction_plot(results.reactions),
        "spectrum": plots.spectrum_plot(results),
    }
    return {key: figure for key, figure in made.items() if figure is not None}


def _structures(results: CampaignResults) -> list[tuple[str, Cluster]]:
    """Return what is drawn, the earliest last."""
    found = []
    if results.refinement is not None and results.refinement.n_steps:
        found.append((f"refined at {results.refinement.level_text}", results.refinement.cluster))
    if results.relaxation is not None:
        found.append((f"relaxed at {results.relaxation.level_text}", results.relaxation.cluster))
    if results.structure is not None:
        found.append(("start", results.structure.cluster))
    others = (results.refinement, results.vibrations, results.excitations, results.analysis)
    given = next((document.cluster for document in others if document is not None), None)
    return found or ([] if given is None else [("as given", given)])


def _sites(results: CampaignResults) -> dict[int, str]:
    """Return the sites of single exchanges with the lowest energy of each ion there.

    It is marked with a star where a species of every exchange changed.
    """
    found: dict[int, dict[str, ReactionEnergy]] = {}
    for row in results.exchange.reactions if results.exchange is not None else []:
        if row.site is not None:
            ions = found.setdefault(row.site, {})
            known = ions.get(row.group, row)
            ions[row.group] = min(known, row, key=lambda other: (bool(other.changed), other.cost))
    return {
        site: ", ".join(f"{ion} {row.cost:+.2f} eV{' *' if row.changed else ''}" for ion, row in ions.items())
        for site, ions in sorted(found.items())
    }


def element_styles(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Return colour and drawn radius / Å of each element of a cluster."""
    return {
        symbol: {
            "colour": HYDROGEN_COLOUR if symbol == "H" else _rgb(jmol_colors[number]),
            "radius": round(0.22 + 0.20 * float(covalent_radii[number]), 3),
        }
        for symbol, number in zip(cluster.symbols, cluster.numbers, strict=True)
    }


def _drawn(label: str, cluster: Cluster, sites: Mapping[int, str]) -> dict[str, Any]:
    """Return what the viewer needs of a structure; `sites` are labelled and carry a text."""
    graph = topology(cluster)
    return {
        "label": label,
        "symbols": list(cluster.symbols),
        "positions": (cluster.positions - cluster.positions.mean(axis=0)).round(4).tolist(),
        "roles": [str(role) for role in graph.roles],
        "bonds": [list(edge) for edge in graph.graph.edges],
        "elements": element_styles(cluster),
        "roleColours": {str(role): colour for role, colour in ROLE_COLOURS.items()},
        "sites": [{"atom": site, "text": text} for site, text in sites.items() if site < len(cluster)],
    }


def _played(results: CampaignResults, sites: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return the course of the relaxation for the viewer, where it was kept; bonds are those of its end."""
    relaxation = results.relaxation
    if relaxation is None or len(relaxation.trajectory) < 2:
        return []
    frames = np.array(relaxation.trajectory)
    drawn = _drawn(f"the way there ({len(frames)} geometries)", relaxation.cluster, sites)
    drawn["frames"] = (frames - frames.mean(axis=1, keepdims=True)).round(3).tolist()
    return [drawn]


def _rgb(colour: Iterable[float]) -> str:
    return "rgb({},{},{})".format(*(int(255 * part) for part in colour))
