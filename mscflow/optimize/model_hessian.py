"""A guess of the second derivatives of the energy from distances alone: bonds, angles and torsions.

Every pair of atoms is a bond to a degree that fades with its distance, every two pairs at an atom an angle,
every three in a row a torsion; each has a force constant times the degrees of its pairs (Lindh, Bernhardsson,
Karlström & Malmqvist, Chem. Phys. Lett. 1995, 241, 423). Nothing has to be decided about what is bonded, so
that the guess changes smoothly while carboxylates change their hold on a metal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii
from ase.units import Bohr, Hartree
from scipy.sparse import csc_matrix, csr_matrix
from scipy.spatial import cKDTree

NEAREST_LINEAR = 0.2
"""Sine of an angle below which its derivative is taken for that of this sine: straight angles have none."""


@dataclass(frozen=True)
class ForceConstants:
    """Constants of the model.

    Parameters
    ----------
    stretch
        Force constant of a full bond / Eh/bohr² (Lindh et al.: 0.45).
    bend, torsion
        Force constants of an angle and of a torsion of full bonds / Eh (Lindh et al.: 0.15 and 0.005).
    pyramid
        Force constant of the triple product of the unit vectors of three bonds of an atom / Eh.
    steepness
        A pair at distance r whose covalent radii sum to R is a bond to the degree exp(steepness·(1 − r²/R²)).
    least
        Products of degrees below this are left out; with 0.02 instead of 0.08 there are three times as many
        terms, and relaxations take no fewer steps.
    rest
        Curvature of everything else, added to the diagonal / eV/Å².
    """

    stretch: float = 0.45
    bend: float = 0.15
    torsion: float = 0.005
    pyramid: float = 0.03
    steepness: float = 2.0
    least: float = 0.08
    rest: float = 0.1


def model_hessian(
    positions: np.ndarray, numbers: np.ndarray, constants: ForceConstants | None = None
) -> csc_matrix:
    """Return the model's second derivatives / eV/Å², shape (3 n_atoms, 3 n_atoms), positive definite.

    Parameters
    ----------
    positions
        Coordinates / Å, shape (n_atoms, 3).
    numbers
        Atomic numbers, shape (n_atoms,).
    constants
        Force constants.
    """
    constants = constants or ForceConstants()
    every = np.arange(3 * len(positions))
    edges = _edges(positions, numbers, constants)
    values, columns, widths = [np.full(len(every), np.sqrt(constants.rest))], [every], [np.ones_like(every)]
    for kind in (_stretches, _bends, _torsions, _pyramids):
        atoms, derivatives, strength = kind(edges, constants)
        values.append((np.sqrt(strength)[:, None, None] * derivatives).ravel())
        columns.append((3 * atoms[:, :, None] + np.arange(3)).ravel())
        widths.append(np.full(len(atoms), 3 * atoms.shape[1]))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(widths))])
    table = np.concatenate(values), np.concatenate(columns), starts
    rows = csr_matrix(table, shape=(len(starts) - 1, len(every)))
    return rows.T @ rows


@dataclass(frozen=True)
class _Edges:
    """Directed pairs sorted by their first atom: atoms, vector and distance / Å, degree of bonding."""

    first: np.ndarray
    second: np.ndarray
    vector: np.ndarray
    length: np.ndarray
    degree: np.ndarray
    start: np.ndarray
    """Where the edges of each atom start, shape (n_atoms + 1,)."""


def _edges(positions: np.ndarray, numbers: np.ndarray, constants: ForceConstants) -> _Edges:
    radii = covalent_radii[numbers]
    ratio = np.sqrt(1 - np.log(constants.least) / constants.steepness)
    pairs = cKDTree(positions).query_pairs(2 * radii.max() * ratio, output_type="ndarray")
    first, second = np.concatenate([pairs, pairs[:, ::-1]]).T
    vector = positions[second] - positions[first]
    length = np.linalg.norm(vector, axis=1)
    degree = np.exp(constants.steepness * (1 - (length / (radii[first] + radii[second])) ** 2))
    keep = np.flatnonzero(degree > constants.least)
    keep = keep[np.lexsort((second[keep], first[keep]))]
    start = np.searchsorted(first[keep], np.arange(len(positions) + 1))
    return _Edges(first[keep], second[keep], vector[keep], length[keep], degree[keep], start)


Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Internal coordinates: atoms, shape (m, k); derivatives, (m, k, 3) / 1 or Å⁻¹; force constants, (m,)."""


def _stretches(edges: _Edges, constants: ForceConstants) -> Rows:
    once = edges.first < edges.second
    unit = edges.vector[once] / edges.length[once, None]
    atoms = np.stack([edges.first[once], edges.second[once]], axis=1)
    strength = constants.stretch * Hartree / Bohr**2 * edges.degree[once]
    return atoms, np.stack([-unit, unit], axis=1), strength


