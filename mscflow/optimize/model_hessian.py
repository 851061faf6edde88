"""A guess of the second derivatives of the energy from distances alone: bonds, angles and torsions.

Every pair of atoms is a bond to a degree that fades with its distance, every two pairs at an atom an angle,
every three in a row a torsion; each has a force constant times the degrees of its pairs (Lindh, Bernhardsson,
Karlström & Malmqvist, Chem. Phys. Lett. 1995, 241, 423). Nothing has to be decided about what is bonded, so
that the guess changes smoothly while carboxylates change their hold on a metal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.units import Bohr, Hartree
from scipy.linalg.blas import dsyrk
from scipy.sparse import csc_matrix, csr_matrix
from scipy.spatial import cKDTree

from mscflow.chemistry import METALS

DENSE = 240
"""Number of coordinates up to which the matrix is a dense one; that of more is sparse."""

NEAREST_LINEAR = 0.2
"""Sine of an angle below which its derivative is taken for that of this sine: straight angles have none."""

IS_METAL = np.isin(np.arange(len(covalent_radii)), [atomic_numbers[symbol] for symbol in METALS])
"""Whether an element is a metal, by atomic number."""


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
    metal_stretch, metal_bend
        Factors of the first two for bonds to metals and angles with one.
    steepness
        A pair at distance r whose covalent radii sum to R is a bond to the degree exp(steepness·(1 − r²/R²)).
    least
        Products of degrees below this are left out; with 0.08 there are up to twice as many terms, with 0.02
        up to six times, and relaxations take no fewer steps.
    rest
        Curvature of everything else, added to the diagonal / eV/Å².
    """

    stretch: float = 0.45
    bend: float = 0.15
    torsion: float = 0.005
    pyramid: float = 0.03
    metal_stretch: float = 0.15
    metal_bend: float = 0.2
    steepness: float = 2.0
    least: float = 0.16
    rest: float = 0.1


CONSTANTS = ForceConstants()
"""The constants of relaxations."""


def model_hessian(
    positions: np.ndarray, numbers: np.ndarray, constants: ForceConstants = CONSTANTS
) -> np.ndarray | csc_matrix:
    """Return the model's second derivatives / eV/Å², shape (3 n_atoms, 3 n_atoms), positive definite.

    Parameters
    ----------
    positions
        Coordinates / Å, shape (n_atoms, 3).
    numbers
        Atomic numbers, shape (n_atoms,).
    constants
        Force constants.

    Returns
    -------
    ndarray or csc_matrix
        The matrix, sparse where it has more than `DENSE` coordinates.
    """
    edges = _edges(positions, numbers, constants)
    angles = _angles(edges, constants)
    kinds = [
        _stretches(edges, constants),
        _bends(edges, angles, constants),
        _torsions(edges, constants),
        _pyramids(edges, angles, constants),
    ]
    terms = [(atoms, np.sqrt(k)[:, None, None] * derivatives) for atoms, derivatives, k in kinds]
    return (_dense if positions.size <= DENSE else _sparse)(terms, len(positions), constants.rest)


@dataclass(frozen=True)
class _Edges:
    """Directed pairs sorted by their first atom: atoms, unit vector, distance / Å, degree of bonding."""

    first: np.ndarray
    second: np.ndarray
    unit: np.ndarray
    length: np.ndarray
    degree: np.ndarray
    is_to_metal: np.ndarray
    """Whether one of the two atoms is a metal, shape (n_edges,)."""
    start: np.ndarray
    """Where the edges of each atom start, shape (n_atoms + 1,)."""


def _edges(positions: np.ndarray, numbers: np.ndarray, constants: ForceConstants) -> _Edges:
    radii = covalent_radii[numbers]
    ratio = math.sqrt(1 - math.log(constants.least) / constants.steepness)
    first, second = _within(positions, 2 * radii.max() * ratio)
    vector = positions[second] - positions[first]
    length = np.sqrt(_dot(vector, vector))
    degree = np.exp(constants.steepness * (1 - (length / (radii[first] + radii[second])) ** 2))
    keep = np.flatnonzero(degree > constants.least)
    first, second, length = first[keep], second[keep], length[keep]
    is_metal = IS_METAL[numbers]
    is_to_metal = is_metal[first] | is_metal[second]
    start = np.searchsorted(first, np.arange(len(positions) + 1))
    return _Edges(first, second, vector[keep] / length[:, None], length, degree[keep], is_to_metal, start)


