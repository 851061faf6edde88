"""What a potential makes of whole clusters from the builder's geometry, most too large for the teacher."""

from __future__ import annotations

from dataclasses import dataclass

from ase.data import atomic_numbers

from mscflow.builder import CATALOGUE, build
from mscflow.builder.core import Core
from mscflow.builder.ligands import ligand_template
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError
from mscflow.levels import Level
from mscflow.tasks.relax import relax
from mscflow.topology import topology
from mscflow.train.minima import is_damaged, without_path

LARGEST = 1000
"""Clusters of more atoms are not relaxed."""


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
            if len(cluster) <= LARGEST and not model.refusal(cluster):
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
        return None, without_path(error, model)
    bonds = topology(relaxation.cluster).core_bonds
    end = WholeRelaxation(
        n_kept=len(built & bonds),
        n_new=len(bonds - built),
        n_force_calls=relaxation.n_force_calls,
        kept=not is_damaged(cluster, relaxation.cluster),
        n_outside=sum(distance > 1 for distance in relaxation.extrapolation),
    )
    return end, ""


def _small(ligand: str) -> str:
    """Return the smallest ligand of the kind."""
    template = ligand_template(ligand)
    if template.charge:
        return "formate"
    return "PH3" if "P" in template.symbols else "ammonia"
