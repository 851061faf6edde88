"""Motions of a molecule as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from mscflow.optimize.surface import Surface

WHOLE = 1e4
"""Curvature that forbids motions of the whole / eV/Å²: a hundred times that of the stiffest bond."""

LINEAR = 1e-4
"""A molecule is linear when its smallest moment of inertia is less than this part of the largest."""


def rigid_motions(positions: np.ndarray, masses: np.ndarray | None = None) -> np.ndarray:
    """Return translations and infinitesimal rotations about the centre of mass.

    Parameters
    ----------
    positions
        Coordinates / Å, shape (n_atoms, 3).
    masses
        Masses that weight the coordinates, q = √m·x, shape (n_atoms,); one each where there are none.

    Returns
    -------
    ndarray
        Orthonormal columns, shape (3 n_atoms, 3 to 6): a linear molecule has two rotations, an atom none.
    """
    masses = np.ones(len(positions)) if masses is None else masses
    centred = positions - masses @ positions / masses.sum()
    root = np.sqrt(masses)[:, None]
    translations = [(root * axis).ravel() for axis in np.eye(3)]
    squared = (centred**2).sum(axis=1)
    inertia = masses @ squared * np.eye(3) - (masses[:, None] * centred).T @ centred
    moments, axes = np.linalg.eigh(inertia)
    turned = [axis for axis, moment in zip(axes.T, moments, strict=True) if moment > LINEAR * moments[-1]]
    rotations = [(root * np.cross(axis, centred)).ravel() for axis in turned]
    columns = np.array(translations + rotations).T
    return np.asarray(columns / np.linalg.norm(columns, axis=0))


def held_whole(hessian: Any, positions: np.ndarray) -> np.ndarray:
    """Return a Hessian in which motions of the whole are so stiff that no step contains any.

    Parameters
    ----------
    hessian
        Second derivatives / eV/Å², shape (3 n_atoms, 3 n_atoms), sparse or dense.
    positions
        Where they were taken / Å, shape (n_atoms, 3).
    """
    motions = rigid_motions(positions)
    return np.asarray(hessian + WHOLE * motions @ motions.T)


class InternalSurface:
    """A surface without the net force and the torque of a molecule none of whose atoms is fixed.

    Parameters
    ----------
    surface
        Energy and forces.
    """

    anchor: np.ndarray | None = None

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Return energy / eV and the forces within the molecule / eV/Å."""
        energy, forces = self._surface(positions)
        motions = rigid_motions(positions)
        return energy, forces - (motions @ (motions.T @ forces.ravel())).reshape(forces.shape)
