"""Thermal copies of a structure without dynamics: displacements drawn from a harmonic model.

Each copy costs one label, where molecular dynamics with the teacher would need ten steps between two
independent frames. The model (springs between atoms that are bonded, bonded to a common atom, or near)
decides only where labels are taken, never what they are.
"""

from __future__ import annotations

import numpy as np
from ase import units

from mscflow.chemistry import METALS
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
