"""Change a cluster: other ligands, other elements, ligands or complexes taken away or added.

Every function returns a new `Cluster` whose charge follows from what was changed and whose provenance lists
the edit. Atoms that are not concerned keep their coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from mscflow.builder.assignment import Binding, Mode
from mscflow.builder.capped import shortest_contacts, too_near
from mscflow.builder.core import Core
from mscflow.builder.ligands import Kind, LigandTemplate, identify, ligand_template
from mscflow.builder.shell import Placed, regrown, with_one_more
from mscflow.chemistry import ANIONS, METALS, covalent_radius, suggest, unpaired
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import Ligand, Topology, topology

X_H = {"C": 1.10, "N": 1.02, "P": 1.42, "S": 1.35, "Se": 1.47, "O": 0.97, "As": 1.52}
"""Bond lengths to hydrogen / Å."""


def ligand_names(cluster: Cluster) -> list[str | None]:
    """Return the name of each ligand (in the order of `Topology.ligands`), None for unknown ones."""
    graph = topology(cluster)
    return [ligand_name(graph, ligand) for ligand in graph.ligands]


def ligand_name(graph: Topology, ligand: Ligand) -> str | None:
    """Return the name of a ligand, None if it is not one that is known."""
    number = {atom: n for n, atom in enumerate(ligand.atoms)}
    bonds = [(number[i], number[j]) for i, j in graph.graph.subgraph(ligand.atoms).edges]
    return identify([graph.cluster.symbols[i] for i in ligand.atoms], bonds)


def swap_ligands(cluster: Cluster, names: Mapping[str, str]) -> Cluster:
    """Replace ligands by others that bind in the same way; donors stay where they are.

    Parameters
    ----------
    cluster
        The structure.
    names
        Old name → new name (or SMILES), e.g. ``{"phenylacetate": "formate"}``.

    Raises
    ------
    InputError
        If the cluster has no such ligand, the two bind in different ways, or the new ones have no room.
    """
    graph = topology(cluster)
    wanted = {ligand_template(old).name: ligand_template(new) for old, new in names.items()}
    found = [ligand_name(graph, ligand) for ligand in graph.ligands]
    for old, new in wanted.items():
        if old not in found:
            there = sorted({name for name in found if name})
            raise InputError(f"no ligand {old!r} in {_label(cluster)}: {suggest(old, there)}")
        if ligand_template(old).kind is not new.kind or ligand_template(old).charge != new.charge:
            raise InputError(
                f"{old} ({ligand_template(old).kind}) and {new.name} ({new.kind}) bind differently"
            )
    core, core_atoms = _core(graph)
    shell = [
        _head(graph, core_atoms, ligand, wanted[name])
        if name in wanted
        else _as_it_is(graph, core_atoms, ligand)
        for ligand, name in zip(graph.ligands, found, strict=True)
    ]
    moving = [n for n, name in enumerate(found) if name in wanted]
    shell = regrown(core, shell, moving)
    free = [i for fragment in graph.fragments if not fragment.metals for i in fragment.atoms]
    symbols = (*core.symbols, *(s for p in shell for s in p.template.symbols))
    swapped = cluster.replace(
        symbols=(*symbols, *(cluster.symbols[i] for i in free)),
        positions=np.vstack([core.positions, *(p.positions for p in shell), cluster.positions[free]]),
        name=_renamed(cluster.name, wanted),
        provenance=_edited(cluster, swap_ligands={old: new.name for old, new in wanted.items()}),
    )
    _require_room(graph, topology(swapped), core, shell)
    return swapped


def _require_room(before: Topology, after: Topology, core: Core, shell: Sequence[Placed]) -> None:
    """Refuse new ligands that touch: other bonds than those drawn, or contacts nearer than `build` allows."""
    expected, start = set(core.bonds), len(core)
    for placed in shell:
        expected |= {_ordered((start + i, start + j)) for i, j in placed.template.bonds}
        start += len(placed.template.symbols)
    found = {
        (i, j)
        for i, j in map(_ordered, after.graph.edges)
        if i < start and not (i in after.metals and len(core) <= j < start)
    }
    contacts = too_near(after, shortest_contacts(before))
    problem = f"{len(found ^ expected)} bond(s) differ" if found != expected else contacts
    if problem:
        raise InputError(f"no room for the new ligands of {_label(before.cluster)}: {problem}")


def truncate_ligands(cluster: Cluster) -> Cluster:
    """Cut every ligand behind its donors: carboxylates become formates, amines NH3, phosphines PH3.

    What hangs on a donor (on the carbon of a carboxylate) is replaced by one hydrogen in the same direction:
    the cheap DFT model of a crystal structure. A ligand of several donor groups becomes several, a diamine
    two NH3. Free molecules stay as they are.

    Raises
    ------
    InputError
        If the donors of a ligand have multiple bonds or charges that hydrogen cannot stand for (pyridine,
        phosphine oxides).
    """
    graph = topology(cluster)
    symbols, positions = list(cluster.symbols), np.array(cluster.positions)
    keep = set(range(len(cluster))) - {i for ligand in graph.ligands for i in ligand.atoms}
    for ligand in graph.ligands:
        stem = _stem(graph, ligand)
        keep |= stem
        for atom in sorted(stem):
            for other in sorted(set(graph.graph[atom]) & set(ligand.atoms) - stem):
                keep.add(other)
                if symbols[other] != "H":
                    direction = positions[other] - positions[atom]
                    length = X_H.get(symbols[atom], covalent_radius(symbols[atom]) + 0.31)
                    positions[other] = positions[atom] + length * direction / np.linalg.norm(direction)
                    symbols[other] = "H"
    kept = sorted(keep)
    changed: dict[str, Any] = {"symbols": [symbols[i] for i in kept], "positions": positions[kept]}
    n_electrons = sum(atomic_numbers[symbol] for symbol in changed["symbols"])
    _require_same_charges(graph, topology(Cluster(**changed, multiplicity=1 + n_electrons % 2)), kept)
    return cluster.select(
        kept,
        **changed,
        name=f"{_label(cluster)} truncated",
        provenance=_edited(cluster, truncate_ligands=True),
    )


def _require_same_charges(before: Topology, after: Topology, kept: Sequence[int]) -> None:
    """Refuse ligands whose formal charge is another one after truncation; `kept` are the old atom indices."""
    for old in before.ligands:
        new = [piece for piece in after.fragments if kept[piece.atoms[0]] in old.atoms]
        charge = sum(piece.charge for piece in new)
        if old.charge != charge:
            raise InputError(
                f"{old.formula} of {_label(before.cluster)} cannot be truncated: "
                f"{' and '.join(piece.formula for piece in new)} would have charge {charge:+d} instead of "
                f"{old.charge:+d}; swap it for a smaller ligand first"
            )


def swap_elements(
    cluster: Cluster, elements: Mapping[str, str], sites: Iterable[int] | None = None
) -> Cluster:
    """Replace elements of the skeleton; charge and spin follow from oxidation states and spins of the ions.

    Parameters
    ----------
    cluster
        The structure.
    elements
        Old → new element, e.g. ``{"In": "Cd"}``.
    sites
        Atoms that are replaced; by default all of the old elements in the skeleton.

    Raises
    ------
    InputError
        If an element has no oxidation state here, or a site is of another element.
    """
    graph = topology(cluster)
    skeleton = {*graph.metals, *graph.core_anions}
    oxidation = {**METALS, **ANIONS}
    for symbol in (*elements, *elements.values()):
        if symbol not in oxidation:
            raise InputError(f"no oxidation state for {symbol!r}: {suggest(symbol, oxidation)}")
    chosen = set(sites) if sites is not None else {i for i in skeleton if cluster.symbols[i] in elements}
    for site in sorted(chosen):
        if site not in skeleton or cluster.symbols[site] not in elements:
            raise InputError(
                f"atom {site} is no {' or '.join(elements)} of the skeleton of {_label(cluster)}"
            )
    symbols = tuple(elements[s] if i in chosen else s for i, s in enumerate(cluster.symbols))
    change = sum(oxidation[symbols[i]] - oxidation[cluster.symbols[i]] for i in chosen)
    spins = sum(unpaired(symbols[i]) - unpaired(cluster.symbols[i]) for i in chosen)
    return cluster.replace(
        symbols=symbols,
        charge=cluster.charge + change,
        multiplicity=multiplicity_after(cluster, spins),
        name="",
        provenance=_edited(cluster, swap_elements=dict(elements), sites=sorted(chosen)),
    )


def remove_ligand(cluster: Cluster, number: int) -> Cluster:
    """Take one ligand away, with its charge.

    Parameters
    ----------
    cluster
        The structure.
    number
        Number of the ligand in `Topology.ligands`.
    """
    ligand = _numbered(topology(cluster), number)
    return _without(cluster, ligand.atoms, -ligand.charge, remove_ligand=number)


def remove_complex(cluster: Cluster, metal: int, ligands: Sequence[int] = ()) -> tuple[Cluster, Cluster]:
    """Take a neutral complex such as In(O2CR)3 away (a Z-type ligand), with its unpaired electrons.

    Parameters
    ----------
    cluster
        The structure.
    metal
        The cation that leaves.
    ligands
        Numbers of the anions that leave with it; by default those bound to it, those that bind nothing
        else first, then its nearest. Neutral ligands that bind nothing else leave in any case.

    Returns
    -------
    tuple of Cluster
        What remains, and the complex, both with the coordinates they had.
    """
    chosen = complex_ligands(topology(cluster), metal, ligands)
    atoms = [metal, *(i for ligand in chosen for i in ligand.atoms)]
    spins = unpaired(cluster.symbols[metal])
    rest = _without(cluster, atoms, 0, spins, remove_complex=metal)
    unit = cluster.select(
        atoms, charge=0, multiplicity=1 + spins, name="", provenance=_edited(cluster, complex=metal)
    )
    return rest, unit


def complex_ligands(graph: Topology, metal: int, ligands: Sequence[int] = ()) -> list[Ligand]:
    """Return the ligands that leave with a cation as a neutral complex; see `remove_complex`."""
    cluster = graph.cluster
    if metal not in graph.metals:
        raise InputError(f"atom {metal} of {_label(cluster)} is no cation; cations: {list(graph.metals)}")
    needed = METALS[cluster.symbols[metal]]
    chosen = [_numbered(graph, n) for n in ligands] or _own_ligands(graph, metal)[:needed]
    if -sum(ligand.charge for ligand in chosen) != needed:
        raise InputError(
            f"{cluster.symbols[metal]} (atom {metal}) needs ligands of charge {-needed:+d} to leave as a "
            f"neutral complex, not {sum(ligand.charge for ligand in chosen):+d}"
        )
    own = (ligand for ligand in graph.ligands if ligand.charge == 0 and ligand.metals == (metal,))
    return [*chosen, *(ligand for ligand in own if ligand not in chosen)]


def add_ligand(cluster: Cluster, name: str, metal: int) -> Cluster:
    """Bind one more ligand to a cation, in its most open direction; the skeleton stays, ligands make room.

    Raises
    ------
    InputError
        If the atom is no cation, or there is no room.
    """
    graph = topology(cluster)
    if metal not in graph.metals:
        raise InputError(f"atom {metal} of {_label(cluster)} is no cation; cations: {list(graph.metals)}")
    template = ligand_template(name)
    everything = Core(cluster.symbols, cluster.positions, tuple(sorted(map(_ordered, graph.graph.edges))))
    mode = Mode.CHELATING if template.n_donors > 1 else Mode.MONODENTATE
    positions = with_one_more(
        everything, template, Binding(0, mode, (metal,)), fixed=[*graph.metals, *graph.core_anions]
    )
    added = cluster.replace(
        symbols=(*cluster.symbols, *template.symbols),
        positions=positions,
        charge=cluster.charge + template.charge,
        name="",
        provenance=_edited(cluster, add_ligand=name, metal=metal),
    )
    new = topology(added).ligands
    if len(new) != len(graph.ligands) + 1:
        raise InputError(
            f"no room for {name} at atom {metal} ({cluster.symbols[metal]}) of {_label(cluster)}"
        )
    return added


def multiplicity_after(cluster: Cluster, spins: int) -> int:
    """Return the multiplicity with `spins` more (or fewer) unpaired electrons, all parallel."""
    n_unpaired = cluster.multiplicity - 1 + spins
    return 1 + (n_unpaired if n_unpaired >= 0 else n_unpaired % 2)


def _ordered(pair: tuple[int, int]) -> tuple[int, int]:
    return (min(pair), max(pair))


def _label(cluster: Cluster) -> str:
    return cluster.name or cluster.formula


def _edited(cluster: Cluster, **edit: Any) -> dict[str, Any]:
    history = cluster.provenance.get("edits", [])
    return {**cluster.provenance, "edits": [*history, edit]}


def _renamed(name: str, wanted: Mapping[str, LigandTemplate]) -> str:
    for old, new in wanted.items():
        name = name.replace(f"({ligand_template(old).formula})", f"({new.formula})")
    return name


def _without(cluster: Cluster, atoms: Iterable[int], charge: int, spins: int = 0, **edit: Any) -> Cluster:
    """Return a cluster without atoms; its charge grows, its unpaired electrons are fewer by what they had."""
    gone = set(atoms)
    return cluster.select(
        [i for i in range(len(cluster)) if i not in gone],
        charge=cluster.charge + charge,
        multiplicity=multiplicity_after(cluster, -spins),
        name="",
        provenance=_edited(cluster, **edit),
    )


def _numbered(graph: Topology, number: int) -> Ligand:
    if not 0 <= number < len(graph.ligands):
        raise InputError(f"no ligand {number}: {_label(graph.cluster)} has {len(graph.ligands)}, from 0")
    return graph.ligands[number]


def _own_ligands(graph: Topology, metal: int) -> list[Ligand]:
    """Return the anionic ligands, those bound to `metal` alone first, then shared ones, then the nearest."""
    positions = graph.cluster.positions

    def order(ligand: Ligand) -> tuple[bool, int, float]:
        nearest = float(np.linalg.norm(positions[list(ligand.donors)] - positions[metal], axis=1).min())
        return metal not in ligand.metals, len(ligand.metals), nearest

    return sorted((ligand for ligand in graph.ligands if ligand.charge < 0), key=order)


def _stem(graph: Topology, ligand: Ligand) -> set[int]:
    """Return donors of a ligand, and both oxygens and the carbon of a carboxylate that binds."""
    stem = set(ligand.donors)
    for atom in ligand.atoms:
        oxygens = {j for j in graph.graph[atom] if graph.cluster.symbols[j] == "O"}
        if graph.cluster.symbols[atom] == "C" and len(oxygens) > 1 and oxygens & set(ligand.donors):
            stem |= {atom, *oxygens}
    return stem


def _core(graph: Topology) -> tuple[Core, dict[int, int]]:
    """Return the skeleton, and the number in it of each of its atoms."""
    atoms = list(graph.skeleton)
    number = {atom: n for n, atom in enumerate(atoms)}
    bonds = [_ordered((number[i], number[j])) for i, j in graph.graph.subgraph(atoms).edges]
    cluster = graph.cluster
    core = Core(tuple(cluster.symbols[i] for i in atoms), cluster.positions[atoms], tuple(sorted(bonds)))
    return core, number


def _binding(number: Mapping[int, int], ligand: Ligand) -> Binding:
    several = len(ligand.metals) > 1
    chelating = not several and len(ligand.donors) > 1
    mode = Mode.BRIDGING if several else Mode.CHELATING if chelating else Mode.MONODENTATE
    return Binding(0, mode, tuple(number[m] for m in ligand.metals))


def _as_it_is(graph: Topology, number: Mapping[int, int], ligand: Ligand) -> Placed:
    """Return a ligand of the cluster that stays."""
    order = {atom: n for n, atom in enumerate(ligand.atoms)}
    bonds = tuple(_ordered((order[i], order[j])) for i, j in graph.graph.subgraph(ligand.atoms).edges)
    positions = graph.cluster.positions[list(ligand.atoms)]
    template = LigandTemplate(
        name="",
        formula=ligand.formula,
        symbols=tuple(graph.cluster.symbols[i] for i in ligand.atoms),
        positions=positions,
        charge=ligand.charge,
        n_donors=len(ligand.donors),
        bonds=bonds,
    )
    return Placed(template, _binding(number, ligand), positions)


def _head(graph: Topology, number: Mapping[int, int], ligand: Ligand, template: LigandTemplate) -> Placed:
    """Return the new ligand as far as the old one's donors (and carboxyl carbon) fix it."""
    cluster = graph.cluster
    donors = list(ligand.donors)
    if template.kind is Kind.CARBOXYLATE:
        carbon = next(iter(_stem(graph, ligand) - {i for i in ligand.atoms if cluster.symbols[i] == "O"}))
        donors = sorted(j for j in graph.graph[carbon] if cluster.symbols[j] == "O")
        donors.append(carbon)
    return Placed(template, _binding(number, ligand), cluster.positions[donors])
