"""From a crystal to one cluster: symmetry, disorder, molecules across cell borders, solvent."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from mscflow.chemistry import METALS, bond_reach
from mscflow.errors import InputError
from mscflow.reading.disorder import DisorderedAtom, chosen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gemmi import Op, SmallStructure

SAME_SITE = 0.3
"""Symmetry copies nearer than this / Å are one atom on a special position."""

WHOLE = 0.99
"""Occupancy above which a site is an atom."""

DISORDERED = 0.75
"""Two atoms nearer than this / Å, one of them not fully occupied, are alternatives."""


THINNEST = 2.0
"""Smallest distance / Å of opposite faces of a cell that can hold a molecule."""


@dataclass
class Crystal:
    """One periodic structure, or what was chosen from it.

    Parameters
    ----------
    symbols, positions
        Atoms and coordinates / Å, shape (n_atoms, 3).
    cell
        Lattice vectors / Å as rows, shape (3, 3).
    repairs
        What was decided on the way.
    """

    symbols: list[str]
    positions: np.ndarray
    cell: np.ndarray
    repairs: list[str] = field(default_factory=list)


def parse_cif(text: str) -> Crystal:
    """Return the content of the unit cell of a CIF: highest occupancies, all symmetry copies.

    Raises
    ------
    InputError
        If the text is no CIF, or has no atoms or no cell.
    """
    import gemmi

    try:
        document = gemmi.cif.read_string(text)
        blocks = [block for block in document if block.find_loop("_atom_site_fract_x")]
        structures = [gemmi.make_small_structure_from_block(block) for block in blocks[:1]]
    except (ValueError, RuntimeError) as err:
        raise InputError(f"CIF syntax: {' '.join(str(err).split())}") from err
    if not structures:
        raise InputError("no block with fractional atom coordinates (_atom_site_fract_x)")
    block, small = blocks[0], structures[0]
    if small.cell.volume < 1.0:
        raise InputError("the cell is missing (_cell_length_a ... _cell_angle_gamma)")
    labels = block.find("_atom_site_", ["label", "?disorder_assembly"])
    assemblies = {row.str(0): row.str(1) if row.has(1) else "" for row in labels}
    crystal = _expanded(small, assemblies)
    if len(blocks) > 1:
        others = ", ".join(other.name for other in blocks[1:])
        crystal.repairs.append(f"only the first structure ({block.name}) was read, not {others}")
    if not crystal.symbols:
        raise InputError("no atom is left after disorder was resolved")
    return crystal


def _expanded(small: SmallStructure, assemblies: dict[str, str]) -> Crystal:
    """Apply the symmetry and resolve disorder."""
    operations = [
        (np.array(op.rot, dtype=float) / op.DEN, np.array(op.tran, dtype=float) / op.DEN)
        for op in _operations(small)
    ]
    cell = np.array(small.cell.orth.mat.tolist()).T
    copies = {
        n: [(rot @ site.fract.tolist() + shift) % 1.0 for rot, shift in operations]
        for n, site in enumerate(small.sites)
    }
    sites = [(n, site, _symbol(site.element.name)) for n, site in enumerate(small.sites)]
    placed: list[tuple[str, np.ndarray]] = []
    fractions = np.empty((sum(map(len, copies.values())), 3))
    left_out = {n for n, _, _ in sites}

    def place(n: int, symbol: str, fraction: np.ndarray, limit: float) -> None:
        if (_periodic_distances(fractions[: len(placed)], fraction, cell) > limit).all():
            fractions[len(placed)] = fraction
            placed.append((symbol, fraction))
            left_out.discard(n)

    for n, site, symbol in sorted(sites, key=lambda row: -row[1].occ):
        if site.disorder_group == 0 and site.occ > 0:
            for fraction in copies[n]:
                place(n, symbol, fraction, SAME_SITE if site.occ > WHOLE else DISORDERED)
    disordered = [
        DisorderedAtom(
            n, symbol, fraction, site.occ, assemblies.get(site.label, ""), site.disorder_group, number
        )
        for n, site, symbol in sites
        if site.disorder_group
        for number, fraction in enumerate(copies[n])
    ]
    for atom in chosen(disordered, list(placed), cell):
        place(atom.site, atom.symbol, atom.fraction, DISORDERED)
    crystal = Crystal([s for s, _ in placed], np.array([f for _, f in placed]).reshape(-1, 3) @ cell, cell)
    partial = [
        f"{site.label} ({site.occ:.2f})"
        for n, site, _ in sites
        if n not in left_out
        and site.disorder_group == 0
        and site.occ < WHOLE
        and not _special(copies[n], cell)
    ]
    if partial:
        crystal.repairs.append(f"partly occupied sites were taken as whole atoms: {', '.join(partial)}")
    if left_out:
        crystal.repairs.append(f"disorder: {len(left_out)} site(s) of lower occupancy were left out")
    elif any(site.disorder_group < 0 for _, site, _ in sites):
        crystal.repairs.append("disorder: one of the symmetry copies of each disordered part was taken")
    if len(operations) > 1:
        name = f" of {small.spacegroup_hm}" if small.spacegroup_hm else ""
        crystal.repairs.append(f"{len(operations)} symmetry operations{name} were applied")
    elif not (small.symops or small.spacegroup_hm or small.spacegroup_number):
        crystal.repairs.append("no symmetry is given: P 1 was taken")
    return crystal


def _operations(small: SmallStructure) -> Iterable[Op]:
    """Return the symmetry operations that a file lists, else those of the space group that it names."""
    import gemmi

    if small.symops:
        try:
            return [gemmi.Op(text) for text in small.symops]
        except RuntimeError as err:
            raise InputError(f"symmetry operation: {err}") from err
    name, number = small.spacegroup_hm, small.spacegroup_number
    if not (name or number):
        return [gemmi.Op("x,y,z")]
    group = (
        small.spacegroup
        or gemmi.find_spacegroup_by_name(name)
        or (number and gemmi.find_spacegroup_by_number(number))
    )
    if not group:
        raise InputError(
            f"space group {name or number!r} is not known: the file must list its operations "
            "(_space_group_symop_operation_xyz)"
        )
    return list(group.operations())


def _special(copies: list[np.ndarray], cell: np.ndarray) -> bool:
    """Whether symmetry maps a site onto itself, whose occupancy may count its multiplicity."""
    return bool((_periodic_distances(np.array(copies[1:]).reshape(-1, 3), copies[0], cell) < SAME_SITE).any())


def _symbol(element: str) -> str:
    """Return the element of a site; deuterium is hydrogen here."""
    return "H" if element == "D" else element


def _periodic_distances(many: np.ndarray, one: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return the distances / Å of many sites to one, shape (n,), from fractional coordinates."""
    delta = many - one
    return np.linalg.norm((delta - np.round(delta)) @ cell, axis=1)


