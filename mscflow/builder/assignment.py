"""Which ligand binds where: an integer programme over the open coordination sites of a core.

Every cation may take as many donors as fit between its core bonds; the numbers of ligands are given by the
charge. Costs prefer full but not crowded cations, carboxylates that bridge two cations at a fitting
distance, and chelates on cations with few core bonds. Noise of a seed breaks ties: other seeds give other
shells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.optimize import LinearConstraint, milp
from scipy.sparse import coo_array

from mscflow.builder.core import Core
from mscflow.builder.ligands import Kind, LigandTemplate
from mscflow.chemistry import contact_radius, donor_distance, suggest
from mscflow.errors import InputError


class Mode(StrEnum):
    """How a ligand is bound."""

    CHELATING = "chelating"
    BRIDGING = "bridging"
    MONODENTATE = "monodentate"


@dataclass(frozen=True)
class Binding:
    """One ligand and where it binds.

    Parameters
    ----------
    ligand
        Number of the ligand in the list of templates.
    mode
        How.
    metals
        The one or two cations.
    """

    ligand: int
    mode: Mode
    metals: tuple[int, ...]


COORDINATION: dict[str, tuple[int, int]] = {
    "In": (5, 6), "Ga": (4, 6), "Al": (4, 6), "Cd": (4, 6), "Zn": (4, 5), "Hg": (4, 5), "Mn": (4, 6),
    "Co": (4, 6), "Cu": (3, 4), "Ag": (3, 4), "Au": (2, 3),
}  # fmt: skip
"""Preferred and largest number of bonds of each cation in these clusters."""

BRIDGED = (3.2, 4.1, 5.2)
"""Distance / Å of two cations that a carboxylate bridges: smallest, best, largest."""

MU2_BRIDGED = (3.2, 4.1, 4.8)
"""The same for a halide or chalcogenolate."""

TETRAHEDRAL_BONDS = 4
"""A cation with so many anions around it needs no ligand."""

NOISE = 0.15
"""Standard deviation of the costs' noise: less than any cost that stands for chemistry."""

STRAIN = 1.5
RING = 1.0
TWIN = 0.5
"""Costs of strain / Å⁻², of a crowded ring of four, and of a second equal ligand on one cation."""
CROWDED = (0.8, 1.6)
UNDER = (3.0, 6.0)
"""Costs of the first and of every further bond of a cation beyond the preferred number, and missing from it:
one cation must not go bare so that others are served in full."""

LONE_CARBOXYLATE, LONE = 2.4, 0.6
"""Costs of a ligand bound by one donor to one cation; carboxylates on these clusters use both oxygens."""

TILTS = 24
DIRECTIONS = 200
CLEARANCE = 0.84
"""A donor fits where no other core atom is nearer than this part of the contact distance."""

SMALLEST_ANGLE = np.radians(82.0)
"""Between two bonds of a cation."""

SMALLEST_RING_ANGLE = np.radians(64.0)
"""The same where a ligand bridges two cations that share the anion: a ring of four."""

_MODES = {
    Kind.CARBOXYLATE: (Mode.CHELATING, Mode.BRIDGING, Mode.MONODENTATE),
    Kind.BRIDGING_ANION: (Mode.BRIDGING, Mode.MONODENTATE),
    Kind.NEUTRAL: (Mode.MONODENTATE,),
    Kind.CHELATE: (Mode.CHELATING,),
}


@dataclass(frozen=True)
class _Option:
    """One integer variable: how many ligands of a kind bind in one way at one place."""

    ligand: int
    mode: Mode
    metals: tuple[int, ...]
    cost: float
    at_most: int = 3

    @property
    def donors(self) -> dict[int, int]:
        """Bonds it adds to each cation."""
        n = 2 if self.mode is Mode.CHELATING else 1
        return dict.fromkeys(self.metals, n)


def assign(
    core: Core,
    shell: list[tuple[LigandTemplate, int]],
    seed: int = 0,
    modes: Mapping[str, int] | None = None,
    avoid: Collection[Binding] = (),
) -> list[Binding]:
    """Choose where every ligand binds.

    Parameters
    ----------
    core
        The core.
    shell
        Ligands and their numbers.
    seed
        Other seeds give other arrangements of similar cost.
    modes
        Numbers of ligands per mode that are asked for, e.g. ``{"chelating": 12}``.
    avoid
        Bindings that turned out to have no room.

    Returns
    -------
    list of Binding
        One per ligand.

    Raises
    ------
    InputError
        If the ligands do not fit on the core, or `modes` is no count of ligands per mode.
    """
    _check_modes(modes or {}, sum(count for _, count in shell))
    capacity = _capacity(core)
    options = _options(core, [template for template, _ in shell], capacity, np.random.default_rng(seed))
    options = [o for o in options if Binding(o.ligand, o.mode, o.metals) not in avoid]
    numbers = _solve(core, options, [count for _, count in shell], capacity, modes or {})
    return [
        Binding(option.ligand, option.mode, option.metals)
        for option, n in zip(options, numbers, strict=True)
        for _ in range(n)
    ]