def _bends(edges: _Edges, constants: ForceConstants) -> Rows:
    one, two = _products(edges.start[:-1], edges.start[1:], edges.start[:-1], edges.start[1:])[:2]
    degree = edges.degree[one] * edges.degree[two]
    keep = (one < two) & (degree > constants.least)
    one, two, degree = one[keep], two[keep], degree[keep]
    length = edges.length[:, None]
    unit_one, unit_two = edges.vector[one] / length[one], edges.vector[two] / length[two]
    cosine = (unit_one * unit_two).sum(axis=1, keepdims=True)
    sine = np.maximum(np.sqrt(np.maximum(1 - cosine**2, 0.0)), NEAREST_LINEAR)
    at_one = (cosine * unit_one - unit_two) / (sine * length[one])
    at_two = (cosine * unit_two - unit_one) / (sine * length[two])
    atoms = np.stack([edges.second[one], edges.first[one], edges.second[two]], axis=1)
    derivatives = np.stack([at_one, -at_one - at_two, at_two], axis=1)
    return atoms, derivatives, constants.bend * Hartree * degree


def _pyramids(edges: _Edges, constants: ForceConstants) -> Rows:
    """Return u₁·(u₂×u₃) of every three unit vectors from an atom: how far it lies out of a plane of three."""
    start, end = edges.start[:-1], edges.start[1:]
    one, two, number = _products(start, end, start, end)
    keep = (one < two) & (edges.degree[one] * edges.degree[two] > constants.least)
    one, two, number = one[keep], two[keep], number[keep]
    outer, three, _ = _products(np.arange(len(one)), np.arange(len(one)) + 1, two + 1, end[number])
    one, two = one[outer], two[outer]
    degree = edges.degree[one] * edges.degree[two] * edges.degree[three]
    least_pair = degree / np.maximum(np.maximum(edges.degree[one], edges.degree[two]), edges.degree[three])
    keep = np.minimum(degree, least_pair) > constants.least  # the order of the three must not matter
    legs = [leg[keep] for leg in (one, two, three)]
    units = [edges.vector[leg] / edges.length[leg, None] for leg in legs]
    at_ends = []
    for k, leg in enumerate(legs):
        slope = _cross(units[k - 2], units[k - 1])
        along = (slope * units[k]).sum(axis=1, keepdims=True)
        at_ends.append((slope - along * units[k]) / edges.length[leg, None])
    atoms = np.stack([edges.first[legs[0]], *(edges.second[leg] for leg in legs)], axis=1)
    derivatives = np.stack([-sum(at_ends), *at_ends], axis=1)
    return atoms, derivatives, constants.pyramid * Hartree * degree[keep]


def _torsions(edges: _Edges, constants: ForceConstants) -> Rows:
    middle = np.flatnonzero(edges.first < edges.second)
    j, k = edges.first[middle], edges.second[middle]
    one, two, number = _products(edges.start[j], edges.start[j + 1], edges.start[k], edges.start[k + 1])
    middle = middle[number]
    i, l = edges.second[one], edges.second[two]  # noqa: E741 - i-j-k-l
    degree = edges.degree[one] * edges.degree[middle] * edges.degree[two]
    keep = (degree > constants.least) & (i != edges.second[middle]) & (l != edges.first[middle]) & (i != l)
    one, middle, two, degree = one[keep], middle[keep], two[keep], degree[keep]
    axis = edges.vector[middle]
    axis_length = edges.length[middle, None]
    normal_one, normal_two = _cross(edges.vector[one], -axis), _cross(edges.vector[two], -axis)
    square_one = (normal_one**2).sum(axis=1, keepdims=True)
    square_two = (normal_two**2).sum(axis=1, keepdims=True)
    sine_one = np.sqrt(square_one[:, 0]) / (edges.length[one] * edges.length[middle])
    sine_two = np.sqrt(square_two[:, 0]) / (edges.length[two] * edges.length[middle])
    bent = (sine_one > NEAREST_LINEAR) & (sine_two > NEAREST_LINEAR)
    one, middle, two, degree, axis, axis_length = (
        part[bent] for part in (one, middle, two, degree, axis, axis_length)
    )
    normal_one, square_one = normal_one[bent] / square_one[bent], square_one[bent]
    normal_two, square_two = normal_two[bent] / square_two[bent], square_two[bent]
    along_one = (edges.vector[one] * axis).sum(axis=1, keepdims=True) / axis_length
    along_two = (edges.vector[two] * axis).sum(axis=1, keepdims=True) / axis_length
    at_i, at_l = -axis_length * normal_one, axis_length * normal_two
    at_j = -at_i - along_one * normal_one + along_two * normal_two
    at_k = -at_l + along_one * normal_one - along_two * normal_two
    atoms = np.stack(
        [edges.second[one], edges.first[middle], edges.second[middle], edges.second[two]], axis=1
    )
    return atoms, np.stack([at_i, at_j, at_k, at_l], axis=1), constants.torsion * Hartree * degree


def _cross(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the products of vectors, shape (m, 3): what `numpy.cross` does, in half the time."""
    after, before = [1, 2, 0], [2, 0, 1]
    return one[:, after] * two[:, before] - one[:, before] * two[:, after]


def _products(
    first_start: np.ndarray, first_end: np.ndarray, second_start: np.ndarray, second_end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all pairs from a range and a second range, for many ranges, and the number of the ranges."""
    width = second_end - second_start
    size = (first_end - first_start) * width
    number = np.repeat(np.arange(len(size)), size)
    offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    return (
        first_start[number] + offset // width[number],
        second_start[number] + offset % width[number],
        number,
    )
