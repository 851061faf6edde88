"""Tables of the report: rows of text under headers that carry units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from mscflow.cluster import Cluster
from mscflow.reactions.energies import ReactionEnergies, spreads
from mscflow.reactions.stability import compositions, stable_ranges
from mscflow.report.results import CampaignResults
from mscflow.tasks.electronic import SMALLEST_BOND_ORDER
from mscflow.topology import topology

SHOWN = 0.05
"""Part of the kinetic energy of a mode that is listed."""


@dataclass(frozen=True)
class Table:
    """A table that can be sorted and exported.

    Parameters
    ----------
    key
        Identifier, used as file name of the CSV.
    caption
        What it shows.
    columns
        Headers with units.
    rows
        Cells as text, as many as there are columns.
    """

    key: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def _atoms(cluster: Cluster, indices: Sequence[int]) -> str:
    return ", ".join(f"{cluster.symbols[i]}{i}" for i in indices) or "–"


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


def scf_table(results: CampaignResults) -> Table | None:
    """Return what the ground states needed to converge."""
    records = (
        [("refinement", n, r) for n, r in enumerate(results.refinement.scf)] if results.refinement else []
    )
    if results.excitations is not None:
        records.append(("excitations", 0, results.excitations.scf))
    if not records:
        return None
    rows = [
        (
            part,
            str(step),
            record.guess,
            str(record.cycles),
            "yes" if record.converged else "no",
            "; ".join(record.stages),
            f"{record.energy:.6f}",
        )
        for part, step, record in records
    ]
    columns = ("part", "geometry", "initial density", "cycles", "converged", "stages", "energy / eV")
    return Table("scf", "What the self-consistent fields needed", columns, rows)


def charges_table(results: CampaignResults) -> Table | None:
    """Return the atomic charges of the refinement by element and role."""
    refinement = results.refinement
    if refinement is None or refinement.electronic is None:
        return None
    cluster, charges = refinement.cluster, refinement.electronic.charges
    groups: dict[tuple[str, str], list[float]] = {}
    for symbol, role, charge in zip(cluster.symbols, topology(cluster).roles, charges, strict=True):
        groups.setdefault((symbol, str(role)), []).append(charge)
    rows = [(*group, *_spread(values, "+.3f")) for group, values in groups.items()]
    columns = ("element", "role", "atoms", "mean charge / e", "lowest / e", "highest / e")
    return Table("charges", f"Mulliken charges at {refinement.level_text}", columns, rows)


def bond_orders_table(results: CampaignResults) -> Table | None:
    """Return the bond orders of the refinement by pair of elements."""
    refinement = results.refinement
    if refinement is None or refinement.electronic is None:
        return None
    symbols = refinement.cluster.symbols
    groups: dict[str, list[float]] = {}
    for bond in refinement.electronic.bond_orders:
        groups.setdefault("–".join(sorted((symbols[bond.i], symbols[bond.j]))), []).append(bond.order)
    rows = [(pair, *_spread(orders, ".2f")) for pair, orders in sorted(groups.items())]
    caption = f"Mayer bond orders above {SMALLEST_BOND_ORDER} at {refinement.level_text}"
    return Table("bond-orders", caption, ("elements", "pairs", "mean", "lowest", "highest"), rows)


def _spread(values: Sequence[float], style: str) -> tuple[str, str, str, str]:
    """Return number, mean, lowest and highest of values."""
    numbers = (sum(values) / len(values), min(values), max(values))
    return (str(len(values)), *(format(number, style) for number in numbers))  # type: ignore[return-value]


def exchange_table(results: CampaignResults) -> Table | None:
    """Return the exchange energies."""
    columns = ("ion", "site and leaving ligand", "ΔE / eV", "ΔE / kJ/mol", "reaction")
    return _energies("exchange", "Exchange energies", columns, results.exchange)


def funnel_table(results: CampaignResults) -> Table | None:
    """Return all candidates of the screening, and the energies of those that were refined."""
    if not results.screenings or results.exchange is None:
        return None
    refined = {(row.group, row.label): row for row in results.exchange.reactions}
    rows = []
    for screening in results.screenings:
        rank: Counter[str] = Counter()
        for row in screening.reactions:
            rank[row.group] += 1
            best = refined.get((row.group, row.label))
            rows.append(
                (
                    row.group,
                    str(rank[row.group]),
                    row.marked_label,
                    f"{row.energy:+.3f}",
                    screening.energy_level,
                    "–" if best is None else f"{best.energy:+.3f}",
                )
            )
    columns = ("ion", "rank", "site and leaving ligand", "ΔE screened / eV", "level", "ΔE refined / eV")
    caption = (
        f"Funnel: {len(rows)} candidates, {len(refined)} of them refined at {results.exchange.energy_level}"
    )
    return Table("funnel", caption, columns, rows)


def spread_table(results: CampaignResults) -> Table | None:
    """Return how exchange energies depend on the arrangement of the ligands."""
    found = spreads(results.exchange) if results.exchange is not None else []
    if not found or results.exchange is None:
        return None
    rows = [
        (
            item.ion,
            str(item.n),
            str(len(item.lowest)),
            f"{min(item.lowest):+.3f}",
            f"{np.mean(item.lowest):+.3f}",
            f"{np.std(item.lowest):.3f}",
            f"{max(item.lowest):+.3f}",
        )
        for item in found
    ]
    columns = ("ion", "number", "arrangements", "best ΔE / eV", "mean", "standard deviation", "worst")
    caption = f"Lowest exchange energy of each arrangement of the ligands, at {results.exchange.energy_level}"
    return Table("spread", caption, columns, rows)


def stability_table(results: CampaignResults) -> Table | None:
    """Return where each composition is stable."""
    energies = results.exchange
    if energies is None or not energies.reactions:
        return None
    rows = [
        (
            ion,
            str(part.composition.n),
            part.composition.label,
            f"{part.composition.energy:+.3f}",
            "–" if np.isinf(part.low) else f"{part.low:+.3f}",
            "–" if np.isinf(part.high) else f"{part.high:+.3f}",
        )
        for ion in dict.fromkeys(row.ion for row in energies.reactions)
        for part in stable_ranges(compositions(energies, ion))
    ]
    columns = ("ion", "number", "best placement", "cost / eV", "stable from Δμ / eV", "to Δμ / eV")
    return Table("stability", f"Stable compositions at {energies.energy_level}", columns, rows)


def reactions_table(results: CampaignResults) -> Table | None:
    """Return the energies of other reactions."""
    columns = ("what happens", "where", "ΔE / eV", "ΔE / kJ/mol", "reaction")
    return _energies("reactions", "Reaction energies", columns, results.reactions)


def _energies(
    key: str, title: str, columns: Sequence[str], energies: ReactionEnergies | None
) -> Table | None:
    if energies is None:
        return None
    free = energies.temperature is not None
    mixed = len({row.level for row in energies.reactions}) > 1
    rows = [
        (
            row.group,
            f"{row.marked_label} [{row.level}]" if mixed else row.marked_label,
            f"{row.energy:+.3f}",
            f"{row.energy_kj_mol:+.1f}",
            *(("–" if row.gibbs is None else f"{row.gibbs:+.3f}",) if free else ()),
            row.equation,
        )
        for row in energies.reactions
    ]
    caption = f"{title}, electronic, at {energies.energy_level}"
    if free:
        columns = (*columns[:-1], f"ΔG({energies.temperature:g} K) / eV", columns[-1])
        caption += (
            f"; Gibbs energies with vibrations at {energies.geometry_level}, ideal gas at one atmosphere"
        )
    if any(row.changed for row in energies.reactions):
        caption += "; * a species lost a core bond or a ligand: the energy is of another reaction"
    return Table(key, caption, columns, rows)


def species_table(results: CampaignResults) -> Table | None:
    """Return the species of the exchange reactions."""
    return _species("species", results.exchange)


def reaction_species_table(results: CampaignResults) -> Table | None:
    """Return the species of the other reactions."""
    return _species("reaction-species", results.reactions)


def _species(key: str, energies: ReactionEnergies | None) -> Table | None:
    if energies is None:
        return None
    rows = [
        (s.name, s.formula, f"{s.energy:.4f}", "yes" if s.converged else "no", "; ".join(s.warnings) or "–")
        for s in energies.species
    ]
    columns = ("species", "formula", "energy / eV", "converged", "warnings")
    caption = f"Species, structures at {energies.geometry_level}, energies at {energies.energy_level}"
    return Table(key, caption, columns, rows)


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


def _shares(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.2f}" for name, share in parts.items() if share >= SHOWN)


def states_table(results: CampaignResults) -> Table | None:
    """Return the excited states."""
    excitations = results.excitations
    if excitations is None:
        return None
    rows = [
        (
            f"S{n}",
            f"{s.energy:.3f}",
            f"{s.wavelength:.1f}",
            f"{s.oscillator_strength:.4f}",
            s.transition,
            s.character or "–",
        )
        for n, s in enumerate(excitations.states, start=1)
    ]
    columns = (
        "state",
        "energy / eV",
        "wavelength / nm",
        "oscillator strength",
        "dominant transition",
        "hole → electron",
    )
    return Table("states", f"Singlet excitations at {excitations.level_text}", columns, rows)


def levels_table(results: CampaignResults) -> Table:
    """Return the level of theory of each part."""
    parts = (
        ("relaxation", results.relaxation),
        ("vibrations", results.vibrations),
        ("refinement", results.refinement),
        ("exchange energies", results.exchange),
        ("reaction energies", results.reactions),
        ("excitations", results.excitations),
    )
    rows = [
        (
            part,
            document.energy_level if isinstance(document, ReactionEnergies) else document.level_text,
            document.level_description,
            document.level.hash[:12],
        )
        for part, document in parts
        if document is not None
    ]
    return Table("levels", "Levels of theory", ("part", "level", "description", "hash"), rows)


def jobs_table(results: CampaignResults) -> Table:
    """Return all jobs with state and time."""
    rows = [
        (
            job.name,
            job.state,
            f"{job.wall_time_s:.1f}" if job.wall_time_s is not None else "–",
            str(job.n_attempts),
            datetime.fromtimestamp(job.started, UTC).strftime("%Y-%m-%d %H:%M:%S") if job.started else "–",
            job.error.strip().splitlines()[-1] if job.error.strip() else "–",
        )
        for job in results.jobs
    ]
    columns = ("job", "state", "wall time / s", "attempts", "started (UTC)", "error")
    return Table("jobs", "Jobs", columns, rows)


def versions_table(results: CampaignResults) -> Table:
    """Return package versions and input hashes."""
    documents = [
        (part, document)
        for part in (
            "structure",
            "relaxation",
            "analysis",
            "vibrations",
            "refinement",
            "exchange",
            "reactions",
            "excitations",
        )
        if (document := getattr(results, part)) is not None
    ]
    rows = [
        (
            part,
            ", ".join(f"{package} {version}" for package, version in document.versions.items()),
            document.input_hash[:16],
        )
        for part, document in documents
    ]
    return Table("versions", "Versions and input hashes", ("part", "packages", "input hash"), rows)
