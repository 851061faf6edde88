"""Fit pair potentials to what a cheap level lacks against a better one.

Linear least squares: forces, energies of whole pieces (with one unknown constant for each element, which
cancels in every balanced reaction), and penalties on curvature and size that decide where there are no data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from mscflow.levels.potentials.pair_potential import (
    PairPotential,
    SplineBasis,
    n_pairs,
    neighbours,
    pair_index,
)

N_FOLDS = 6
LIGHTEST_OF_CORES = 15
"""Phosphorus."""


@dataclass(frozen=True)
class Lack:
    """What the cheap level lacks for one frame.

    Parameters
    ----------
    frame
        Elements and positions; ``info["config_type"]`` is the family.
    energy, forces
        Better minus cheap level / eV and eV/Å.
    size
        Largest force component of the better level / eV/Å.
    core_only
        Whether only forces on heavy atoms count, and energies only relative to those of the same family:
        for labels of another basis, whose energies have another zero and whose forces on light atoms differ
        by tenths of an eV/Å.
    """

    frame: Atoms
    energy: float
    forces: np.ndarray
    size: float
    core_only: bool = False

    @property
    def family(self) -> str:
        """Name of the piece."""
        return str(self.frame.info["config_type"])

    @property
    def counted(self) -> np.ndarray:
        """Which atoms' forces are fitted, shape (n_atoms,)."""
        return self.frame.numbers >= (LIGHTEST_OF_CORES if self.core_only else 1)


@dataclass(frozen=True)
class Weights:
    """What counts how much.

    Parameters
    ----------
    energy
        Weight of an energy / eV⁻¹ against that of a force component / (eV/Å)⁻¹.
    curvature, value
        Weights of the mean square curvature / (eV/Å²)⁻¹ and value / eV⁻¹ of each function.
    core
        Factor on all weights of frames of which only the core counts.
    """

    energy: float
    curvature: float
    value: float
    core: float = 1.0


BASIS = SplineBasis(first=0.8, last=5.0, size=21)
WEIGHTS = Weights(energy=1.0, curvature=0.3, value=0.1, core=2.0)
"""What the potentials of `mscflow.levels.corrected` were fitted with: best on families left out."""


def lack(frame: Atoms, cheap: Calculator, core_only: bool = False) -> Lack:
    """Return what a calculator lacks against the labels of a frame."""
    forces = frame.arrays["REF_forces"]
    return Lack(
        frame,
        energy=frame.info["REF_energy"] - cheap.get_potential_energy(frame),
        forces=forces - cheap.get_forces(frame),
        size=float(np.abs(forces).max()),
        core_only=core_only,
    )


def fit_pairs(lacks: Sequence[Lack], basis: SplineBasis, weights: Weights) -> PairPotential:
    """Return the pair potentials that describe best what is lacking.

    Parameters
    ----------
    lacks
        Frames of many pieces.
    basis
        Functions of the distance.
    weights
        What counts how much.
    """
    elements = _elements(lacks)
    return _solved(*_normal_equations(lacks, basis, weights, elements), basis, weights, elements)


def left_out(lacks: Sequence[Lack], basis: SplineBasis, weights: Weights) -> list[Lack]:
    """Return what is still lacking when each frame is corrected by a fit that saw no frame of its family."""
    elements = _elements(lacks)
    families = sorted({item.family for item in lacks})
    folds = [set(families[fold::N_FOLDS]) for fold in range(N_FOLDS)]
    parts = [
        _normal_equations([item for item in lacks if item.family in fold], basis, weights, elements)
        for fold in folds
    ]
    matrix, right = sum(part[0] for part in parts), sum(part[1] for part in parts)
    found = []
    for fold, part in zip(folds, parts, strict=True):
        potential = _solved(matrix - part[0], right - part[1], basis, weights, elements)
        found += [remaining(item, potential) for item in lacks if item.family in fold]
    return found


def _elements(lacks: Sequence[Lack]) -> tuple[int, ...]:
    return tuple(sorted({int(number) for item in lacks for number in item.frame.numbers}))


def _normal_equations(
    lacks: Sequence[Lack], basis: SplineBasis, weights: Weights, elements: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return matrix and right-hand side of the least squares, without penalties."""
    n = n_pairs(elements) * basis.size + len(elements)
    matrix, right = np.zeros((n, n)), np.zeros(n)
    for rows, target in _equations(lacks, basis, weights, elements):
        used = np.flatnonzero(rows.any(axis=0))
        part = rows[:, used]
        matrix[np.ix_(used, used)] += part.T @ part
        right[used] += part.T @ target
    return matrix, right


def _solved(
    matrix: np.ndarray, right: np.ndarray, basis: SplineBasis, weights: Weights, elements: tuple[int, ...]
) -> PairPotential:
    """Add the penalties and solve."""
    between = basis.first + basis.spacing * (np.arange(4 * basis.size) + 0.5) / 4
    curvature = basis.curvatures(between) * weights.curvature / 2
    value = basis(between)[0] * weights.value / 2
    penalty = curvature.T @ curvature + value.T @ value
    matrix = matrix.copy()
    for pair in range(n_pairs(elements)):
        block = slice(pair * basis.size, (pair + 1) * basis.size)
        matrix[block, block] += penalty
    constants = range(n_pairs(elements) * basis.size, len(matrix))
    matrix[constants, constants] += 1e-8
    solution = np.linalg.solve(matrix, right)
    return PairPotential(basis, elements, solution[: constants.start].reshape(-1, basis.size))


def _equations(
    lacks: Sequence[Lack], basis: SplineBasis, weights: Weights, elements: tuple[int, ...]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and right-hand sides: of the forces of one frame after the other, and of the energies."""
    relative = defaultdict(list)
    for item in lacks:
        forces, energy = _rows(item, basis, elements)
        trust = (weights.core if item.core_only else 1.0) / (1.0 + item.size / 5.0)
        counted = np.repeat(item.counted, 3)
        yield trust * forces[counted], trust * item.forces.ravel()[counted]
        weight = trust * weights.energy
        if item.core_only:
            relative[item.family].append((weight, energy, item.energy))
        else:
            yield weight * energy[None], np.array([weight * item.energy])
    for family in relative.values():
        scale, rows, targets = (np.array(part) for part in zip(*family, strict=True))
        yield scale[:, None] * (rows - rows.mean(axis=0)), scale * (targets - targets.mean())


def _rows(item: Lack, basis: SplineBasis, elements: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return what each unknown gives to the forces, shape (3 n_atoms, n), and to the energy, shape (n,)."""
    count, n_atoms = n_pairs(elements), len(item.frame)
    i, j, distances, units = neighbours(item.frame.positions, basis.last)
    kind = pair_index(item.frame.numbers, elements)[i, j]
    values, slopes = basis(distances)
    force = np.zeros((count, n_atoms, 3, basis.size))
    push = -units[:, :, None] * slopes[:, None]
    np.add.at(force, (kind, j), push)
    np.add.at(force, (kind, i), -push)
    energy = np.zeros((count, basis.size))
    np.add.at(energy, kind, values)
    forces = force.transpose(1, 2, 0, 3).reshape(3 * n_atoms, -1)
    constants = [np.count_nonzero(item.frame.numbers == number) for number in elements]
    return np.pad(forces, ((0, 0), (0, len(elements)))), np.concatenate([energy.ravel(), constants])


def remaining(item: Lack, potential: PairPotential) -> Lack:
    """Return what is lacking after the correction."""
    energy, forces = potential.energy_and_forces(item.frame.numbers, item.frame.positions)
    return replace(item, energy=item.energy - energy, forces=item.forces - forces)
