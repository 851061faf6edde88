"""Grid points in compact boxes, each with the few basis functions that reach it.

PySCF evaluates all basis functions on long, thin runs of grid points again in every cycle. Here the points
are sorted into small boxes; in each box only the shells that reach it are kept, and their values are stored
as long as memory allows.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from pyscf import dft, gto, lib
from scipy.spatial.distance import cdist
from threadpoolctl import ThreadpoolController

CUTOFF = 1e-8
"""Basis functions below this value / bohr^-3/2 everywhere in a box are left out of it."""

SMALLEST_VALUE = 1e-10
"""Smaller values of basis functions are zero in single precision: processors are slow with numbers below
1e-38, which products of them would be."""

BOX_POINTS = 1200
"""Largest number of grid points in a box: small boxes see few shells, large ones make efficient products."""


@dataclass
class Box:
    """Grid points of one region and the basis functions that reach it.

    Parameters
    ----------
    points
        Range of the points in the sorted grid.
    shells
        Indices of the shells that reach the box.
    functions
        Indices of their basis functions.
    values
        Function values and first derivatives in single precision, once stored; shape (4, n_functions,
        n_points).
    """

    points: slice
    shells: np.ndarray
    functions: np.ndarray
    values: np.ndarray | None = None


@dataclass
class Boxes:
    """A grid cut into boxes for one molecule; the grid's points are put in the order of the boxes.

    Parameters
    ----------
    mol
        The molecule.
    grids
        Its grid, built.
    max_memory
        Memory for stored function values / MB.
    """

    mol: gto.Mole
    grids: dft.Grids
    max_memory: float
    items: list[Box] = field(default_factory=list)
    coords: np.ndarray = field(init=False)
    stored: bool = False

    def __post_init__(self) -> None:
        """Sort the points and find the shells of every box."""
        coords = self.grids.coords
        groups = _split(coords)
        order = np.concatenate(groups)
        self.coords = self.grids.coords = np.ascontiguousarray(coords[order])
        self.grids.weights = np.ascontiguousarray(self.grids.weights[order])
        self.grids.non0tab = self.grids.make_mask(self.mol, self.grids.coords)
        self.grids.screen_index = self.grids.non0tab
        reach = _shell_reach(self.mol)
        centres = self.mol.atom_coords()
        atom_of_shell = self.mol._bas[:, gto.ATOM_OF]
        first = self.mol.ao_loc
        start = 0
        n_values = 0
        for group in groups:
            points = slice(start, start + len(group))
            start = points.stop
            block = self.grids.coords[points]
            nearest = cdist(centres, block).min(axis=1)
            shells = np.flatnonzero(nearest[atom_of_shell] < reach)
            if not len(shells):
                continue
            functions = np.concatenate([np.arange(first[s], first[s + 1], dtype=np.int32) for s in shells])
            self.items.append(Box(points, shells, functions))
            n_values += 4 * len(group) * len(functions)
        self.stored = 4e-6 * n_values < self.max_memory

    def values(self, box: Box, derivatives: int = 1) -> np.ndarray:
        """Return values and derivatives of a box's functions, shape (n_components, n_functions, n_points)."""
        shells = SimpleNamespace(_atm=self.mol._atm, _bas=self.mol._bas[box.shells], _env=self.mol._env)
        points = self.grids.coords[box.points]
        values = gto.eval_gto(shells, f"GTOval_sph_deriv{derivatives}", points).transpose(0, 2, 1)
        if self.stored and box.values is None:
            box.values = rounded(values[:4], SMALLEST_VALUE)
        return values

    def single(self, box: Box) -> np.ndarray:
        """Return values and first derivatives in single precision, shape (4, n_functions, n_points)."""
        if box.values is not None:
            return box.values
        values = self.values(box)
        return rounded(values, SMALLEST_VALUE) if box.values is None else box.values

    def __iter__(self) -> Iterator[Box]:
        return iter(self.items)


def _split(coords: np.ndarray) -> list[np.ndarray]:
    """Halve the set of points along its longest side until each part is small enough."""
    todo, done = [np.arange(len(coords))], []
    while todo:
        part = todo.pop()
        if len(part) <= BOX_POINTS:
            done.append(part)
            continue
        block = coords[part]
        axis = int(np.ptp(block, axis=0).argmax())
        half = len(part) // 2
        ranked = part[np.argpartition(block[:, axis], half)]
        todo += [ranked[half:], ranked[:half]]
    return done


def _shell_reach(mol: gto.Mole) -> np.ndarray:
    """Return the radius / bohr beyond which each shell is below `CUTOFF`, shape (n_shells,)."""
    radius = np.linspace(0.0, 40.0, 801)
    reach = np.zeros(mol.nbas)
    for shell in range(mol.nbas):
        power = mol.bas_angular(shell)
        # Normalised contraction coefficients bound the function; signs are dropped to stay an upper bound.
        weights = np.abs(mol._libcint_ctr_coeff(shell)).max(axis=1)
        radial = radius**power * (weights * np.exp(-np.outer(radius**2, mol.bas_exp(shell)))).sum(axis=1)
        large = np.flatnonzero(radial > CUTOFF)
        reach[shell] = radius[large[-1]] + 0.05 if len(large) else 0.0
    return reach


def rounded(array: np.ndarray, smallest: float) -> np.ndarray:
    """Return an array in single precision, without its smallest elements."""
    single = array.astype(np.float32)
    single[np.abs(single) < smallest] = 0.0
    return single


def over_boxes(function: Any, boxes: Iterable[Any]) -> Iterator[Any]:
    """Apply `function` to all boxes in as many threads as PySCF uses; NumPy and libcint release the lock.

    Threads of libraries inside these threads, and beside them while results are taken, would wait for each
    other in busy loops: on a loaded machine ten times slower than one thread.
    """
    n_threads = lib.num_threads()
    with _blas().limit(limits=1, user_api="blas"), lib.with_omp_threads(1):
        if n_threads == 1:
            yield from map(function, boxes)
            return
        with ThreadPoolExecutor(n_threads, initializer=lib.num_threads, initargs=(1,)) as pool:
            yield from pool.map(function, boxes)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
