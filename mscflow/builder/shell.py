"""Put a ligand shell on a core: heads where they were assigned, then tails, then no atom too near another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import networkx as nx
import numpy as np
from scipy.spatial import cKDTree

from mscflow.builder.assignment import Binding, Mode, bridge_directions, open_directions
from mscflow.builder.core import Core
from mscflow.builder.forcefield import ForceField
from mscflow.builder.ligands import Kind, LigandTemplate
from mscflow.chemistry import contact_radius, donor_distance

HEAD_RADIUS = 4.5
"""Heads farther apart than this / Å do not hinder each other."""

N_TURNS = 12
N_SWEEPS = 2
SOFT = 0.05
"""Repulsion with which tails may still pass through each other."""

BOND, ANGLE, OUTER_ANGLE = 1.0, 0.5, 0.1
"""Strengths of the springs between atoms one and two bonds apart, and two bonds apart across a cation."""

DOUBLE_BOND = 1.42
"""Torsions about shorter C–C bonds / Å, and in rings, are rigid."""

DONOR_ANGLES = {Kind.CARBOXYLATE: 128.0, Kind.BRIDGING_ANION: 103.0, Kind.NEUTRAL: 112.0, Kind.CHELATE: 108.0}
"""Angle / ° at the donor between its cation and the ligand's next atom."""

CHELATE_ANGLE = 92.0
"""The same where both oxygens of a carboxylate bind one cation."""

_Springs = dict[tuple[int, int], tuple[float, float]]
"""Length / Å and strength of springs by pair of atoms."""


@dataclass(frozen=True)
class Placed:
    """A ligand on its cations, or as many of its first atoms as there are positions.

    Parameters
    ----------
    template
        The ligand.
    binding
        Where it binds.
    positions
        Coordinates / Å of its first atoms, shape (n, 3).
    """

    template: LigandTemplate
    binding: Binding
    positions: np.ndarray


