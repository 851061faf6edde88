"""All errors of a potential, worked out side by side; parts are kept, so that a stopped card goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from mscflow.builder import build
from mscflow.levels import MACE, parse_level
from mscflow.train.fit import Split
from mscflow.train.minima import ExchangeErrors, StructureErrors, exchange_errors, has_core, structure_errors
from mscflow.train.recipe import Recipe
from mscflow.train.starts import starts
from mscflow.train.validate import FrameErrors, frame_errors
from mscflow.train.whole_clusters import WholeCluster, catalogue_structures, whole_cluster
from mscflow.train.workers import workers
from mscflow.whole_file import write_whole

LARGEST_COMPARED = 75
"""Structures of more atoms are not relaxed with the teacher for the card: that would take hours."""

EXCHANGED = "In4P-formate"
"""Family whose exchange energies are compared."""


@dataclass(frozen=True)
class Evaluation:
    """All errors of a potential.

    Parameters
    ----------
    frames
        By family, and for ``all``.
    structures
        Structures and their minima, all held out.
    n_compared
        Number of structures that were tried; the others react when the teacher relaxes them.
    exchanges
        Exchange energies.
    exchanges_held_out
        Whether the arrangement of ligands they start from was held out.
    clusters
        Whole clusters from the builder's geometry.
    """

    frames: dict[str, FrameErrors]
    structures: tuple[StructureErrors, ...]
    n_compared: int
    exchanges: tuple[ExchangeErrors, ...]
    exchanges_held_out: bool
    clusters: tuple[WholeCluster, ...]


def evaluate(recipe: Recipe, potential: MACE, frames: Split, directory: Path, n_workers: int) -> Evaluation:
    """Return the errors of a potential against its teacher on what it never saw.

    Parameters
    ----------
    recipe
        Which structures are held out, and the teacher.
    potential
        The model.
    frames
        Labelled frames; only those held out are used.
    directory
        Where the parts are kept, by the bytes of the model.
    n_workers
        Processes, one core each.
    """
    teacher = parse_level(recipe.teacher)
    held_out = [start for start in starts(recipe) if start.held_out]
    unseen = {start.family: start.cluster for start in held_out}
    compared = [c for c in unseen.values() if has_core(c) and len(c) <= LARGEST_COMPARED]
    reactant = next((start.cluster for start in held_out if start.family == EXCHANGED), None)
    arrangement = build("In4P") if reactant is None else reactant
    place = directory / "card" / f"{potential.hash[:12]}-{teacher.hash[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    with workers(n_workers) as pool:
        exchanges = pool.submit(
            _kept,
            place / f"lowest-{arrangement.hash[:12]}.json",
            exchange_errors,
            arrangement,
            potential,
            teacher,
        )
        structures = [
            pool.submit(_kept, place / f"minima-{c.hash[:12]}.json", structure_errors, c, potential, teacher)
            for c in compared
        ]
        clusters = [
            pool.submit(_kept, place / f"cluster-{c.cluster.hash[:12]}.json", whole_cluster, c, potential)
            for c in catalogue_structures(potential)
        ]
        of_frames = frame_errors(frames.test, potential)
        return Evaluation(
            frames=of_frames,
            structures=tuple(found for part in structures if (found := part.result()) is not None),
            n_compared=len(compared),
            exchanges=tuple(exchanges.result()),
            exchanges_held_out=reactant is not None,
            clusters=tuple(part.result() for part in clusters),
        )


def _kept(file: Path, work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the file holds; before that, work it out and write it."""
    kind = TypeAdapter(get_type_hints(work)["return"])
    if not file.exists():
        write_whole(file, kind.dump_json(work(*arguments)).decode())
    return kind.validate_json(file.read_bytes())
