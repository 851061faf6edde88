"""Displaced copies of a structure, one label each: thermal ones, and ones with two parts pushed together.

Thermal copies are drawn from a harmonic model, where molecular dynamics with the teacher would need ten steps
between two independent frames. Squeezed copies show a potential the walls that dynamics never climbs; without
them it invents holes behind them. Both decide only where labels are taken, never what they are.
"""

from __future__ import annotations

import numpy as np
from ase import units

from mscflow.chemistry import METALS, covalent_radius
from mscflow.cluster import Cluster
from mscflow.topology import topology

BOND = 35.0
METAL_BOND = 6.0
ANGLE = 8.0
METAL_ANGLE = 1.0
NEAR = 0.2
ANCHOR = 0.25
"""Strengths / eV/Å²: bonds, bonds of a metal, atoms bonded to a common atom, or to a common metal or across
one, atoms within `REACH`, and every atom to its place."""

REACH = 3.5
LARGEST = 0.6
"""Displacements of an atom are cut to this length / Å."""

SQUEEZED = (0.85, 1.6)
"""Distances of the atoms that are pushed together, in sums of covalent radii."""

NEIGHBOURS = 5.0
"""Only atoms nearer than this / Å are pushed together."""


def thermal_copies(cluster: Cluster, temperatures: list[float], rng: np.random.Generator) -> list[np.ndarray]:
    """Return displaced coordinates / Å, one array of shape (n_atoms, 3) per temperature / K."""
    values, vectors = np.linalg.eigh(spring_hessian(cluster))
    copies = []
    for temperature in temperatures:
        amplitudes = np.sqrt(units.kB * temperature / values)
        moved = (vectors @ (amplitudes * rng.normal(size=len(values)))).reshape(-1, 3)
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        copies.append(cluster.positions + moved * np.minimum(1.0, LARGEST / np.maximum(length, 1e-9)))
    return copies


def squeezed_copies(cluster: Cluster, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return coordinates / Å of copies in which two parts were pushed together, shape (n_atoms, 3) each.

    A part is a cation, a core anion or a whole ligand. In turn any two parts are pushed together, two cations
    or anions, and a ligand's donor and a core anion: ligands attack there. There are fewer copies where there
    are not two parts.
    """
    graph = topology(cluster)
    part = np.arange(len(cluster))
    for fragment in graph.fragments:
        part[list(fragment.atoms)] = fragment.atoms[0]
    radii = np.array([covalent_radius(symbol) for symbol in cluster.symbols])
    distance = _distances(cluster.positions)
    apart = (part[:, None] < part[None]) & (distance < NEIGHBOURS)
    inorganic = np.isin(part, [*graph.metals, *graph.core_anions])
    anion = np.isin(part, graph.core_anions)
    donor = ~inorganic & [any(k in graph.metals for k in graph.graph[i]) for i in range(len(cluster))]
    attack = anion[:, None] & donor[None]
    kinds = (apart, apart & inorganic[:, None] & inorganic[None], apart & (attack | attack.T))
    copies = []
    for number in range(n):
        allowed = kinds[number % len(kinds)]
        pairs = np.argwhere(allowed if allowed.any() else apart)
        if not len(pairs):
            break
        i, j = pairs[rng.integers(len(pairs))]
        target = min(rng.uniform(*SQUEEZED) * (radii[i] + radii[j]), distance[i, j])
        push = (cluster.positions[j] - cluster.positions[i]) * (0.5 - 0.5 * target / distance[i, j])
        moved = cluster.positions.copy()
        moved[part == part[i]] += push
        moved[part == part[j]] -= push
        copies.append(moved)
    return copies


def spring_hessian(cluster: Cluster) -> np.ndarray:
    """Return the Hessian of the springs / eV/Å², shape (3 n_atoms, 3 n_atoms), positive definite."""
    graph = topology(cluster).graph
    metal = [symbol in METALS for symbol in cluster.symbols]
    n = len(cluster)
    strength = np.where(_distances(cluster.positions) < REACH, NEAR, 0.0)
    for k in graph:
        for i in graph[k]:
            for j in graph[k]:
                if i != j:
                    strength[i, j] = METAL_ANGLE if metal[k] or metal[i] or metal[j] else ANGLE
    for i, j in graph.edges:
        strength[i, j] = strength[j, i] = METAL_BOND if metal[i] or metal[j] else BOND
    np.fill_diagonal(strength, 0.0)
    vector = cluster.positions[:, None] - cluster.positions[None]
    unit = vector / np.maximum(np.linalg.norm(vector, axis=2, keepdims=True), 1e-9)
    blocks = -strength[:, :, None, None] * unit[:, :, :, None] * unit[:, :, None, :]
    blocks[range(n), range(n)] = ANCHOR * np.eye(3) - blocks.sum(axis=1)
    return blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)


def _distances(positions: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[:, None] - positions[None], axis=2)
