"""Tables of fields, what follows from their densities, and excited states."""

from __future__ import annotations

from collections.abc import Sequence

from mscflow.report.results import CampaignResults
from mscflow.report.tables.table import Table
from mscflow.tasks.electronic import SMALLEST_BOND_ORDER
from mscflow.topology import topology


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


def _spread(values: Sequence[float], style: str) -> tuple[str, str, str, str]:
    """Return number, mean, lowest and highest of values."""
    numbers = (sum(values) / len(values), min(values), max(values))
    return (str(len(values)), *(format(number, style) for number in numbers))  # type: ignore[return-value]
