"""Relax many clusters at a time: a network evaluates several small ones hardly slower than one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from mscflow.cluster import Cluster
from mscflow.errors import CalculationError
from mscflow.levels import Level, parse_level
from mscflow.optimize.lbfgs import State, Steps, Trial
from mscflow.optimize.surface import Together
from mscflow.processor import one_thread
from mscflow.tasks.relax import SEARCH_FMAX, Fixed, Relaxation, check_numbers, finish, fixed_atoms

SHRUNK = 0.8
"""Part of the clusters in a batch that must still move; else a smaller batch is made of them."""

LARGEST_BATCH = 600
"""Atoms in a batch: more gain nothing."""


def relax_batch(
    clusters: Sequence[Cluster],
    level: str | Level = "mace:msc-small",
    fmax: float = 0.02,
    max_steps: int = 1000,
    fixed: Fixed = None,
) -> list[Relaxation | CalculationError]:
    """Relax several clusters, searching for all minima together where the level can.

    Each ends as it would alone, but for rounding, on which a soft shell's way to one of its minima can hang.

    Parameters
    ----------
    clusters
        Start structures.
    level, fmax, max_steps, fixed
        See `mscflow.tasks.relax.relax`; indices of fixed atoms hold for every cluster.

    Returns
    -------
    list
        A `Relaxation` for each cluster, or the error with which its relaxation failed: one that fails
        does not stop the others.

    Raises
    ------
    InputError
        If a number is out of range, the level cannot represent a cluster, or one does not have the fixed
        atoms; nothing has run then.
    """
    check_numbers(fmax, max_steps)
    level = parse_level(level)
    for cluster in clusters:
        level.require(cluster)
    frozen = iter([fixed_atoms(cluster, fixed) for cluster in clusters])
    found: list[Relaxation | CalculationError] = []
    for part in _parts(clusters):
        started = time.perf_counter()
        members = [_Member(cluster, next(frozen)) for cluster in part]
        if len(members) > 1:
            with one_thread():  # as in a relaxation of one
                _search(members, level, max(fmax, SEARCH_FMAX), max_steps)
        share = (time.perf_counter() - started) / len(part)
        for member in members:
            began = time.perf_counter() - share
            try:
                found.append(
                    finish(member.cluster, level, member.frozen, fmax, max_steps, began, begun=member.state)
                )
            except CalculationError as err:
                found.append(err)
    return found


def _parts(clusters: Sequence[Cluster]) -> list[list[Cluster]]:
    """Divide the clusters, in their order, into batches of not too many atoms."""
    parts: list[list[Cluster]] = []
    for cluster in clusters:
        if not parts or sum(map(len, parts[-1])) + len(cluster) > LARGEST_BATCH:
            parts.append([])
        parts[-1].append(cluster)
    return parts


class _Member:
    """A cluster of a batch and how far its minimisation has come."""

    def __init__(self, cluster: Cluster, frozen: list[int]) -> None:
        self.cluster = cluster
        self.frozen = frozen
        self.steps = Steps(cluster.numbers, frozen)
        self.state: State | None = None
        self.trial: Trial | None = None
        self.failed = False

    def moves(self, fmax: float, max_steps: int) -> bool:
        """Return whether it needs another force call."""
        if self.state is None:
            return not self.failed
        return self.state.max_force >= fmax and self.state.n_calls <= max_steps

    def propose(self) -> np.ndarray:
        """Return where energy and forces are wanted."""
        if self.state is None:
            return self.cluster.positions
        self.trial = self.steps.propose(self.state)
        return self.trial.positions

    def learn(self, energy: float, forces: np.ndarray) -> None:
        """Take what was found there; after a failure it begins anew alone, to say what is wrong."""
        try:
            if self.state is None:
                self.state = self.steps.begin(self.cluster.positions, energy, forces)
            elif self.trial is not None:
                self.steps.learn(self.state, self.trial, energy, forces)
        except CalculationError:
            self.state, self.failed = None, True


def _search(members: list[_Member], level: Level, fmax: float, max_steps: int) -> None:
    """Minimise all on the first surface of the level, in batches of those that still move."""
    batch: list[_Member] = []
    evaluate: Together | None = None
    while moving := [member for member in members if member.moves(fmax, max_steps)]:
        if len(moving) < SHRUNK * len(batch) or not batch:
            batch, evaluate = moving, level.together([member.cluster for member in moving])
        if evaluate is None:
            return
        at = [member.propose() if member in moving else member.cluster.positions for member in batch]
        found = evaluate(at)
        for member, result in zip(batch, found, strict=True):
            if member in moving:
                member.learn(*result)
