"""Pseudo-wurtzite and T-symmetric cores: one chiral unit, its caps, and its fusion to In37P20.

The unit M26E13 (point group T) is an anion in the middle of twelve others on an icosahedron. Of the eight
faces along the body diagonals four hold an *inner* cation (bonded to the centre and three anions), the four
others a *face* cation outside (three anions); six edges on the twofold axes hold an *edge* cation (two
anions); each outer anion carries one *terminal* cation. So each of its 13 anions has four bonds.
Derived by counting bonds from the published compositions; see the provenance of the clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal

import numpy as np

from mscflow.builder.core import Core
from mscflow.chemistry import bond_length

Hand = Literal["left", "right"]

SHARED = 1.5
"""Atoms of two fused units nearer than this / Å are one atom."""

_GOLDEN = (1 + np.sqrt(5)) / 2
_ICOSAHEDRON = np.array(
    [np.roll((0.0, s, t * _GOLDEN), n) for n in range(3) for s in (1, -1) for t in (1, -1)]
) / np.sqrt(1 + _GOLDEN**2)
_DIAGONALS = np.array(list(product((1, -1), repeat=3))) / np.sqrt(3)
_INNER = _DIAGONALS[np.prod(_DIAGONALS, axis=1) > 0]
_FACE = _DIAGONALS[np.prod(_DIAGONALS, axis=1) < 0]
_EDGE = np.vstack([np.eye(3), -np.eye(3)])
_SHELL = 1.62
"""Distance of the outer anions from the centre, in bond lengths."""

N_ANIONS = 13
N_UNIT = 39


def t_unit(cation: str = "In", anion: str = "P", hand: Hand = "left") -> Core:
    """Build M26E13, point group T.

    Parameters
    ----------
    cation, anion
        Elements.
    hand
        ``"left"``, or its mirror image.

    Returns
    -------
    Core
        The 13 anions first (centre, then icosahedron), then 4 inner, 4 face, 6 edge, 12 terminal cations.
    """
    bond = bond_length(cation, anion)
    outer = _SHELL * bond * _ICOSAHEDRON
    anions = np.vstack([np.zeros((1, 3)), outer])
    cations: list[np.ndarray] = []
    bonds: list[tuple[int, int]] = []
    places = [(d, 1.0, 3) for d in _INNER] + [(d, 1.75, 3) for d in _FACE] + [(d, 1.95, 2) for d in _EDGE]
    for direction, distance, n_bonds in places:
        index = N_ANIONS + len(cations)
        if distance == 1.0:
            bonds.append((0, index))
        bonds += [(1 + int(i), index) for i in np.argsort(-_ICOSAHEDRON @ direction)[:n_bonds]]
        cations.append(distance * bond * direction)
    for i, direction in enumerate(_ICOSAHEDRON):
        bonds.append((1 + i, N_ANIONS + len(cations)))
        cations.append((_SHELL + 1) * bond * direction)
    core = Core(
        (*[anion] * N_ANIONS, *[cation] * len(cations)), np.vstack([anions, cations]), tuple(sorted(bonds))
    ).embedded()
    return _handed(core, hand)


def _handed(core: Core, hand: Hand) -> Core:
    """Return a core that was built left-handed in the hand asked for."""
    return core if hand == "left" else core.mirrored()


def without_terminal(core: Core) -> Core:
    """Return a core without its cations of one bond: what remains when the surface is removed."""
    return core.without(i for i in core.cations if core.degree(i) == 1)


def capped_unit(cation: str = "Cd", anion: str = "Se", hand: Hand = "left", n_caps: int = 4) -> Core:
    """Build M26E17: the unit with an apical anion on each triple of terminal cations around an inner one."""
    core = t_unit(cation, anion)
    for inner in range(N_ANIONS, N_ANIONS + n_caps):
        outer = [e for e in core.graph[inner] if e != 0]
        terminal = [m for e in outer for m in core.graph[e] if core.degree(m) == 1]
        core = cap(core, anion, terminal)
    return _handed(core.embedded(), hand)


def without_face_cation(core: Core) -> Core:
    """Return a unit without its first face cation: as many cations as anions."""
    return core.without([N_ANIONS + 4])


def bullet(cation: str = "In", anion: str = "As", hand: Hand = "left") -> Core:
    """Build M26E18, point group C3: a capped unit drawn out along one of its threefold axes.

    At the end away from the axis' inner cation (the tip) the face cation carries one more anion, and three
    cations join that to the three other caps; the terminal cations whose place they take, on the anions that
    share an edge cation with the tip's, are gone.
    """
    core = capped_unit(cation, anion)
    tip = N_ANIONS
    tip_anions = {e for e in core.graph[tip] if e != 0}
    face = max(
        range(N_ANIONS + 4, N_ANIONS + 8),
        key=lambda m: float(np.linalg.norm(core.positions[m] - core.positions[tip])),
    )
    edges = [m for m in range(N_ANIONS + 8, N_ANIONS + 14) if len(tip_anions & set(core.graph[m])) == 1]
    bare = [e for m in edges for e in core.graph[m] if e not in tip_anions]
    caps = range(len(core) - 3, len(core))
    lost = [m for e in bare for m in core.graph[e] if set(core.graph[m]) & set(caps)]
    out = core.positions[face] / np.linalg.norm(core.positions[face])
    bond = bond_length(cation, anion)
    end = core.positions[face] + bond * out
    joints = np.array([(core.positions[c] + end) / 2 + 0.5 * bond * out for c in caps])
    n = len(core)
    bonds = [(face, n), *((n, n + 1 + k) for k in range(3)), *((c, n + 1 + k) for k, c in enumerate(caps))]
    whole = core.extended([anion, *[cation] * 3], np.vstack([end[None], joints]), bonds)
    return _handed(whole.without(lost).embedded(), hand)


def cap(core: Core, symbol: str, atoms: Sequence[int], height: float = 1.0) -> Core:
    """Return a core with one more atom bonded to `atoms`, above them (`height` / Å, away from the middle)."""
    middle = core.positions[list(atoms)].mean(axis=0)
    out = middle - core.positions.mean(axis=0)
    position = middle + height * out / np.linalg.norm(out)
    return core.extended([symbol], position, [(i, len(core)) for i in atoms])


def fused_units(cation: str = "In", anion: str = "P", hand: Hand = "left") -> Core:
    """Build M37E20, point group C2: two units of one hand, the centre of each an outer anion of the other.

    They share 7 anions and 17 cations; one more (apical) anion on the twofold axis joins the two cations of
    two bonds that lie nearest to each other, and carries two terminal cations.
    """
    unit = t_unit(cation, anion)
    partner = 1
    inner = next(m for m in unit.graph[0] if partner in unit.graph[m])
    middle = (unit.positions[0] + unit.positions[partner]) / 2
    core = _joined(unit, _turned(unit.positions, middle, unit.positions[inner] - middle))
    pair = _nearest_bare_pair(core)
    core = cap(core.embedded(), anion, pair)
    apex = len(core) - 1
    out = core.positions[apex] - core.positions.mean(axis=0)
    side = np.cross(out, core.positions[pair[0]] - core.positions[pair[1]])
    out, side = (bond_length(cation, anion) * v / np.linalg.norm(v) for v in (out, side))
    ends = core.positions[apex] + np.array([0.6 * out + 0.8 * side, 0.6 * out - 0.8 * side])
    core = core.extended([cation, cation], ends, [(apex, apex + 1), (apex, apex + 2)]).embedded()
    return _handed(core, hand)


def _turned(positions: np.ndarray, point: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return coordinates turned by 180° about an axis through `point`."""
    unit = axis / np.linalg.norm(axis)
    relative = positions - point
    return point + 2 * np.outer(relative @ unit, unit) - relative


