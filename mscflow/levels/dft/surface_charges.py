"""Charges on the surface of a cavity that answer the potential of the molecule in it.

Points carry Gaussian charges that are switched off where the sphere of another atom covers them (Lange &
Herbert, J. Chem. Phys. 2010, 133, 244111). The charges q at a potential v solve K q = R v (Cancès, Mennucci &
Tomasi, J. Chem. Phys. 1997, 107, 3032):

    conductor (C-PCM)       K = S                   R = -f                   f = (ε - 1) / ε
    dielectric (IEF-PCM)    K = S - f/2π D A S      R = -f (1 - D A / 2π)    f = (ε - 1) / (ε + 1)

S is the interaction of two points, D the field of one through the surface at the other, A the areas. PySCF
does the same, but solves anew for every potential and keeps derivatives of all pairs of points.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pyscf import gto
from pyscf.solvent.grad.pcm import get_dF_dA
from scipy.linalg import cho_factor, cho_solve, lu_factor, lu_solve
from scipy.spatial.distance import cdist
from scipy.special import erf

BLOCK_POINTS = 256
"""Number of points whose interactions with all points are worked out together."""


class Surface:
    """Points on the surface of a cavity.

    Parameters
    ----------
    found
        What PySCF's ``gen_surface`` returns.

    Attributes
    ----------
    points, normals
        Coordinates / bohr and directions away from the atom, shape (n_points, 3).
    widths
        Root of the exponents of the Gaussian charges / bohr⁻¹.
    switches, areas
        Part of a point that is not covered, and its area / bohr².
    """

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.points: np.ndarray = found["grid_coords"]
        self.normals: np.ndarray = found["norm_vec"]
        self.widths: np.ndarray = found["charge_exp"]
        self.switches: np.ndarray = found["switch_fun"]
        self.areas: np.ndarray = found["area"]

    def __len__(self) -> int:
        return len(self.points)

    def charges(self) -> gto.Mole:
        """Return unit charges at the points as the basis functions of a molecule."""
        return gto.fakemol_for_charges(self.points, expnt=self.widths**2)

    def by_atom(self, of_points: np.ndarray) -> np.ndarray:
        """Return the sums over the points of each atom, shape (n_points, 3) to (n_atoms, 3)."""
        return np.array([of_points[first:last].sum(axis=0) for first, last in self.found["gslice_by_atom"]])

    def pairs(self) -> Iterator[Pairs]:
        """Yield interactions of some points with all, block by block."""
        for start in range(0, len(self), BLOCK_POINTS):
            rows = slice(start, start + BLOCK_POINTS)
            distances = cdist(self.points[rows], self.points)
            here = np.arange(len(distances)), np.arange(start, start + len(distances))
            distances[here] = 1.0
            one, two = self.widths[rows, None], self.widths
            width = one * two / np.sqrt(one**2 + two**2)
            yield Pairs(rows, here, distances, width, width * distances, self)


@dataclass(frozen=True)
class Pairs:
    """Interactions of some points with all points; those of a point with itself have a distance of 1.

    Parameters
    ----------
    rows
        Range of the points.
    here
        Indices of the elements that belong to a point and itself.
    distances, widths, reduced
        r, the width ξ of two charges, and ξ r; shape (n_rows, n_points).
    surface
        The points.
    """

    rows: slice
    here: tuple[np.ndarray, np.ndarray]
    distances: np.ndarray
    widths: np.ndarray
    reduced: np.ndarray
    surface: Surface

    @cached_property
    def gaussian(self) -> np.ndarray:
        """2/√π exp(-ξ²r²)."""
        return 2 / np.sqrt(np.pi) * np.exp(-(self.reduced**2))

    @property
    def heights(self) -> np.ndarray:
        """Distance of the row's point from the plane of the surface at the other."""
        surface = self.surface
        return surface.points[self.rows] @ surface.normals.T - np.einsum(
            "jx,jx->j", surface.points, surface.normals
        )

    def interactions(self) -> np.ndarray:
        """Return S / bohr⁻¹."""
        found: np.ndarray = erf(self.reduced) / self.distances
        surface, rows = self.surface, self.rows
        found[self.here] = np.sqrt(2 / np.pi) * surface.widths[rows] / surface.switches[rows]
        return found

    def fluxes(self) -> np.ndarray:
        """Return D / bohr⁻²."""
        away = erf(self.reduced) - self.reduced * self.gaussian
        found: np.ndarray = self.heights * away / self.distances**3
        radii = self.surface.found["R_vdw"][self.rows]
        found[self.here] = -self.surface.widths[self.rows] / (np.sqrt(2 * np.pi) * radii)
        return found

    def slopes(self) -> np.ndarray:
        """Return s, where s (r_i - r_j) is the derivative of S_ij by the place of i."""
        found: np.ndarray = (self.reduced * self.gaussian - erf(self.reduced)) / self.distances**3
        found[self.here] = 0.0
        return found

    def flux_slopes(self, slopes: np.ndarray) -> np.ndarray:
        """Return t, where t (r_i - r_j) - s n_j is the derivative of D_ij by the place of i."""
        narrow = 2 * self.reduced**2 * self.widths * self.gaussian / self.distances
        found: np.ndarray = self.heights * (narrow + 3 * self.distances * slopes) / self.distances**3
        found[self.here] = 0.0
        return found