def one_cluster(crystal: Crystal) -> Crystal:
    """Return the molecule with most metal atoms, whole; the others are left out and reported.

    Raises
    ------
    InputError
        If bonds run through the whole crystal: it has no isolated cluster.
    """
    neighbours = _bonds(crystal)
    unseen = set(range(len(crystal.symbols)))
    molecules: list[tuple[list[int], np.ndarray]] = []
    while unseen:
        atoms, positions = _unwrapped(crystal, min(unseen), neighbours)
        unseen -= set(atoms)
        molecules.append((atoms, positions))

    def weight(molecule: tuple[list[int], np.ndarray]) -> tuple[int, int]:
        symbols = [crystal.symbols[i] for i in molecule[0]]
        return sum(s in METALS for s in symbols), len(symbols)

    chosen = max(molecules, key=weight)
    formula = _formula([crystal.symbols[i] for i in chosen[0]])
    others = Counter(_formula([crystal.symbols[i] for i in m[0]]) for m in molecules if m is not chosen)
    copies = others.pop(formula, 0)
    repairs = list(crystal.repairs)
    if copies:
        repairs.append(f"the cell holds {copies + 1} equal clusters; one was taken")
    if others:
        listed = ", ".join(f"{n} {name}" for name, n in sorted(others.items()))
        repairs.append(f"solvent and other molecules were left out: {listed}")
    return Crystal([crystal.symbols[i] for i in chosen[0]], chosen[1], crystal.cell, repairs)


def bonds_cross_border(crystal: Crystal) -> bool:
    """Whether a bond joins atoms of neighbouring cells, so that a molecule was cut into pieces."""
    return any(any(cell) for near in _bonds(crystal).values() for _, cell in near)


def _formula(symbols: list[str]) -> str:
    counts = Counter(symbols)
    order = sorted(counts, key=lambda s: (s not in METALS, s != "C", s != "H", s))
    return "".join(f"{s}{counts[s] if counts[s] > 1 else ''}" for s in order)


def _bonds(crystal: Crystal) -> dict[int, list[tuple[int, tuple[int, int, int]]]]:
    """Return the bonded neighbours of every atom with the cell they lie in."""
    n = len(crystal.symbols)
    inverse = np.linalg.inv(crystal.cell)
    kinds = set(crystal.symbols)
    reach = max(bond_reach(a, b) for a in kinds for b in kinds)
    spacing = 1 / np.linalg.norm(inverse, axis=0)
    if spacing.min() < THINNEST:
        raise InputError(f"the cell is {spacing.min():.3g} Å thin, at least {THINNEST} Å are needed")
    repeats = [range(-int(np.ceil(reach / d)), int(np.ceil(reach / d)) + 1) for d in spacing]
    shifts = np.array([(a, b, c) for a in repeats[0] for b in repeats[1] for c in repeats[2]])
    images = (crystal.positions[None] + (shifts @ crystal.cell)[:, None]).reshape(-1, 3)
    neighbours: dict[int, list[tuple[int, tuple[int, int, int]]]] = {i: [] for i in range(n)}
    for i, near in enumerate(cKDTree(images).query_ball_point(crystal.positions, reach)):
        for image in sorted(near):
            j, shift = image % n, shifts[image // n]
            distance = float(np.linalg.norm(images[image] - crystal.positions[i]))
            if 1e-6 < distance < bond_reach(crystal.symbols[i], crystal.symbols[j]):
                neighbours[i].append((j, (int(shift[0]), int(shift[1]), int(shift[2]))))
    return neighbours


def _unwrapped(
    crystal: Crystal, start: int, neighbours: dict[int, list[tuple[int, tuple[int, int, int]]]]
) -> tuple[list[int], np.ndarray]:
    """Return a molecule with its atoms side by side."""
    cells = {start: np.zeros(3)}
    queue = deque([start])
    while queue:
        i = queue.popleft()
        for j, shift in neighbours[i]:
            cell = cells[i] + np.array(shift)
            if j not in cells:
                cells[j] = cell
                queue.append(j)
            elif not np.array_equal(cells[j], cell):
                raise InputError(
                    f"bonds of {crystal.symbols[i]} (atom {i}) run through the whole crystal: "
                    "an isolated cluster is needed"
                )
    atoms = sorted(cells)
    return atoms, np.array([crystal.positions[i] + cells[i] @ crystal.cell for i in atoms])
