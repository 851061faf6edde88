"""Start structures of the training trajectories, and which of them the model never sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mscflow.builder import build
from mscflow.builder.fragments import fragment
from mscflow.builder.molecules import molecule, touching
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.exchange import exchange, no_exchange
from mscflow.train.recipe import Recipe, System

HELD_OUT_EVERY = 5
"""Every fifth ligand arrangement of a family is held out, with all its trajectories."""

N_SEEDS = 3
"""Seeds that are tried for one arrangement, where the ligands do not fit with the first."""

SPREAD = {"shells", "trajectories", "held_out"}
"""Settings of a system that do not change what one of its trajectories is."""


@dataclass(frozen=True)
class Start:
    """A structure from which one trajectory starts.

    Parameters
    ----------
    key
        Unique name, safe as a file name.
    family
        Name of its family.
    cluster
        The structure.
    held_out
        Whether its frames are kept for testing.
    seed
        Seed of its trajectory.
    squeezed
        Number of its copies in which two parts are pushed together, if not that of the sampling.
    made_from
        What the recipe says of the structure, apart from its seed: coordinates differ in their last digits
        from machine to machine.
    """

    key: str
    family: str
    cluster: Cluster
    held_out: bool
    seed: int
    squeezed: int | None = None
    made_from: str = ""


def starts(recipe: Recipe) -> tuple[Start, ...]:
    """Return every start structure of a recipe, the same for the same recipe."""
    return _starts(recipe.model_dump_json(exclude_unset=True))


@lru_cache(maxsize=4)
def _starts(text: str) -> tuple[Start, ...]:
    recipe = Recipe.model_validate_json(text)
    found = []
    for n_system, system in enumerate(recipe.systems):
        rng = np.random.default_rng([recipe.seed, n_system])
        described = system.model_dump_json(exclude=SPREAD, exclude_defaults=True)
        shells = [_arrangement(system, n) for n in range(system.shells)]
        for n in range(system.trajectories):
            n_shell = n % system.shells
            cluster = _exchanged(shells[n_shell], system.exchange, rng)
            key = f"{n_system:02d}-{system.family}-shell{n_shell}-{n:03d}"
            held_out = system.held_out or n_shell % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
            seed = recipe.seed * 100_000 + n_system * 1000 + n
            made_from = f"{described} arrangement {n_shell}"
            found.append(Start(key, system.family, cluster, held_out, seed, system.squeezed, made_from))
    return tuple(found)


def _arrangement(system: System, n_shell: int) -> Cluster:
    if system.molecule is not None:
        alone = molecule(system.molecule)
        if system.beside is None:
            return alone
        return touching(alone, molecule(system.beside), n_shell, system.sides, system.contact)
    for attempt in range(N_SEEDS):
        seed = n_shell + 100 * attempt
        try:
            if system.cluster is not None:
                return build(system.cluster, system.ligand_names, seed=seed)
            return fragment(str(system.fragment), system.ligand_names[0], system.neutral, seed=seed)
        except InputError:
            if attempt == N_SEEDS - 1:
                raise
    raise AssertionError("not reached")


def _exchanged(cluster: Cluster, ion: str | None, rng: np.random.Generator) -> Cluster:
    if ion is None:
        return cluster
    reactions = exchange(cluster, ion)
    if not reactions:
        raise InputError(f"{cluster.name or cluster.formula}: {no_exchange(ion, 'surface')}")
    return reactions[int(rng.integers(len(reactions)))].species[2][0]
