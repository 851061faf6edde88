"""Errors of a potential on what it never saw, against its teacher."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from mscflow.builder import precursor
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError
from mscflow.levels import MACE, Level
from mscflow.levels.potentials.domain import Domain
from mscflow.reactions.exchange import exchange
from mscflow.reactions.reaction import Reaction, distinct_species
from mscflow.tasks.relax import Relaxation, bond_changes, relax
from mscflow.topology import topology
from mscflow.train.recipe import is_pair

EXCHANGE_IONS = ("Zn2+", "Ga3+", "Cd2+")


@dataclass(frozen=True)
class FrameErrors:
    """Errors over labelled frames.

    Parameters
    ----------
    n_frames
        Number of frames.
    force_mae
        Mean absolute error of force components / meV/Å.
    force_mean
        Mean absolute force component of the labels / meV/Å.
    energy_mae
        Mean absolute error of the energy per atom / meV.
    """

    n_frames: int
    force_mae: float
    force_mean: float
    energy_mae: float


WITHOUT_PAIRS = "all without pairs"
"""The errors on all frames but those of two molecules pushed together, which have walls of many eV/Å."""


def frame_errors(frames: Sequence[Atoms], potential: MACE) -> dict[str, FrameErrors]:
    """Return the errors on labelled frames per family (``config_type``), for ``all`` and `WITHOUT_PAIRS`."""
    rows: dict[str, list[tuple[np.ndarray, np.ndarray, float]]] = defaultdict(list)
    for frame in frames:
        energy, forces = potential.surfaces(Cluster.from_ase(frame))[-1](frame.positions)
        reference = frame.arrays["REF_forces"]
        error = forces - reference
        energy = abs(energy - frame.info["REF_energy"]) / len(frame)
        family = frame.info["config_type"]
        for group in (family, "all") if is_pair(family) else (family, "all", WITHOUT_PAIRS):
            rows[group].append((error, reference, energy))
    return {family: _summary(row) for family, row in sorted(rows.items())}


def training_domain(train: Sequence[Atoms], left_out: Sequence[Atoms], potential: MACE) -> Domain:
    """Return the domain of a potential from the features of its training frames and of others like them."""
    return Domain.fit(*(_features(frames, potential) for frames in (train, left_out)))


def _features(frames: Sequence[Atoms], potential: MACE) -> dict[str, np.ndarray]:
    """Return the features of the network for all atoms of each element, shape (n_atoms, n_features)."""
    features: dict[str, list[np.ndarray]] = defaultdict(list)
    for frame in frames:
        found = potential.features(Cluster.from_ase(frame))
        for symbol in set(frame.symbols):
            features[symbol].append(found[np.array(frame.symbols) == symbol])
    return {symbol: np.concatenate(parts) for symbol, parts in features.items()}


def _summary(rows: list[tuple[np.ndarray, np.ndarray, float]]) -> FrameErrors:
    return FrameErrors(
        n_frames=len(rows),
        force_mae=1000 * float(np.mean(np.abs(np.concatenate([error for error, _, _ in rows])))),
        force_mean=1000 * float(np.mean(np.abs(np.concatenate([label for _, label, _ in rows])))),
        energy_mae=1000 * float(np.mean([energy for _, _, energy in rows])),
    )


@dataclass(frozen=True)
class StructureErrors:
    """A structure relaxed with the model compared with the teacher's own minimum.

    Parameters
    ----------
    name
        The structure.
    core_bond
        Largest and mean deviation of metal–anion bonds / Å; None where the model's relaxation failed.
    separation
        Mean deviation of metal–metal separations / Å; None there, too.
    kept
        Whether every core bond and ligand stayed.
    failure
        Why the relaxation failed, then.
    """

    name: str
    core_bond: tuple[float, float] | None
    separation: float | None
    kept: bool
    failure: str = ""


def has_core(cluster: Cluster) -> bool:
    """Return whether there are a core anion and two cations."""
    graph = topology(cluster)
    return bool(graph.core_anions) and len(graph.metals) > 1


def structure_errors(
    start: Cluster, model: Level, teacher: Level, fmax: float = 0.05
) -> StructureErrors | None:
    """Relax with the teacher, then with the model from the teacher's minimum, and compare.

    None where the teacher itself fails, or breaks core bonds or ligands of the start structure, which has a
    core; see `has_core`.
    """
    try:
        reference = relax(start, teacher, fmax=fmax).cluster
    except CalculationError:
        return None
    if is_damaged(start, reference):
        return None
    try:
        relaxation = relax(reference, model, fmax=fmax)
    except CalculationError as err:
        return StructureErrors(start.name, None, None, kept=False, failure=without_path(err, model))
    before, after = (c.positions for c in (reference, relaxation.cluster))
    graph = topology(reference)
    bonds = np.array(sorted(map(sorted, graph.core_bonds)))
    pairs = np.array([(i, j) for i in graph.metals for j in graph.metals if i < j])
    bond_error = np.abs(_lengths(after, bonds) - _lengths(before, bonds))
    pair_error = np.abs(_lengths(after, pairs) - _lengths(before, pairs))
    return StructureErrors(
        name=start.name,
        core_bond=(float(bond_error.max()), float(bond_error.mean())),
        separation=float(pair_error.mean()),
        kept=not is_damaged(reference, relaxation.cluster),
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
        Reaction energies / eV, every species relaxed at its own level; None where a species failed there.
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

    There are none where the teacher cannot relax the cluster itself.
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
    ours, theirs = (
        {key: _relaxed(c, level, fmax) for key, c in species.items()} for level in (model, teacher)
    )
    return [_exchange_errors(reaction, ours, theirs, model) for reaction in reactions]


def _relaxed(cluster: Cluster, level: Level, fmax: float) -> Relaxation | CalculationError:
    try:
        return relax(cluster, level, fmax=fmax)
    except CalculationError as err:
        return err


def _exchange_errors(
    reaction: Reaction,
    ours: Mapping[str, Relaxation | CalculationError],
    theirs: Mapping[str, Relaxation | CalculationError],
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


def _reaction_energy(reaction: Reaction, found: Mapping[str, Relaxation | CalculationError]) -> float | None:
    energies = {key: end.energy for key, end in found.items() if isinstance(end, Relaxation)}
    return reaction.energy(energies) if all(c.hash in energies for c, _ in reaction.species) else None