def _check_modes(modes: Mapping[str, int], n_ligands: int) -> None:
    for name, count in modes.items():
        if name not in set(Mode):
            raise InputError(f"unknown binding mode {name!r}: {suggest(name, Mode)}")
        if not isinstance(count, int) or not 0 <= count <= n_ligands:
            raise InputError(f"{name}: a number of ligands from 0 to {n_ligands} is needed, not {count!r}")
    if sum(modes.values()) > n_ligands or (len(modes) == len(Mode) and sum(modes.values()) < n_ligands):
        raise InputError(f"the modes asked for are {sum(modes.values())} ligands, there are {n_ligands}")


def open_directions(core: Core, atom: int, donor: str) -> np.ndarray:
    """Return unit vectors along which a donor element fits at a cation, shape (n, 3)."""
    n = np.arange(DIRECTIONS) + 0.5
    polar, azimuth = np.arccos(1 - 2 * n / DIRECTIONS), np.pi * (1 + 5**0.5) * n
    sphere = np.column_stack(
        [np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)]
    )
    reach = donor_distance(core.symbols[atom], donor)
    return sphere[_fits(core, core.positions[atom] + reach * sphere, (atom,), donor)]


def _fits(core: Core, points: np.ndarray, metals: tuple[int, ...], donor: str) -> np.ndarray:
    """Whether a donor at each point is far enough from all core atoms, and from the bonds of its cations."""
    reach = np.array([CLEARANCE * (contact_radius(s) + contact_radius(donor)) for s in core.symbols])
    around = Counter(i for metal in metals for i in core.graph[metal])
    for metal in metals:
        bond = donor_distance(core.symbols[metal], donor)
        for i in core.graph[metal]:
            length = np.linalg.norm(core.positions[metal] - core.positions[i])
            angle = SMALLEST_ANGLE if around[i] == 1 else SMALLEST_RING_ANGLE
            reach[i] = np.sqrt(bond**2 + length**2 - 2 * bond * length * np.cos(angle))
    reach[list(metals)] = 0.0
    distance = np.linalg.norm(points[:, None] - core.positions[None], axis=2)
    return (distance > reach).all(axis=1)


def _capacity(core: Core) -> dict[int, int]:
    """Return how many donors fit around each cation, by greedy packing."""
    capacity = {}
    for atom in core.cations:
        directions = open_directions(core, atom, "O")
        best = 0
        for first in range(0, len(directions), 4):
            chosen = [first]
            for n in range(len(directions)):
                if (directions[n] @ directions[chosen].T < 0.35).all():
                    chosen.append(n)
            best = max(best, len(chosen))
        _, largest = COORDINATION[core.symbols[atom]]
        capacity[atom] = max(0, min(best, largest - core.degree(atom)))
    return capacity


def _options(
    core: Core, templates: list[LigandTemplate], capacity: dict[int, int], rng: np.random.Generator
) -> list[_Option]:
    options = []
    places = [m for m in core.cations if capacity[m]]
    for number, template in enumerate(templates):
        modes = _MODES[template.kind]
        reach = MU2_BRIDGED if template.kind is Kind.BRIDGING_ANION else BRIDGED
        for atom in places:
            few = core.degree(atom)
            if Mode.CHELATING in modes and capacity[atom] > 1:
                options.append(_Option(number, Mode.CHELATING, (atom,), 0.3 * few))
            if Mode.MONODENTATE in modes:
                lone = LONE_CARBOXYLATE if template.kind is Kind.CARBOXYLATE else LONE
                options += [
                    _Option(number, Mode.MONODENTATE, (atom,), lone, at_most=1),
                    _Option(number, Mode.MONODENTATE, (atom,), lone + TWIN, at_most=2),
                ]
        if Mode.BRIDGING in modes:
            for pair, distance in _pairs(core, places, reach):
                if bridge_directions(core, pair, template).size:
                    strain = STRAIN * (distance - reach[1]) ** 2 / template.n_donors
                    cost = strain + _ring_cost(core, pair, template)
                    options.append(_Option(number, Mode.BRIDGING, pair, cost, template.n_donors))
    noise = rng.normal(scale=NOISE, size=len(options))
    return [replace(o, cost=o.cost + float(e)) for o, e in zip(options, noise, strict=True)]