class SurfaceCharges:
    """The charges of a surface at any potential.

    Parameters
    ----------
    surface
        Its points.
    epsilon
        Dielectric constant.
    is_conductor
        C-PCM instead of IEF-PCM.
    """

    def __init__(self, surface: Surface, epsilon: float, is_conductor: bool) -> None:
        self.surface, self.is_conductor = surface, is_conductor
        self.factor = (epsilon - 1) / (epsilon if is_conductor else epsilon + 1)
        interactions = _whole(surface, Pairs.interactions)
        if is_conductor:
            # The transpose is what LAPACK overwrites in place.
            self._factors = cho_factor(interactions.T, lower=True, overwrite_a=True, check_finite=False)
            return
        self._interactions = interactions
        self._fluxes = _whole(surface, Pairs.fluxes)
        matrix = (-self._mixing * self._fluxes * surface.areas) @ interactions
        matrix += interactions
        self._factors = lu_factor(matrix, overwrite_a=True, check_finite=False)

    @property
    def _mixing(self) -> float:
        """Factor of D A S in K."""
        return 0.0 if self.is_conductor else self.factor / (2 * np.pi)

    def answer(self, potentials: np.ndarray) -> np.ndarray:
        """Return the charges / e at potentials / Eh/e, both of shape (n, n_points).

        They are half K⁻¹R v and half the transpose of that, so that the energy is ½ q v.
        """
        if self.is_conductor:
            return np.asarray(-self.factor * self._solve(potentials))
        areas, fluxes = self.surface.areas, self._fluxes
        right = self._mixing * (areas * potentials) @ fluxes.T - self.factor * potentials
        adjoint = self._solve(potentials, transposed=True)
        left = self._mixing * areas * (adjoint @ fluxes) - self.factor * adjoint
        return np.asarray(0.5 * (self._solve(right) + left))

    def gradient(self, potential: np.ndarray) -> np.ndarray:
        """Return the derivative of ½ v K⁻¹R v at a constant potential / Eh/bohr, shape (n_atoms, 3).

        Parameters
        ----------
        potential
            v / Eh/e, shape (n_points,).
        """
        surface = self.surface
        adjoint = self._solve(potential[None], transposed=True)[0]
        if self.is_conductor:
            charges, weights, fields = -self.factor * adjoint, adjoint, np.zeros_like(adjoint)
        else:
            through = adjoint @ self._fluxes
            right = self._mixing * self._fluxes @ (surface.areas * potential) - self.factor * potential
            charges = self._solve(right[None])[0]
            weights = adjoint - self._mixing * surface.areas * through
            fields = self._mixing * (potential + self._interactions @ charges)
        of_points = self._of_pairs(-0.5 * weights, charges, 0.5 * adjoint, surface.areas * fields)
        of_switches, of_areas = get_dF_dA(surface.found)
        own = np.sqrt(2 / np.pi) * surface.widths / surface.switches**2
        found = np.einsum("i,inx->nx", 0.5 * weights * charges * own, of_switches)
        if not self.is_conductor:
            found += np.einsum("i,inx->nx", 0.5 * through * fields, of_areas)
        return np.asarray(found + surface.by_atom(of_points))

    def _of_pairs(
        self, weights: np.ndarray, charges: np.ndarray, adjoint: np.ndarray, fields: np.ndarray
    ) -> np.ndarray:
        """Return the derivative of Σ w_i S_ij q_j + a_i D_ij u_j by the places of the points."""
        surface = self.surface
        points, normals = surface.points, surface.normals
        found = np.zeros_like(points)
        for pairs in surface.pairs():
            rows, slopes = pairs.rows, pairs.slopes()
            along = weights[rows, None] * slopes * charges
            if not self.is_conductor:
                along += adjoint[rows, None] * pairs.flux_slopes(slopes) * fields
                across = adjoint[rows, None] * slopes * fields
                found[rows] -= across @ normals
                found += across.sum(axis=0)[:, None] * normals
            found[rows] += along.sum(axis=1)[:, None] * points[rows] - along @ points
            found -= along.T @ points[rows] - along.sum(axis=0)[:, None] * points
        return found

    def _solve(self, right: np.ndarray, transposed: bool = False) -> np.ndarray:
        """Return K⁻¹ or K⁻ᵀ times vectors, shape (n, n_points)."""
        if self.is_conductor:
            return np.asarray(cho_solve(self._factors, right.T, check_finite=False).T)
        return np.asarray(lu_solve(self._factors, right.T, trans=int(transposed), check_finite=False).T)


def _whole(surface: Surface, part: Callable[[Pairs], np.ndarray]) -> np.ndarray:
    """Return a matrix of all pairs of points, shape (n_points, n_points)."""
    matrix = np.empty((len(surface), len(surface)))
    for pairs in surface.pairs():
        matrix[pairs.rows] = part(pairs)
    return matrix