def _within(positions: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the atoms of all directed pairs nearer than `reach` / Å, sorted by the first, then the other."""
    if positions.size <= DENSE:
        size = positions * positions @ np.ones(3)
        is_near = size[:, None] + size - 2 * positions @ positions.T < reach**2
        is_near.flat[:: len(positions) + 1] = False
        first, second = np.divmod(np.flatnonzero(is_near), len(positions))
        return first, second
    pairs = cKDTree(positions).query_pairs(reach, output_type="ndarray")
    first, second = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.lexsort((second, first))
    return first[order], second[order]


@dataclass(frozen=True)
class _Angles:
    """Every two edges of an atom, in their order, whose product of degrees is not too small."""

    one: np.ndarray
    two: np.ndarray
    degree: np.ndarray


def _angles(edges: _Edges, constants: ForceConstants) -> _Angles:
    one, two = _members(np.arange(1, len(edges.first) + 1), edges.start[edges.first + 1])
    degree = edges.degree[one] * edges.degree[two]
    keep = np.flatnonzero(degree > constants.least)
    return _Angles(one[keep], two[keep], degree[keep])


Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Internal coordinates: atoms, shape (m, k); derivatives, (m, k, 3) / 1 or Å⁻¹; force constants, (m,)."""


def _stretches(edges: _Edges, constants: ForceConstants) -> Rows:
    once = np.flatnonzero(edges.first < edges.second)
    unit = edges.unit[once]
    atoms = np.array([edges.first[once], edges.second[once]]).T
    strength = constants.stretch * Hartree / Bohr**2 * edges.degree[once]
    strength[edges.is_to_metal[once]] *= constants.metal_stretch
    return atoms, np.array([-unit, unit]).swapaxes(0, 1), strength


def _bends(edges: _Edges, angles: _Angles, constants: ForceConstants) -> Rows:
    legs = np.array([angles.one, angles.two])
    unit = edges.unit.take(legs, axis=0)
    cosine = _dot(unit[0], unit[1])
    sine = np.sqrt(np.maximum(1 - cosine**2, NEAREST_LINEAR**2))
    at_ends = (cosine[:, None] * unit - unit[::-1]) / (sine * edges.length[legs])[..., None]
    ends = edges.second[legs]
    atoms = np.array([ends[0], edges.first[angles.one], ends[1]]).T
    derivatives = np.array([at_ends[0], -at_ends[0] - at_ends[1], at_ends[1]]).swapaxes(0, 1)
    strength = constants.bend * Hartree * angles.degree
    strength[edges.is_to_metal[legs].any(axis=0)] *= constants.metal_bend
    return atoms, derivatives, strength


def _torsions(edges: _Edges, constants: ForceConstants) -> Rows:
    middle = np.flatnonzero(edges.first < edges.second)
    number, one = _members(edges.start[edges.first[middle]], edges.start[edges.first[middle] + 1])
    middle = middle[number]
    number, two = _members(edges.start[edges.second[middle]], edges.start[edges.second[middle] + 1])
    row = np.array([one[number], middle[number], two])
    i, j, k, l = edges.second[row[0]], edges.first[row[1]], edges.second[row[1]], edges.second[two]  # noqa: E741
    degree = edges.degree[row].prod(axis=0)
    keep = np.flatnonzero((degree > constants.least) & (i != k) & (l != j) & (i != l))
    row, degree = row[:, keep], degree[keep]
    unit, length = edges.unit.take(row, axis=0), edges.length[row]
    legs, axis = unit[::2], unit[1]
    cosine = _dot(legs, axis)
    squared_sine = 1 - cosine**2
    bent = np.flatnonzero(squared_sine.min(axis=0) > NEAREST_LINEAR**2)
    slope = np.maximum(squared_sine, NEAREST_LINEAR**2) * length[::2]
    at_i, at_l = _cross(legs, axis) / (slope * [[1], [-1]])[..., None]
    from_i, from_l = (cosine * length[::2] / length[1])[..., None] * (at_i, at_l)
    at_j = from_i + from_l - at_i
    atoms = np.array([i, j, k, l]).T[keep]
    derivatives = np.array([at_i, at_j, -at_i - at_j - at_l, at_l]).swapaxes(0, 1)
    return atoms[bent], derivatives[bent], constants.torsion * Hartree * degree[bent]


def _pyramids(edges: _Edges, angles: _Angles, constants: ForceConstants) -> Rows:
    """Return u₁·(u₂×u₃) of every three unit vectors from an atom: how far it lies out of a plane of three."""
    number, three = _members(angles.two + 1, edges.start[edges.first[angles.one] + 1])
    legs = np.array([angles.one[number], angles.two[number], three])
    degrees = edges.degree[legs]
    degree = degrees.prod(axis=0)
    least_pair = degree / degrees.max(axis=0)
    keep = np.flatnonzero(np.minimum(degree, least_pair) > constants.least)  # the order must not matter
    legs = legs[:, keep]
    unit = edges.unit.take(legs, axis=0)
    slope = _cross(unit[[1, 2, 0]], unit[[2, 0, 1]])
    volume = _dot(slope[0], unit[0])[:, None]
    at_ends = (slope - volume * unit) / edges.length[legs][:, :, None]
    atoms = np.array([edges.first[legs[0]], *edges.second[legs]]).T
    derivatives = np.array([-at_ends.sum(axis=0), *at_ends]).swapaxes(0, 1)
    return atoms, derivatives, constants.pyramid * Hartree * degree[keep]


Terms = list[tuple[np.ndarray, np.ndarray]]
"""Kinds of internal coordinates: atoms; derivatives times the root of the force constant, shape (m, k, 3)."""


def _dense(terms: Terms, n_atoms: int, rest: float) -> np.ndarray:
    """Return Σ b bᵀ of all rows b, and `rest` on the diagonal."""
    rows = np.zeros((sum(len(atoms) for atoms, _ in terms), n_atoms, 3))
    start = 0
    for atoms, values in terms:
        numbers = np.arange(start, start + len(atoms))
        rows[numbers[:, None], atoms] = values
        start += len(atoms)
    table = rows.reshape(len(rows), 3 * n_atoms)
    upper = dsyrk(1.0, table.T)
    matrix = np.asarray(upper + upper.T)
    diagonal = matrix.ravel()[:: 3 * n_atoms + 1]
    diagonal *= 0.5
    diagonal += rest
    return matrix


def _sparse(terms: Terms, n_atoms: int, rest: float) -> csc_matrix:
    """Return what `_dense` does as a sparse matrix."""
    every = np.arange(3 * n_atoms)
    values, columns, widths = [np.full(len(every), np.sqrt(rest))], [every], [np.ones_like(every)]
    for atoms, of_kind in terms:
        values.append(of_kind.ravel())
        columns.append((3 * atoms[:, :, None] + np.arange(3)).ravel())
        widths.append(np.full(len(atoms), 3 * atoms.shape[1]))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(widths))])
    table = np.concatenate(values), np.concatenate(columns), starts
    rows = csr_matrix(table, shape=(len(starts) - 1, len(every)))
    return rows.T @ rows


def _dot(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the scalar products of vectors, shape (...)."""
    return np.asarray(one * two @ np.ones(3))


def _cross(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the products of vectors, shape (..., 3): what `numpy.cross` does, in half the time."""
    after, before = [1, 2, 0], [2, 0, 1]
    return one[..., after] * two[..., before] - one[..., before] * two[..., after]


def _members(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the range and the member, for all members of many ranges, shape (n_members,)."""
    size = end - start
    number = np.repeat(np.arange(len(size)), size)
    return number, np.arange(len(number)) + np.repeat(start - np.cumsum(size) + size, size)