def _ring_cost(core: Core, pair: tuple[int, int], template: LigandTemplate) -> float:
    """Return what it costs to close a ring of four with one donor: nothing where the anion has room."""
    shared = set(core.graph[pair[0]]) & set(core.graph[pair[1]])
    crowded = any(core.degree(anion) >= TETRAHEDRAL_BONDS for anion in shared)
    return RING if crowded and template.n_donors == 1 else 0.0


def _pairs(
    core: Core, places: list[int], reach: tuple[float, float, float]
) -> list[tuple[tuple[int, int], float]]:
    found = []
    for n, i in enumerate(places):
        for j in places[n + 1 :]:
            distance = float(np.linalg.norm(core.positions[i] - core.positions[j]))
            if reach[0] < distance < reach[2]:
                found.append(((i, j), distance))
    return found


def bridge_directions(core: Core, pair: tuple[int, ...], template: LigandTemplate) -> np.ndarray:
    """Return unit vectors from the middle of two cations along which a bridging ligand fits."""
    first, second = core.positions[list(pair)]
    axis = (second - first) / np.linalg.norm(second - first)
    side = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    side /= np.linalg.norm(side)
    angles = np.linspace(0, 2 * np.pi, TILTS, endpoint=False)
    out = np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * np.cross(axis, side)
    half = float(np.linalg.norm(second - first)) / 2
    donor = template.symbols[0]
    bite = abs(template.positions[0, 0])
    bond = donor_distance(core.symbols[pair[0]], donor)
    depth = np.sqrt(max(bond**2 - (half - bite) ** 2, 0.3))
    middle = (first + second) / 2 + depth * out
    ends = (middle + bite * axis, middle - bite * axis)
    return out[_fits(core, ends[0], pair, donor) & _fits(core, ends[1], pair, donor)]


def _solve(
    core: Core,
    options: list[_Option],
    counts: list[int],
    capacity: dict[int, int],
    modes: Mapping[str, int],
) -> list[int]:
    """Solve the integer programme: one variable per option, then missing and crowding bonds per cation.

    Of these each cation has two variables: the first bond, and all further ones.
    """
    metals = list(core.cations)
    row = {metal: n for n, metal in enumerate(metals)}
    n_options, n_metals = len(options), len(metals)
    n_variables = n_options + 4 * n_metals
    wanted = [
        max(0, COORDINATION[core.symbols[m]][0] - core.degree(m)) if core.degree(m) < TETRAHEDRAL_BONDS else 0
        for m in metals
    ]
    donors = coo_array(
        (
            [n for o in options for n in o.donors.values()],
            (
                [row[m] for o in options for m in o.donors],
                [k for k, o in enumerate(options) for _ in o.donors],
            ),
        ),
        shape=(n_metals, n_variables),
    ).tolil()
    balance = donors.copy()
    for n in range(n_metals):
        for tier, sign in enumerate((1, 1, -1, -1)):  # missing, missing; crowding, crowding
            balance[n, n_options + tier * n_metals + n] = sign
    per_ligand = np.zeros((len(counts), n_variables))
    per_mode = np.zeros((len(Mode), n_variables))
    for k, option in enumerate(options):
        per_ligand[option.ligand, k] = 1
        per_mode[list(Mode).index(option.mode), k] = 1
    constraints = [
        LinearConstraint(donors.tocsr(), 0, [capacity[m] for m in metals]),
        LinearConstraint(balance.tocsr(), wanted, wanted),
        LinearConstraint(per_ligand, counts, counts),
    ]
    for n, mode in enumerate(Mode):
        if mode in modes:
            constraints.append(LinearConstraint(per_mode[n], modes[mode], modes[mode]))
    tiers = np.repeat([*UNDER, *CROWDED], n_metals)
    costs = np.concatenate([[o.cost for o in options], tiers])
    upper = np.concatenate([[o.at_most for o in options], np.repeat([1, np.inf, 1, np.inf], n_metals)])
    found = milp(
        costs,
        integrality=np.ones(len(costs)),
        bounds=(0, upper),
        constraints=constraints,
        options={"mip_rel_gap": 0.01},
    )
    if found.x is None:
        raise InputError(_why_not(core, counts, capacity, modes))
    return [round(v) for v in found.x[:n_options]]


def _why_not(core: Core, counts: list[int], capacity: dict[int, int], modes: Mapping[str, int]) -> str:
    formula = "".join(f"{s}{n}" for s, n in Counter(core.symbols).items())
    asked = ", ".join(f"{count} {mode}" for mode, count in modes.items())
    return (
        f"{sum(counts)} ligands{f' ({asked})' if asked else ''} do not fit on {formula}: room for "
        f"{sum(capacity.values())} donors; smaller ligands{' or other modes' if asked else ''} are needed"
    )
