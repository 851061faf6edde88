"""Tables of fields, what follows from their densities, and excited states."""

from __future__ import annotations

from collections.abc import Sequence

from mscflow.report.results import CampaignResults, excitation_level
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
    cluster, found = refinement.cluster, refinement.electronic
    groups: dict[tuple[str, str], list[int]] = {}
    for i, (symbol, role) in enumerate(zip(cluster.symbols, topology(cluster).roles, strict=True)):
        groups.setdefault((symbol, str(role)), []).append(i)
    kinds = {"Mulliken": found.charges, "Hirshfeld": found.hirshfeld}
    given = {kind: charges for kind, charges in kinds.items() if charges is not None}
    rows = [
        (
            *group,
            str(len(atoms)),
            *(_spread([charges[i] for i in atoms], "+.3f") for charges in given.values()),
        )
        for group, atoms in groups.items()
    ]
    columns = ("element", "role", "atoms", *(f"{kind} / e: mean (lowest, highest)" for kind in given))
    return Table("charges", f"Charges of atoms at {refinement.level_text}", columns, rows)


def bond_orders_table(results: CampaignResults) -> Table | None:
    """Return the bond orders of the refinement by pair of elements."""
    refinement = results.refinement
    if refinement is None or refinement.electronic is None:
        return None
    symbols = refinement.cluster.symbols
    groups: dict[str, list[float]] = {}
    for bond in refinement.electronic.bond_orders:
        groups.setdefault("–".join(sorted((symbols[bond.i], symbols[bond.j]))), []).append(bond.order)
    rows = [(pair, str(len(orders)), _spread(orders, ".2f")) for pair, orders in sorted(groups.items())]
    caption = f"Mayer bond orders above {SMALLEST_BOND_ORDER} at {refinement.level_text}"
    return Table("bond-orders", caption, ("elements", "pairs", "mean (lowest, highest)"), rows)


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
    return Table("states", f"Singlet excitations: {excitation_level(excitations)}", columns, rows)


def _spread(values: Sequence[float], style: str) -> str:
    """Return mean, lowest and highest of values."""
    mean = sum(values) / len(values)
    return f"{mean:{style}} ({min(values):{style}}, {max(values):{style}})"
