"""A core and its ligands as a complete, checked `Cluster`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from mscflow.builder.assignment import COORDINATION, Binding, Mode, assign
from mscflow.builder.core import Core
from mscflow.builder.ligands import LigandTemplate
from mscflow.builder.shell import attach
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import Topology, topology

MIN_CONTACT_H = 1.6
MIN_CONTACT = 2.2
"""Smallest distance / Å of atoms that are neither bonded nor bonded to a common atom: with H, without."""

N_TRIALS = 8
SEED_STEP = 1_000_003


def capped(
    core: Core,
    shell: Sequence[tuple[LigandTemplate, int]],
    name: str,
    provenance: Mapping[str, Any],
    seed: int = 0,
    modes: Mapping[str, int] | None = None,
    multiplicity: int = 1,
) -> Cluster:
    """Return the neutral cluster of a core with its ligand shell.

    Parameters
    ----------
    core
        The core; its atoms come first in the cluster.
    shell
        Ligands and their numbers.
    name, provenance
        Of the cluster.
    seed
        Seed of the arrangement.
    modes
        Numbers of ligands per binding mode that are asked for.
    multiplicity
        Spin multiplicity.

    Returns
    -------
    Cluster
        Every ligand attached, charges balanced, no two atoms too near each other.

    Raises
    ------
    InputError
        If the ligands do not fit; with what is wrong in the best attempt.
    """
    shell = [(template, count) for template, count in shell if count]
    templates = [template for template, _ in shell]
    first, problems = seed, ""
    crowded: frozenset[Binding] = frozenset()
    for trial in range(N_TRIALS):
        bindings = assign(core, list(shell), seed, modes, avoid=crowded)
        symbols, positions = attach(core, templates, bindings, seed + SEED_STEP * trial)
        cluster = Cluster(
            symbols,
            positions,
            multiplicity=multiplicity,
            name=name,
            provenance={**provenance, "seed": first},
        )
        found = topology(cluster)
        lost = unbound(found, core, templates, bindings)
        problems = problems_of(found, core, lost)
        if not problems:
            return cluster
        crowded |= set(lost)
        if not lost:  # the places are good, the ligands in the way of each other
            seed += SEED_STEP
    raise InputError(f"{name}: no arrangement without conflict in {N_TRIALS} attempts: {problems}")


def unbound(
    found: Topology, core: Core, templates: Sequence[LigandTemplate], bindings: Sequence[Binding]
) -> list[Binding]:
    """Return the bindings whose ligand does not hold the cations it was given, with all the donors it has."""
    ligand_of = {atom: ligand for ligand in found.ligands for atom in ligand.atoms}
    lost = []
    start = len(core)
    for binding in bindings:
        template = templates[binding.ligand]
        ligand = ligand_of.get(start)
        n_donors = 1 if binding.mode is Mode.MONODENTATE else template.n_donors
        if (
            ligand is None
            or ligand.atoms != tuple(range(start, start + len(template.symbols)))
            or not set(binding.metals) <= set(ligand.metals)
            or len(ligand.donors) < n_donors
        ):
            lost.append(binding)
        start += len(template.symbols)
    return lost


def problems_of(found: Topology, core: Core, lost: Sequence[Binding]) -> str:
    """Return what is wrong with a capped core, or nothing; `lost` are the ligands that are not in place."""
    symbols, graph = found.cluster.symbols, found.graph
    if lost:
        return f"no room for {len(lost)} ligand(s), e.g. {lost[0].mode} on {_cations(core, lost[0])}"
    if found.charge_balance.difference:
        return str(found.charge_balance)
    inner = {tuple(sorted(e)) for e in graph.edges if max(e) < len(core)}
    if inner != set(core.bonds):
        return f"{len(inner ^ set(core.bonds))} core bonds differ"
    for metal in found.metals:
        if graph.degree(metal) > COORDINATION[symbols[metal]][1]:
            return f"{symbols[metal]} (atom {metal}) has {graph.degree(metal)} bonds"
    return too_near(found)


def _cations(core: Core, binding: Binding) -> str:
    return " and ".join(f"{core.symbols[m]} (atom {m})" for m in binding.metals)


def too_near(found: Topology, before: tuple[float, float] = (np.inf, np.inf)) -> str:
    """Return which contacts are too short, or nothing; those `before` an edit are allowed in any case."""
    with_h, without_h = shortest_contacts(found)
    if with_h < min(MIN_CONTACT_H, before[0]) or without_h < min(MIN_CONTACT, before[1]):
        return f"shortest contacts {with_h:.2f} Å (with H) and {without_h:.2f} Å"
    return ""


def shortest_contacts(found: Topology) -> tuple[float, float]:
    """Return the smallest distance / Å of atoms that are not bonded: with a hydrogen, and without one.

    Pairs bonded to a common atom do not count.
    """
    cluster, graph = found.cluster, found.graph
    shortest = [np.inf, np.inf]
    for i, j in sorted(cKDTree(cluster.positions).query_pairs(3.5)):
        if not graph.has_edge(i, j) and not set(graph[i]) & set(graph[j]):
            distance = float(np.linalg.norm(cluster.positions[i] - cluster.positions[j]))
            heavy = "H" not in (cluster.symbols[i], cluster.symbols[j])
            shortest[heavy] = min(shortest[heavy], distance)
    return shortest[0], shortest[1]
