"""Errors of a potential on what it never saw, against its teacher."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from mscflow.builder import build, precursor
from mscflow.cluster import Cluster
from mscflow.levels import Level
from mscflow.levels.potentials.domain import Domain
from mscflow.reactions.exchange import exchange
from mscflow.reactions.reaction import distinct_species
from mscflow.tasks.relax import Relaxation, relax
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


def frame_errors(frames: Sequence[Atoms], calculator: Calculator) -> dict[str, FrameErrors]:
    """Return the errors on labelled frames per family (``config_type``), for ``all`` and `WITHOUT_PAIRS`."""
    rows: dict[str, list[tuple[np.ndarray, np.ndarray, float]]] = defaultdict(list)
    for frame in frames:
        atoms = Atoms(frame.symbols, positions=frame.positions)
        atoms.calc = calculator
        reference = frame.arrays["REF_forces"]
        error = atoms.get_forces() - reference
        energy = abs(atoms.get_potential_energy() - frame.info["REF_energy"]) / len(atoms)
        family = frame.info["config_type"]
        for group in (family, "all") if is_pair(family) else (family, "all", WITHOUT_PAIRS):
            rows[group].append((error, reference, energy))
    return {family: _summary(row) for family, row in sorted(rows.items())}


def training_domain(frames: Sequence[Atoms], calculator: Calculator) -> Domain:
    """Return the domain of a potential from the features of its training frames."""
    features: dict[str, list[np.ndarray]] = defaultdict(list)
    for frame in frames:
        found = calculator.get_descriptors(frame)
        for symbol in set(frame.symbols):
            features[symbol].append(found[np.array(frame.symbols) == symbol])
    return Domain.fit({symbol: np.concatenate(parts) for symbol, parts in features.items()})


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
        Largest and mean deviation of metal–anion bonds / Å.
    separation
        Mean deviation of metal–metal separations / Å.
    kept
        Whether every core bond and ligand stayed.
    """

    name: str
    core_bond: tuple[float, float]
    separation: float
    kept: bool


def has_core(cluster: Cluster) -> bool:
    """Return whether there are a core anion and two cations."""
    graph = topology(cluster)
    return bool(graph.core_anions) and len(graph.metals) > 1


def structure_errors(
    start: Cluster, model: Level, teacher: Level, fmax: float = 0.05
) -> StructureErrors | None:
    """Relax with the teacher, then with the model from the teacher's minimum, and compare.

    None where the teacher itself breaks core bonds or ligands of the start structure, which has a core; see
    `has_core`.
    """
    found = relax(start, teacher, fmax=fmax)
    if is_damaged(found):
        return None
    reference = found.cluster
    relaxation = relax(reference, model, fmax=fmax)
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
        kept=not is_damaged(relaxation),
    )


def is_damaged(relaxation: Relaxation) -> bool:
    """Return whether a core bond or a ligand was lost, or ligands reacted."""
    return any(word in warning for warning in relaxation.warnings for word in ("broken", "left", "reacted"))


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
        Reaction energies / eV, every species relaxed at its own level.
    kept
        Whether every core bond and ligand stayed, in all species and at both levels; where not, the two
        energies belong to different reactions.
    """

    label: str
    model: float
    teacher: float
    kept: bool


def exchange_errors(model: Level, teacher: Level, fmax: float = 0.05) -> list[ExchangeErrors]:
    """Compare exchange energies of In4P(O2CH)9: for each ion that the model knows the first site."""
    start = build("In4P")
    ions = [ion for ion in EXCHANGE_IONS if not model.refusal(start) and not model.refusal(precursor(ion))]
    if not ions:
        return []
    cluster = relax(start, teacher, fmax=fmax).cluster
    reactions = [exchange(cluster, ion)[0] for ion in ions]
    species = distinct_species(reactions)
    ours, theirs = (
        {key: relax(c, level, fmax=fmax) for key, c in species.items()} for level in (model, teacher)
    )
    damaged = {key for key in species if is_damaged(ours[key]) or is_damaged(theirs[key])}
    return [
        ExchangeErrors(
            label=r.label,
            model=r.energy({key: found.energy for key, found in ours.items()}),
            teacher=r.energy({key: found.energy for key, found in theirs.items()}),
            kept=damaged.isdisjoint(c.hash for c, _ in r.species),
        )
        for r in reactions
    ]
