"""Exchange-correlation integrals on compact blocks of grid points.

PySCF evaluates all basis functions on long, thin runs of grid points again in every cycle. Here the points
are sorted into small boxes; in each box only the shells that reach it are kept, their values are stored as
long as memory allows, and the contractions become small dense matrix products. Of a self-consistent field
only the first density is integrated in double precision; of the next ones the change is, in single precision,
since the density is linear in the matrix and the matrix in the potential. The result is that of
PySCF's `NumInt` up to the neglect of function values below `CUTOFF` and to `LARGEST_CHANGE`.

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

SMALLEST_VALUE, SMALLEST_FACTOR = 1e-10, 1e-16
"""Smaller basis functions, and smaller elements of what they are multiplied with, are zero in single
precision: processors are slow with numbers below 1e-38, which products of them would be."""

LARGEST_CHANGE = 1.0
"""Changes of density matrices, their Frobenius norms summed, until one is integrated in double precision."""

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
            box.values = _rounded(values[:4], SMALLEST_VALUE)
        return values

    def single(self, box: Box) -> np.ndarray:
        """Return values and first derivatives in single precision, shape (4, n_functions, n_points)."""
        if box.values is not None:
            return box.values
        values = self.values(box)
        return _rounded(values, SMALLEST_VALUE) if box.values is None else box.values

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


@dataclass
class Integrated:
    """What is known of a density: the next one is integrated as a change of it.

    Parameters
    ----------
    boxes, xc_code
        Where and with which functional.
    dm
        Density matrices, shape (n_spin, n_basis, n_basis).
    rho, potential
        Of each box: densities, and potentials times weights, with gradients, shape (n_spin, 4, n_points).
    matrices
        Half the potential matrices, shape (n_spin, n_basis, n_basis).
    changed
        Frobenius norms of the changes since all of it was integrated in double precision, summed.
    """

    boxes: Boxes
    xc_code: str
    dm: np.ndarray
    rho: list[np.ndarray]
    potential: list[np.ndarray]
    matrices: np.ndarray
    changed: float = 0.0


class BoxNumInt(dft.numint.NumInt):
    """PySCF's `NumInt` with GGA densities, potentials and kernels evaluated box by box.

    Parameters
    ----------
    max_memory
        Memory for stored function values / MB.

    Attributes
    ----------
    rough
        Whether single precision is enough for a first density, too.
    """

    def __init__(self, max_memory: float = 4000.0) -> None:
        super().__init__()
        self.value_memory = max_memory
        self.rough = False
        self._boxes: Boxes | None = None
        self._last: Integrated | None = None

    def boxes(self, mol: gto.Mole, grids: dft.Grids) -> Boxes:
        """Return the boxes of a grid, made once."""
        if grids.coords is None:
            grids.build(with_non0tab=False, sort_grids=False)
        # The identity of the points tells a rebuilt grid from the one the boxes were made for.
        if self._boxes is None or self._boxes.mol is not mol or self._boxes.coords is not grids.coords:
            self._boxes = self._last = None
            self._boxes = Boxes(mol, grids, self.value_memory)
        return self._boxes

    def nr_rks(
        self, mol: Any, grids: Any, xc_code: str, dms: Any, relativity: int = 0, hermi: int = 1,
        max_memory: float = 2000, verbose: Any = None,
    ) -> tuple:  # fmt: skip
        """Return electron number, energy and potential matrix of a closed-shell density."""
        dm = np.asarray(dms)
        if self._xc_type(xc_code) != "GGA" or dm.ndim != 2 or not hermi:
            return super().nr_rks(mol, grids, xc_code, dms, relativity, hermi, max_memory, verbose)
        n, energy, potential = self._integrate(mol, grids, xc_code, dm[None])
        return n[0], energy, potential[0]

    def nr_uks(
        self, mol: Any, grids: Any, xc_code: str, dms: Any, relativity: int = 0, hermi: int = 1,
        max_memory: float = 2000, verbose: Any = None,
    ) -> tuple:  # fmt: skip
        """Return electron numbers, energy and potential matrices of a spin-polarised density."""
        dm = np.asarray(dms)
        if self._xc_type(xc_code) != "GGA" or dm.shape[:1] != (2,) or dm.ndim != 3 or not hermi:
            return super().nr_uks(mol, grids, xc_code, dms, relativity, hermi, max_memory, verbose)
        return self._integrate(mol, grids, xc_code, dm)

    def energy_and_potential(self, xc_code: str, rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return energy per electron, shape (n_points,), and the derivative by `rho`, of its shape.

        Parameters
        ----------
        xc_code
            A GGA.
        rho
            Densities and gradients of each spin, or the total ones, shape (n_spin, 4, n_points).
        """
        n_spin = len(rho)
        exc, vxc = self.eval_xc_eff(
            xc_code, rho[0] if n_spin == 1 else rho, deriv=1, xctype="GGA", spin=n_spin - 1
        )[:2]
        return exc, np.reshape(vxc, rho.shape)

    def _integrate(self, mol: Any, grids: Any, xc_code: str, dm: np.ndarray) -> tuple:
        boxes = self.boxes(mol, grids)
        last, n_spin = self._comparable(boxes, xc_code, dm), len(dm)
        is_rough = self.rough or last is not None
        change = dm - last.dm if last else dm

        def one(numbered: tuple[int, Box]) -> tuple:
            index, box = numbered
            ao = boxes.single(box) if is_rough else boxes.values(box)
            weight = grids.weights[box.points]
            parts = [lib.take_2d(d, box.functions, box.functions) for d in change]
            if is_rough:
                parts = [_rounded(d, SMALLEST_FACTOR) for d in parts]
            rho = np.array([_density(ao, d) for d in parts], dtype=float)
            if last:
                rho += last.rho[index]
            exc, vxc = self.energy_and_potential(xc_code, rho)
            weighted = weight * vxc
            new = weighted - last.potential[index] if last else weighted
            new = _rounded(new, SMALLEST_FACTOR) if is_rough else new
            energy = float((rho[:, 0].sum(axis=0) * weight) @ exc)
            return box, rho, weighted, rho[:, 0] @ weight, energy, [_potential(ao, w) for w in new]

        number, total = np.zeros(n_spin), 0.0
        matrices = last.matrices.copy() if last else np.zeros_like(dm)
        densities, potentials = [], []
        for box, rho, weighted, n, energy, parts in over_boxes(one, list(enumerate(boxes))):
            number += n
            total += energy
            densities.append(rho)
            potentials.append(weighted)
            for matrix, part in zip(matrices, parts, strict=True):
                lib.takebak_2d(matrix, part, box.functions, box.functions)
        changed = last.changed + float(np.linalg.norm(change)) if last else 0.0
        self._last = Integrated(boxes, xc_code, dm.copy(), densities, potentials, matrices, changed)
        return number, total, matrices + matrices.transpose(0, 2, 1)

    def _comparable(self, boxes: Boxes, xc_code: str, dm: np.ndarray) -> Integrated | None:
        """Return the last density if another may be integrated as a change of it."""
        last = self._last
        if last is None or last.dm.shape != dm.shape:
            return None
        if last.boxes is not boxes or last.xc_code != xc_code:
            return None
        return last if last.changed + np.linalg.norm(dm - last.dm) < LARGEST_CHANGE else None

    def cache_xc_kernel(self, mol: Any, grids: Any, *arguments: Any, **options: Any) -> tuple:
        """Return density, potential and kernel of orbitals on the points in the order of the boxes."""
        self.boxes(mol, grids)
        return super().cache_xc_kernel(mol, grids, *arguments, **options)

    def cache_xc_kernel1(self, mol: Any, grids: Any, *arguments: Any, **options: Any) -> tuple:
        """Return density, potential and kernel of a density on the points in the order of the boxes."""
        self.boxes(mol, grids)
        return super().cache_xc_kernel1(mol, grids, *arguments, **options)

    def nr_rks_fxc(
        self, mol: Any, grids: Any, xc_code: str, dm0: Any, dms: Any, relativity: int = 0, hermi: int = 0,
        rho0: Any = None, vxc: Any = None, fxc: Any = None, max_memory: float = 2000, verbose: Any = None,
    ) -> np.ndarray:  # fmt: skip
        """Return the response of the potential to density matrices `dms`, of the same shape."""
        if self._xc_type(xc_code) != "GGA" or fxc is None or np.iscomplexobj(dms):
            return super().nr_rks_fxc(
                mol, grids, xc_code, dm0, dms, relativity, hermi, rho0, vxc, fxc, max_memory, verbose
            )
        return self._respond(mol, grids, np.asarray(fxc)[None, :, None], dms)

    def nr_uks_fxc(
        self, mol: Any, grids: Any, xc_code: str, dm0: Any, dms: Any, relativity: int = 0, hermi: int = 0,
        rho0: Any = None, vxc: Any = None, fxc: Any = None, max_memory: float = 2000, verbose: Any = None,
    ) -> np.ndarray:  # fmt: skip
        """Return the response of the spin potentials to spin density matrices `dms`, of the same shape."""
        if self._xc_type(xc_code) != "GGA" or fxc is None or np.iscomplexobj(dms):
            return super().nr_uks_fxc(
                mol, grids, xc_code, dm0, dms, relativity, hermi, rho0, vxc, fxc, max_memory, verbose
            )
        return self._respond(mol, grids, np.asarray(fxc), dms)

    def _respond(self, mol: Any, grids: Any, fxc: np.ndarray, dms: Any) -> np.ndarray:
        """Return the response to matrices, those of the first spin first, of the same shape.

        The shape of `fxc` is (n_spin, 4, n_spin, 4, n_points).
        """
        boxes, shape = self.boxes(mol, grids), np.shape(dms)
        changes = np.reshape(dms, (len(fxc), -1, *shape[-2:]))
        # A density sees the symmetric part of a matrix only.
        changes = 0.5 * (changes + changes.swapaxes(-1, -2))
        matrices = changes.reshape(-1, *changes.shape[-2:])

        def one(box: Box) -> tuple:
            ao = boxes.single(box)
            kernel = fxc[..., box.points] * grids.weights[box.points]
            parts = [lib.take_2d(matrix, box.functions, box.functions) for matrix in matrices]
            rho = np.array([_density(ao, _rounded(part, SMALLEST_FACTOR)) for part in parts])
            rho = rho.reshape(*changes.shape[:2], *rho.shape[1:])
            weighted = _rounded(np.einsum("skxg,sxtyg->tkyg", rho, kernel), SMALLEST_FACTOR)
            return box, [_potential(ao, w) for w in weighted.reshape(-1, *weighted.shape[2:])]

        response = np.zeros(matrices.shape)
        for box, parts in over_boxes(one, boxes):
            for matrix, part in zip(response, parts, strict=True):
                lib.takebak_2d(matrix, part, box.functions, box.functions)
        return (response + response.swapaxes(-1, -2)).reshape(shape)


def _rounded(array: np.ndarray, smallest: float) -> np.ndarray:
    """Return an array in single precision, without its smallest elements."""
    single = array.astype(np.float32)
    single[np.abs(single) < smallest] = 0.0
    return single


def _density(ao: np.ndarray, dm: np.ndarray) -> np.ndarray:
    """Return density and gradient, shape (4, n_points), of a symmetric density matrix."""
    rho = np.einsum("xig,ig->xg", ao, dm @ ao[0])
    rho[1:] *= 2
    return rho


def _potential(ao: np.ndarray, weighted: np.ndarray) -> np.ndarray:
    """Return half the potential matrix; the other half is its transpose."""
    weighted = weighted.copy()
    weighted[0] *= 0.5
    return np.einsum("xig,xg->ig", ao, weighted) @ ao[0].T


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
