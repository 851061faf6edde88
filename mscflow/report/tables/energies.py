"""Tables of reaction energies and of what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mscflow.reactions.energies import ReactionEnergies, spreads
from mscflow.reactions.stability import compositions, exchanged, exchanges_of, stable_ranges
from mscflow.report.results import CampaignResults, cost_name
from mscflow.report.tables.table import Table


def exchange_table(results: CampaignResults) -> Table | None:
    """Return the exchange energies."""
    columns = ("ion", "site and leaving ligand", "ΔE / eV", "ΔE / kJ/mol", "reaction")
    return _energies("exchange", "Exchange energies", columns, results.exchange)


def reactions_table(results: CampaignResults) -> Table | None:
    """Return the energies of other reactions."""
    columns = ("what happens", "where", "ΔE / eV", "ΔE / kJ/mol", "reaction")
    return _energies("reactions", "Reaction energies", columns, results.reactions)


def funnel_table(results: CampaignResults) -> Table | None:
    """Return all candidates of the screening, and the energies of those that were refined.

    Energies count from the lowest reactant.
    """
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
                    f"{row.cost:+.3f}",
                    screening.energy_level,
                    "–" if best is None else f"{best.cost:+.3f}",
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
            *_levels_of(results.exchange, item.ion),
        )
        for item in found
    ]
    numbers = ("best / eV", "mean", "standard deviation", "worst")
    columns = ("ion", "number", "arrangements", *numbers, *_level_column(results.exchange))
    caption = (
        "Lowest exchange energy of each arrangement of the ligands, ΔE from its own reactant, at "
        f"{results.exchange.energy_level}"
    )
    return Table("spread", caption, columns, rows)


def stability_table(results: CampaignResults) -> Table | None:
    """Return where each composition is stable."""
    energies = results.exchange
    if energies is None or not energies.reactions:
        return None
    exchanges = exchanged(energies)
    costs = {name: cost_name(energies, ion) for name, (ion, _) in exchanges.items()}
    kinds = list(dict.fromkeys(costs.values()))
    rows = [
        (
            name if len(kinds) == 1 else f"{name}, {costs[name]}",
            str(part.composition.n),
            part.composition.label,
            f"{part.composition.energy:+.3f}",
            "–" if np.isinf(part.low) else f"{part.low:+.3f}",
            "–" if np.isinf(part.high) else f"{part.high:+.3f}",
            *_levels_of(energies, ion),
        )
        for name, (ion, replaced) in exchanges.items()
        for part in stable_ranges(compositions(energies, ion, replaced))
    ]
    cost = f"cost {' or '.join(kinds)} / eV"
    limits = ("stable from Δμ / eV", "to Δμ / eV")
    columns = ("ion", "number", "best placement", cost, *limits, *_level_column(energies))
    return Table("stability", f"Stable compositions at {energies.energy_level}", columns, rows)


def species_table(results: CampaignResults) -> Table | None:
    """Return the species of the exchange reactions."""
    return _species("species", results.exchange)


def reaction_species_table(results: CampaignResults) -> Table | None:
    """Return the species of the other reactions."""
    return _species("reaction-species", results.reactions)


def _level_column(energies: ReactionEnergies) -> tuple[str, ...]:
    """Return the column that each number needs where energies are of several levels."""
    return ("level",) if ", " in energies.energy_level else ()


def _levels_of(energies: ReactionEnergies, ion: str) -> tuple[str, ...]:
    """Return the cell of that column for the exchanges of an ion."""
    if not _level_column(energies):
        return ()
    return (", ".join(dict.fromkeys(row.level for row in exchanges_of(energies, ion))),)


def _energies(
    key: str, title: str, columns: Sequence[str], energies: ReactionEnergies | None
) -> Table | None:
    if energies is None:
        return None
    free = energies.temperature is not None
    mixed = len({row.level for row in energies.reactions}) > 1
    arranged = any(row.offset for row in energies.reactions)
    rows = [
        (
            row.group,
            f"{row.marked_label} [{row.level}]" if mixed else row.marked_label,
            f"{row.energy:+.3f}",
            f"{row.energy_kj_mol:+.1f}",
            *((f"{row.cost:+.3f}",) if arranged else ()),
            *(("–" if row.gibbs is None else f"{row.gibbs:+.3f}",) if free else ()),
            row.equation,
        )
        for row in energies.reactions
    ]
    caption = f"{title}, electronic, at {energies.energy_level}"
    if arranged:
        own, lowest = "ΔE, own arrangement / eV", "ΔE from the lowest arrangement / eV"
        columns = (*columns[:2], own, "the same / kJ/mol", lowest, columns[-1])
    if free:
        columns = (*columns[:-1], f"ΔG({energies.temperature:g} K) / eV", columns[-1])
        caption += (
            f"; Gibbs energies with vibrations at {energies.geometry_level}, ideal gas at one atmosphere"
        )
    if any(row.changed for row in energies.reactions):
        caption += "; * a species lost a core bond or a ligand: the energy is of another reaction"
    return Table(key, caption, columns, rows)


def _species(key: str, energies: ReactionEnergies | None) -> Table | None:
    if energies is None:
        return None
    level = _level_column(energies)
    rows = [
        (
            s.name,
            s.formula,
            f"{s.energy:.4f}",
            *((s.level,) if level else ()),
            "yes" if s.converged else "no",
            "; ".join(s.warnings) or "–",
        )
        for s in energies.species
    ]
    columns = ("species", "formula", "energy / eV", *level, "converged", "warnings")
    caption = f"Species, structures at {energies.geometry_level}, energies at {energies.energy_level}"
    return Table(key, caption, columns, rows)
