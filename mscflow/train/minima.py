"""Minima of a potential against those of its teacher: structures, and exchange energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mscflow.builder import precursor
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError
from mscflow.levels import Level
from mscflow.reactions.exchange import exchange
from mscflow.reactions.reaction import Reaction, distinct_species
from mscflow.tasks.relax import Relaxation, bond_changes, relax
from mscflow.topology import topology

EXCHANGE_IONS = ("Zn2+", "Ga3+", "Cd2+")
"""Ions whose exchange energies are compared."""

N_STARTS = 3
"""Relaxations of a structure at a level, from it and from shaken copies: one minimum alone is chance."""

SHAKE = 0.05
"""Standard deviation of the displacements of a shaken copy / Å."""


def shaken(cluster: Cluster) -> list[Cluster]:
    """Return the structure and shaken copies of it, always the same ones."""
    moved = [np.random.default_rng(n).normal(0.0, SHAKE, (len(cluster), 3)) for n in range(1, N_STARTS)]
    return [cluster, *(cluster.replace(positions=cluster.positions + by) for by in moved)]


@dataclass(frozen=True)
class StructureErrors:
    """Minima of the teacher compared with those that the model reaches from them.

    Parameters
    ----------
    name
        The structure.
    n_minima
        Number of minima.
    core_bond
        Largest and mean deviation of metal–anion bonds / Å; None where a relaxation with the model failed.
    separation
        Mean deviation of metal–metal separations / Å; None there, too.
    kept
        Whether every core bond and ligand stayed.
    failure
        Why a relaxation failed, then.
    """

    name: str
    n_minima: int
    core_bond: tuple[float, float] | None
    separation: float | None
    kept: bool
    failure: str = ""


def has_core(cluster: Cluster) -> bool:
    """Return whether there are a core anion and two cations."""
    graph = topology(cluster)
    return bool(graph.core_anions) and len(graph.metals) > 1


def structure_errors(
    start: Cluster, model: Level, teacher: Level, fmax: float = 0.02
) -> StructureErrors | None:
    """Relax with the teacher from several starts, then with the model from the minima, and compare.

    None where the teacher itself always fails, or breaks core bonds or ligands of the start structure, which
    has a core; see `has_core`.
    """
    minima = [
        found.cluster
        for copy in shaken(start)
        if isinstance(found := _relaxed(copy, teacher, fmax), Relaxation)
        and not is_damaged(start, found.cluster)
    ]
    if not minima:
        return None
    bond_error, pair_error, kept = [], [], True
    for minimum in minima:
        found = _relaxed(minimum, model, fmax)
        if isinstance(found, CalculationError):
            failure = without_path(found, model)
            return StructureErrors(start.name, len(minima), None, None, kept=False, failure=failure)
        graph, before, after = topology(minimum), minimum.positions, found.cluster.positions
        bonds = np.array(sorted(map(sorted, graph.core_bonds)))
        pairs = np.array([(i, j) for i in graph.metals for j in graph.metals if i < j])
        bond_error.append(np.abs(_lengths(after, bonds) - _lengths(before, bonds)))
        pair_error.append(np.abs(_lengths(after, pairs) - _lengths(before, pairs)))
        kept = kept and not is_damaged(minimum, found.cluster)
    off = np.concatenate(bond_error)
    return StructureErrors(
        name=start.name,
        n_minima=len(minima),
        core_bond=(float(off.max()), float(off.mean())),
        separation=float(np.concatenate(pair_error).mean()),
        kept=kept,
    )


def is_damaged(before: Cluster, after: Cluster) -> bool:
    """Return whether a core bond or a ligand was lost on the way, or ligands reacted."""
    return bool(bond_changes(before, after))


def without_path(error: CalculationError, model: Level) -> str:
    """Return an error as a card tells it: the model may be named by the path of its file."""
    return str(error).replace(str(model), "the model")


def _lengths(positions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)


@dataclass(frozen=True)
class ExchangeErrors:
    """One exchange reaction at both levels.

    Parameters
    ----------
    label
        The reaction.
    model, teacher
        Reaction energies / eV, of the lowest minimum of every species that was found for the level; None
        where a species failed there.
    kept
        Whether every core bond and ligand stayed, in all species and at both levels; where not, the two
        energies belong to different reactions.
    failure
        Why a species failed.
    """

    label: str
    model: float | None
    teacher: float | None
    kept: bool
    failure: str = ""

    @property
    def difference(self) -> float | None:
        """The model's energy less the teacher's / eV."""
        return None if self.model is None or self.teacher is None else self.model - self.teacher


def exchange_errors(start: Cluster, model: Level, teacher: Level, fmax: float = 0.05) -> list[ExchangeErrors]:
    """Compare exchange energies of a cluster: for each ion that the model knows the first site.

    There are none where the teacher cannot relax the cluster itself. Both levels search for the lowest
    minimum of every species, and each of them looks where the other one found its own: what is compared are
    two surfaces, not two searches.
    """
    ions = [ion for ion in EXCHANGE_IONS if not model.refusal(start) and not model.refusal(precursor(ion))]
    if not ions:
        return []
    try:
        cluster = relax(start, teacher, fmax=fmax).cluster
    except CalculationError:
        return []
    reactions = [exchange(cluster, ion)[0] for ion in ions]
    species = distinct_species(reactions)
    ours: dict[str, End] = {}
    theirs: dict[str, End] = {}
    for key, start in species.items():
        ours[key], theirs[key] = _lowest_of_both(start, model, teacher, fmax)
    return [_exchange_errors(reaction, ours, theirs, model) for reaction in reactions]


End: TypeAlias = Relaxation | CalculationError
"""A relaxation, or why there is none."""


def _lowest_of_both(start: Cluster, model: Level, teacher: Level, fmax: float) -> tuple[End, End]:
    """Return the lowest minimum found for the model and for the teacher."""
    ours = [_relaxed(copy, model, fmax) for copy in shaken(start)]
    theirs = [_relaxed(copy, teacher, fmax) for copy in (start, *_cluster(_lowest(start, ours)))]
    ours += [_relaxed(copy, model, fmax) for copy in _cluster(_lowest(start, theirs))]
    return _lowest(start, ours), _lowest(start, theirs)


def _lowest(start: Cluster, ends: Sequence[End]) -> End:
    """Return the end of lowest energy, an intact one if there is any."""
    found = [end for end in ends if isinstance(end, Relaxation)]
    intact = [end for end in found if not is_damaged(start, end.cluster)]
    return min(intact or found, key=lambda end: end.energy) if found else ends[0]


def _cluster(end: End) -> list[Cluster]:
    return [end.cluster] if isinstance(end, Relaxation) else []


def _relaxed(cluster: Cluster, level: Level, fmax: float) -> End:
    try:
        return relax(cluster, level, fmax=fmax)
    except CalculationError as err:
        return err


def _exchange_errors(
    reaction: Reaction,
    ours: Mapping[str, End],
    theirs: Mapping[str, End],
    model: Level,
) -> ExchangeErrors:
    """Compare one reaction, of whose species the relaxations at both levels are given by their hash."""
    members = {species.hash: species for species, _ in reaction.species}
    ends = [(members[key], found[key]) for found in (ours, theirs) for key in members]
    failures = [without_path(end, model) for _, end in ends if isinstance(end, CalculationError)]
    damaged = [is_damaged(start, end.cluster) for start, end in ends if isinstance(end, Relaxation)]
    return ExchangeErrors(
        label=reaction.label,
        model=_reaction_energy(reaction, ours),
        teacher=_reaction_energy(reaction, theirs),
        kept=not failures and not any(damaged),
        failure=failures[0] if failures else "",
    )


def _reaction_energy(reaction: Reaction, found: Mapping[str, End]) -> float | None:
    energies = {key: end.energy for key, end in found.items() if isinstance(end, Relaxation)}
    return reaction.energy(energies) if all(c.hash in energies for c, _ in reaction.species) else None
