"""Tables of a structure and its motions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mscflow.cluster import Cluster
from mscflow.report.results import CampaignResults
from mscflow.report.tables.table import Table

SHOWN = 0.05
"""Part of the kinetic energy of a mode that is listed."""


def separations_table(results: CampaignResults) -> Table | None:
    """Return the cation–cation separations."""
    analysis = results.analysis
    if analysis is None:
        return None
    rows = [
        (
            f"{pair.symbols[0]}{pair.i}–{pair.symbols[1]}{pair.j}",
            f"{pair.distance:.3f}",
            pair.surface,
            _atoms(analysis.cluster, pair.shared_anions),
            ", ".join(f"L{n}" for n in pair.bridging_ligands) or "–",
        )
        for pair in analysis.separations
    ]
    columns = ("pair", "separation / Å", "kind", "shared anions", "bridging ligands")
    return Table("separations", f"Cation separations, structure {analysis.of}", columns, rows)


def coordination_table(results: CampaignResults) -> Table | None:
    """Return the coordination of cations and core anions."""
    analysis = results.analysis
    if analysis is None:
        return None
    rows = [
        (
            f"{row.symbol}{row.atom}",
            str(row.role),
            str(row.number),
            ", ".join(f"{n} {symbol}" for symbol, n in row.neighbours.items()),
            ", ".join(f"{symbol} {length:.3f}" for symbol, length in row.mean_distance.items()),
        )
        for row in analysis.coordination
    ]
    columns = ("atom", "role", "coordination number", "neighbours", "mean distance / Å")
    return Table("coordination", f"Coordination, structure {analysis.of}", columns, rows)


def binding_table(results: CampaignResults) -> Table | None:
    """Return the binding mode of each ligand."""
    analysis = results.analysis
    if analysis is None:
        return None
    rows = [
        (f"L{row.ligand}", row.formula, row.mode, _atoms(analysis.cluster, row.metals), "; ".join(row.bonds))
        for row in analysis.binding_modes
    ]
    columns = ("ligand", "formula", "binding mode", "cations", "bonds / Å")
    return Table("ligands", f"Ligands, structure {analysis.of}", columns, rows)


def modes_table(results: CampaignResults) -> Table | None:
    """Return the normal modes."""
    vibrations = results.vibrations
    if vibrations is None:
        return None
    rows = [
        (
            f"{mode.frequency:.1f}",
            f"{mode.reduced_mass:.2f}",
            "–" if mode.intensity is None else f"{mode.intensity:.1f}",
            mode.description,
            _shares(mode.elements),
            _shares(mode.roles),
        )
        for mode in vibrations.modes
    ]
    columns = (
        "wavenumber / cm⁻¹",
        "reduced mass / amu",
        "IR intensity / km/mol",
        "what moves",
        "kinetic energy by element",
        "by role",
    )
    return Table("modes", f"Normal modes at {vibrations.level_text}", columns, rows)


def _atoms(cluster: Cluster, indices: Sequence[int]) -> str:
    return ", ".join(f"{cluster.symbols[i]}{i}" for i in indices) or "–"


def _shares(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.2f}" for name, share in parts.items() if share >= SHOWN)