def attach(
    core: Core, templates: Sequence[LigandTemplate], bindings: Sequence[Binding], seed: int = 0
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return symbols and coordinates / Å of a core with its ligands; the core comes first and does not move.

    Parameters
    ----------
    core
        The core.
    templates
        The ligands that `bindings` number.
    bindings
        Where each ligand binds.
    seed
        Seed of the starting directions.
    """
    rng = np.random.default_rng(seed)
    shapes = [_shape(template) for template in templates]
    shell: list[Placed] = []
    for binding in bindings:
        shell.append(_head(core, templates[binding.ligand], binding, shell, rng))
    shell = _relaxed(core, shell, shapes, n_steps=400)
    shell = _with_tails(core, shell, range(len(shell)))
    shell = _relaxed(core, shell, shapes, n_steps=200, repulsion=SOFT)
    shell = _relaxed(core, shell, shapes, n_steps=800)
    symbols = (*core.symbols, *(s for placed in shell for s in placed.template.symbols))
    return symbols, np.vstack([core.positions, *(placed.positions for placed in shell)])


def regrown(core: Core, shell: Sequence[Placed], moving: Sequence[int]) -> list[Placed]:
    """Complete the ligands `moving` behind their donors, which stay, as do the core and all other ligands."""
    shell = [replace(p, binding=replace(p.binding, ligand=n)) for n, p in enumerate(shell)]
    shapes = [_shape(placed.template) for placed in shell]
    fixed = {n: len(p.positions) for n, p in enumerate(shell)}
    shell = _with_tails(core, shell, moving)
    for n_steps, repulsion in ((200, SOFT), (800, 1.0)):
        shell = _relaxed(core, shell, shapes, n_steps, repulsion, fixed)
    return shell


def with_one_more(
    whole: Core, template: LigandTemplate, binding: Binding, fixed: Sequence[int], seed: int = 0
) -> np.ndarray:
    """Return coordinates / Å of a whole structure and one more ligand, for which the others make room.

    Parameters
    ----------
    whole
        The structure, ligands included.
    template, binding
        The new ligand.
    fixed
        Atoms that stay.
    seed
        Seed of the starting direction.
    """
    shape = _shape(template)
    new = _head(whole, template, binding, [], np.random.default_rng(seed))
    new = _with_tails(whole, [new], [0])[0]
    n = len(whole)
    springs: _Springs = {
        (i, j): (float(np.linalg.norm(whole.positions[i] - whole.positions[j])), {1: BOND, 2: ANGLE}[n_bonds])
        for i, reached in nx.all_pairs_shortest_path_length(whole.graph, cutoff=2)
        for j, n_bonds in reached.items()
        if i < j
    }
    springs.update({(n + i, n + j): spring for (i, j), spring in shape.items()})
    outer = _outer_springs(whole, template, binding)
    springs.update({(metal, n + i): spring for (metal, i), spring in outer.items()})
    field = _field([*whole.symbols, *template.symbols], springs, fixed, repulsion=1.0)
    return field.relax(np.vstack([whole.positions, new.positions]), n_steps=800, tolerance=0.002)


def _head(
    core: Core,
    template: LigandTemplate,
    binding: Binding,
    others: Sequence[Placed],
    rng: np.random.Generator,
) -> Placed:
    """Place a ligand in the free direction that is farthest from core and other ligands."""
    candidates = [
        _oriented(core, template, binding, out, float(turn))
        for out in _directions(core, template, binding)
        for turn in (rng.uniform(0, np.pi, size=2) if binding.mode is not Mode.BRIDGING else [0.0])
    ]
    n_head = _n_head(template)
    fixed = cKDTree(np.vstack([core.positions, *(other.positions for other in others)]))
    metals = core.positions[list(binding.metals)]

    def room(positions: np.ndarray) -> float:
        near, _ = fixed.query(positions[:n_head], k=3)
        mine = np.linalg.norm(positions[:n_head, None] - metals[None], axis=2).min(axis=1)
        near[np.isclose(near, mine[:, None])] = np.inf
        return float(np.minimum(near.min(axis=1), HEAD_RADIUS).sum() + 0.1 * rng.random())

    return Placed(template, binding, max(candidates, key=room)[:n_head])


def _directions(core: Core, template: LigandTemplate, binding: Binding) -> np.ndarray:
    if binding.mode is Mode.BRIDGING:
        found = bridge_directions(core, binding.metals, template)
    else:
        found = open_directions(core, binding.metals[0], template.symbols[0])[::4]
    if len(found):
        return found
    out = core.positions[list(binding.metals)].mean(axis=0) - core.positions.mean(axis=0)
    return out[None] / np.linalg.norm(out)


def _oriented(
    core: Core, template: LigandTemplate, binding: Binding, out: np.ndarray, turn: float
) -> np.ndarray:
    """Return coordinates of a ligand that points along `out` from its cations."""
    metals = core.positions[list(binding.metals)]
    bond = np.mean([donor_distance(core.symbols[m], template.symbols[0]) for m in binding.metals])
    bite = abs(template.positions[0, 0]) if template.n_donors > 1 else 0.0
    if binding.mode is Mode.BRIDGING:
        wide = metals[0] - metals[1]
        half = abs(np.linalg.norm(wide) / 2 - bite)
        depth = np.sqrt(max(bond**2 - half**2, 0.5))
    else:
        side = np.cross(out, np.eye(3)[np.argmin(np.abs(out))])
        side /= np.linalg.norm(side)
        wide = np.cos(turn) * side + np.sin(turn) * np.cross(out, side)
        depth = np.sqrt(max(bond**2 - bite**2, 0.5)) if binding.mode is Mode.CHELATING else bond
    x = wide - (wide @ out) * out
    x /= np.linalg.norm(x)
    frame = np.array([x, np.cross(out, x), out])
    anchor = metals.mean(axis=0) + (depth - template.positions[0, 2]) * out
    positions = anchor + template.positions @ frame
    if binding.mode is Mode.MONODENTATE and template.n_donors > 1:  # the other oxygen points away
        positions += metals[0] + bond * out - positions[0]
    return positions


def _n_head(template: LigandTemplate) -> int:
    """Return how many first atoms decide where a ligand goes: the donors, the group of a carboxylate."""
    return 4 if template.kind is Kind.CARBOXYLATE else template.n_donors


def _with_tails(core: Core, shell: Sequence[Placed], moving: Sequence[int]) -> list[Placed]:
    """Complete ligands, each turned about its axis to where its tail overlaps least with all the others."""
    grown = list(shell)
    for _ in range(N_SWEEPS):
        for n in moving:
            placed = grown[n]
            others = [p for m, p in enumerate(grown) if m != n]
            points = np.vstack([core.positions, *(p.positions for p in others)])
            symbols = [*core.symbols, *(s for p in others for s in p.template.symbols[: len(p.positions)])]
            tree, radii = cKDTree(points), _radii(symbols)
            mine = _radii(placed.template.symbols)
            candidates = list(_completions(core, placed))
            overlaps = [_overlap(candidate, mine, tree, radii) for candidate in candidates]
            grown[n] = replace(placed, positions=candidates[int(np.argmin(overlaps))])
    return grown


def _completions(core: Core, placed: Placed) -> Iterator[np.ndarray]:
    """Yield the whole ligand on the place of its head, in every conformer and turn."""
    template, head = placed.template, placed.positions
    metal = core.positions[list(placed.binding.metals)].mean(axis=0)
    if template.kind is Kind.CARBOXYLATE:
        origin, out, wide = head[2], head[2] - head[:2].mean(axis=0), head[0] - head[1]
    else:
        origin = head[: template.n_donors].mean(axis=0)
        out = origin - metal
        wide = head[0] - head[1] if template.n_donors > 1 else np.array([0.3, 0.5, 0.8])
    z = out / np.linalg.norm(out)
    x = wide - (wide @ z) * z
    x /= np.linalg.norm(x)
    n_fixed = 3 if template.kind is Kind.CARBOXYLATE else template.n_donors
    n_turns = 2 if template.kind is Kind.CHELATE else N_TURNS
    for shape in (template.positions, *template.conformers):
        for angle in np.linspace(0, 2 * np.pi, n_turns, endpoint=False):
            turned = np.cos(angle) * x + np.sin(angle) * np.cross(z, x)
            whole = origin + shape @ np.array([turned, np.cross(z, turned), z])
            whole[:n_fixed] = head[:n_fixed]
            yield whole


def _overlap(positions: np.ndarray, mine: np.ndarray, tree: cKDTree, radii: np.ndarray) -> float:
    distance, index = tree.query(positions, k=4, distance_upper_bound=2 * radii.max())
    reach = mine[:, None] + np.append(radii, 0.0)[index]
    return float((np.maximum(reach - distance, 0.0) ** 2).sum())


def _radii(symbols: Sequence[str]) -> np.ndarray:
    return np.array([contact_radius(symbol) for symbol in symbols])


def _relaxed(
    core: Core,
    shell: Sequence[Placed],
    shapes: Sequence[_Springs],
    n_steps: int,
    repulsion: float = 1.0,
    fixed: Mapping[int, int] | None = None,
) -> list[Placed]:
    """Relax all ligands, as far as they are there, around the fixed core.

    `fixed` says how many first atoms of which ligands stay.
    """
    starts = np.cumsum([len(core), *(len(placed.positions) for placed in shell)]).tolist()
    symbols = [*core.symbols, *(s for p in shell for s in p.template.symbols[: len(p.positions)])]
    springs: _Springs = {}
    for number, (placed, start) in enumerate(zip(shell, starts, strict=False)):
        n = len(placed.positions)
        if (fixed or {}).get(number) == n:  # all of it stays
            continue
        inner = shapes[placed.binding.ligand]
        springs.update({(start + i, start + j): s for (i, j), s in inner.items() if j < n})
        outer = _outer_springs(core, placed.template, placed.binding)
        springs.update({(metal, start + i): s for (metal, i), s in outer.items() if i < n})
    stay = [*range(len(core)), *(starts[n] + i for n, count in (fixed or {}).items() for i in range(count))]
    field = _field(symbols, springs, stay, repulsion)
    positions = np.vstack([core.positions, *(placed.positions for placed in shell)])
    positions = field.relax(positions, n_steps=n_steps, tolerance=0.002)
    return [
        replace(placed, positions=positions[start : start + len(placed.positions)])
        for placed, start in zip(shell, starts, strict=False)
    ]


def _field(symbols: Sequence[str], springs: _Springs, fixed: Sequence[int], repulsion: float) -> ForceField:
    return ForceField(
        radii=_radii(symbols),
        pairs=np.array(list(springs)),
        lengths=np.array([length for length, _ in springs.values()]),
        strengths=np.array([strength for _, strength in springs.values()]),
        fixed=fixed,
        repulsion=repulsion,
    )


def _shape(template: LigandTemplate) -> _Springs:
    """Return the springs within a ligand: bonds, angles and rigid torsions; other torsions are free."""
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(range(len(template.symbols)))
    graph.add_edges_from(template.bonds)
    bridges = set(map(frozenset, nx.bridges(graph)))
    distance = np.linalg.norm(template.positions[:, None] - template.positions[None], axis=2)

    def rigid(i: int, j: int) -> bool:
        _, a, b, _ = nx.shortest_path(graph, i, j)
        carbon = template.symbols[a] == template.symbols[b] == "C"
        return frozenset((a, b)) not in bridges or (carbon and distance[a, b] < DOUBLE_BOND)

    springs: _Springs = {}
    for i, reached in nx.all_pairs_shortest_path_length(graph, cutoff=3):
        for j, n_bonds in reached.items():
            if i < j:
                strength = {1: BOND, 2: ANGLE, 3: 0.0}[n_bonds] or (ANGLE if rigid(i, j) else 0.0)
                springs[i, j] = (float(distance[i, j]), strength)
    return springs


def _outer_springs(core: Core, template: LigandTemplate, binding: Binding) -> _Springs:
    """Return the springs between cations and a ligand: bonds, and angles at the donors."""
    if binding.mode is Mode.CHELATING:
        pairs = [(binding.metals[0], donor) for donor in range(template.n_donors)]
    elif template.kind is Kind.CARBOXYLATE:
        pairs = list(zip(binding.metals, range(2), strict=False))
    else:
        pairs = [(metal, 0) for metal in binding.metals]
    springs: _Springs = {}
    if len(binding.metals) > 1 and template.n_donors == 1:
        springs.update(_across_rings(core, template, binding))
    for metal, donor in pairs:
        bond = donor_distance(core.symbols[metal], template.symbols[donor])
        springs[metal, donor] = (bond, BOND)
        angle = DONOR_ANGLES[template.kind]
        if template.kind is Kind.CARBOXYLATE and binding.mode is Mode.CHELATING:
            angle = CHELATE_ANGLE
        for i, j in template.bonds:
            if donor in (i, j):
                other = i + j - donor
                inner = float(np.linalg.norm(template.positions[donor] - template.positions[other]))
                reach = np.sqrt(bond**2 + inner**2 - 2 * bond * inner * np.cos(np.radians(angle)))
                springs[metal, other] = (float(reach), OUTER_ANGLE)
    return springs


def _across_rings(core: Core, template: LigandTemplate, binding: Binding) -> _Springs:
    """Return springs to the anions that share both cations of a bridging donor: flat rings of four."""
    first, second = binding.metals
    half = float(np.linalg.norm(core.positions[first] - core.positions[second])) / 2
    springs: _Springs = {}
    for anion in set(core.graph[first]) & set(core.graph[second]):
        bonds = (
            float(np.linalg.norm(core.positions[first] - core.positions[anion])),
            donor_distance(core.symbols[first], template.symbols[0]),
        )
        springs[anion, 0] = (sum(float(np.sqrt(max(b**2 - half**2, 0.5))) for b in bonds), BOND)
    return springs