def _joined(unit: Core, copy: np.ndarray) -> Core:
    """Return a unit and its copy with the atoms they share merged."""
    distance = np.linalg.norm(unit.positions[:, None] - copy[None], axis=2)
    kinds = np.array(unit.symbols)
    distance[kinds[:, None] != kinds[None]] = np.inf
    number = {
        int(j): int(i)
        for j, i in enumerate(distance.argmin(axis=0))
        if distance[i, j] < SHARED and distance[i].argmin() == j
    }
    new = [j for j in range(len(unit)) if j not in number]
    number.update({j: len(unit) + n for n, j in enumerate(new)})
    positions = unit.positions.copy()
    for j, i in number.items():
        if i < len(unit):
            positions[i] = (unit.positions[i] + copy[j]) / 2
    joined = Core(unit.symbols, positions, unit.bonds)
    bonds = [(number[i], number[j]) for i, j in unit.bonds]
    return joined.extended([unit.symbols[j] for j in new], copy[new], bonds)


def _nearest_bare_pair(core: Core) -> tuple[int, int]:
    bare = [i for i in core.cations if core.degree(i) == 2]
    pairs = [(i, j) for i in bare for j in bare if i < j and not set(core.graph[i]) & set(core.graph[j])]
    return min(pairs, key=lambda p: float(np.linalg.norm(core.positions[p[0]] - core.positions[p[1]])))
