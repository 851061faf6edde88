"""Start structures of the training trajectories, and which of them the model never sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mscflow.builder import build
from mscflow.builder.tetrahedron import ALL_EDGES, capped_tetrahedron
from mscflow.chemistry import suggest
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.exchange import exchange
from mscflow.train.recipe import Recipe, System

HELD_OUT_EVERY = 5
"""Every fifth ligand arrangement of a family is held out, with all its trajectories."""


@dataclass(frozen=True)
class Start:
    """A structure from which one trajectory starts.

    Parameters
    ----------
    key
        Unique name, safe as a file name.
    cluster
        The structure.
    held_out
        Whether its frames are kept for testing.
    seed
        Seed of its trajectory.
    """

    key: str
    cluster: Cluster
    held_out: bool
    seed: int


def starts(recipe: Recipe) -> list[Start]:
    """Return every start structure of a recipe, the same list for the same recipe."""
    found = []
    for n_system, system in enumerate(recipe.systems):
        rng = np.random.default_rng([recipe.seed, n_system])
        shells = [_arrangement(system, n, rng) for n in range(system.shells)]
        for n in range(system.trajectories):
            n_shell = n % system.shells
            cluster = _exchanged(shells[n_shell], system.exchange, rng)
            ion = f"-{system.exchange.replace('+', '')}" if system.exchange else ""
            key = f"{n_system:02d}-{system.cluster.replace(' ', '-')}{ion}-shell{n_shell}-{n:03d}"
            held_out = n_shell % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
            found.append(Start(key, cluster, held_out, recipe.seed * 100_000 + n_system * 1000 + n))
    return found


def _arrangement(system: System, n_shell: int, rng: np.random.Generator) -> Cluster:
    if system.cluster == "formic acid":
        from ase.build import molecule

        return Cluster.from_ase(molecule("HCOOH"), name="HCOOH")
    if n_shell == 0:
        return build(system.cluster, system.ligand)
    if system.cluster != "In4P":
        raise InputError(
            f"several ligand arrangements of {system.cluster!r}: {suggest(system.cluster, ['In4P'])}"
        )
    n_bridging = int(rng.integers(4, 7))
    edges = [ALL_EDGES[i] for i in sorted(rng.choice(6, n_bridging, replace=False))]
    corners = rng.permutation([0, 1, 2, 3, 0, 1, 2, 3])[: 9 - n_bridging].tolist()
    return capped_tetrahedron(ligand=system.ligand, bridged=edges, chelated=sorted(corners))


def _exchanged(cluster: Cluster, ion: str | None, rng: np.random.Generator) -> Cluster:
    if ion is None:
        return cluster
    reactions = exchange(cluster, ion)
    return reactions[int(rng.integers(len(reactions)))].species[2][0]
