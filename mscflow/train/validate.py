"""Errors of a potential on what it never saw, against its teacher."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers

from mscflow.builder import CATALOGUE, build, precursor
from mscflow.builder.core import Core
from mscflow.builder.ligands import ligand_template
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError
from mscflow.levels import Level
from mscflow.levels.potentials.domain import Domain
from mscflow.reactions.exchange import exchange
from mscflow.reactions.reaction import distinct_species
from mscflow.tasks.relax import Relaxation, relax
from mscflow.topology import topology
from mscflow.train.recipe import is_pair

EXCHANGE_IONS = ("Zn2+", "Ga3+", "Cd2+")

LARGEST_WHOLE = 1000
"""Clusters of more atoms are not relaxed for the card."""


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


@dataclass(frozen=True)
class WholeCluster:
    """A cluster of the catalogue, relaxed with the model from the builder's geometry.

    Parameters
    ----------
    name
        Name in the catalogue.
    ligands
        Names of its ligands.
    n_atoms
        Number of atoms.
    n_bonds
        Bonds of the core's anions as built.
    relaxation
        How it ended; None where it failed.
    failure
        Why, then.
    """

    name: str
    ligands: str
    n_atoms: int
    n_bonds: int
    relaxation: WholeRelaxation | None
    failure: str = ""


@dataclass(frozen=True)
class WholeRelaxation:
    """The end of a relaxation of a whole cluster.

    Parameters
    ----------
    n_kept, n_new
        Bonds of the core's anions that stayed, and that came.
    n_force_calls
        Force calls.
    kept
        Whether no bond of the core and no ligand was lost.
    n_outside
        Atoms outside of the training domain.
    """

    n_kept: int
    n_new: int
    n_force_calls: int
    kept: bool
    n_outside: int


@dataclass(frozen=True)
class CatalogueStructure:
    """A cluster of the catalogue as built.

    Parameters
    ----------
    name
        Name in the catalogue.
    ligands
        Names of its ligands.
    cluster
        The builder's geometry.
    """

    name: str
    ligands: str
    cluster: Cluster


def catalogue_structures(model: Level) -> list[CatalogueStructure]:
    """Build the clusters of the catalogue that the model covers, with small and with their own ligands."""
    found = []
    for name, entry in CATALOGUE.items():
        core = entry.core("left")
        if not core.bonds or model.refusal(_bare(core)):
            continue  # before it is built, which takes seconds
        own = tuple(ligand for ligand, _ in entry.ligands)
        small = tuple(_small(ligand) for ligand in own)
        for ligands in dict.fromkeys([small, own]):
            cluster = build(name, ligands)
            if len(cluster) <= LARGEST_WHOLE and not model.refusal(cluster):
                found.append(CatalogueStructure(name, " + ".join(ligands), cluster))
    return found


def _bare(core: Core) -> Cluster:
    """Return a core alone, neutral and with as few unpaired electrons as that allows."""
    n_electrons = sum(atomic_numbers[symbol] for symbol in core.symbols)
    return Cluster(core.symbols, core.positions, multiplicity=1 + n_electrons % 2)


def whole_cluster(
    built: CatalogueStructure, model: Level, fmax: float = 0.05, max_steps: int = 500
) -> WholeCluster:
    """Relax a cluster of the catalogue with the model from the builder's geometry."""
    bonds = topology(built.cluster).core_bonds
    end, failure = _whole_relaxation(built.cluster, bonds, model, fmax, max_steps)
    return WholeCluster(built.name, built.ligands, len(built.cluster), len(bonds), end, failure)


def _whole_relaxation(
    cluster: Cluster, built: frozenset[frozenset[int]], model: Level, fmax: float, max_steps: int
) -> tuple[WholeRelaxation | None, str]:
    """Return how a relaxation ended, or why it failed."""
    try:
        relaxation = relax(cluster, model, fmax=fmax, max_steps=max_steps)
    except CalculationError as error:
        return None, str(error).replace(str(model), "the model")  # which may be the path of a file
    bonds = topology(relaxation.cluster).core_bonds
    end = WholeRelaxation(
        n_kept=len(built & bonds),
        n_new=len(bonds - built),
        n_force_calls=relaxation.n_force_calls,
        kept=not is_damaged(relaxation),
        n_outside=sum(distance > 1 for distance in relaxation.extrapolation),
    )
    return end, ""


def _small(ligand: str) -> str:
    """Return the smallest ligand of the kind."""
    template = ligand_template(ligand)
    if template.charge:
        return "formate"
    return "PH3" if "P" in template.symbols else "ammonia"
