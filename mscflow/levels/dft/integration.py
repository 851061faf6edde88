"""Exchange-correlation integrals on compact boxes of grid points, as small dense matrix products.

Of a self-consistent field only the first density is integrated in double precision; of the next ones the
change is, in single precision, since the density is linear in the matrix and the matrix in the potential. The
result is that of PySCF's `NumInt` up to the neglect of function values in `mscflow.levels.dft.boxes` and to
`LARGEST_CHANGE`.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyscf import dft, gto, lib

from mscflow.levels.dft.boxes import Box, Boxes, over_boxes, rounded

SMALLEST_FACTOR = 1e-16
"""Smaller elements of what basis functions are multiplied with are zero in single precision."""

LARGEST_CHANGE = 1.0
"""Changes of density matrices, their Frobenius norms summed, until one is integrated in double precision."""


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

    def forget(self) -> None:
        """Forget the boxes and the values stored in them."""
        self._boxes = self._last = None

    def boxes(self, mol: gto.Mole, grids: dft.Grids) -> Boxes:
        """Return the boxes of a grid, made once."""
        if grids.coords is None:
            grids.build(with_non0tab=False, sort_grids=False)
        # The identity of the points tells a rebuilt grid from the one the boxes were made for.
        if self._boxes is None or self._boxes.mol is not mol or self._boxes.coords is not grids.coords:
            self.forget()
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
                parts = [rounded(d, SMALLEST_FACTOR) for d in parts]
            rho = np.array([_density(ao, d) for d in parts], dtype=float)
            if last:
                rho += last.rho[index]
            exc, vxc = self.energy_and_potential(xc_code, rho)
            weighted = weight * vxc
            new = weighted - last.potential[index] if last else weighted
            new = rounded(new, SMALLEST_FACTOR) if is_rough else new
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
            rho = np.array([_density(ao, rounded(part, SMALLEST_FACTOR)) for part in parts])
            rho = rho.reshape(*changes.shape[:2], *rho.shape[1:])
            weighted = rounded(np.einsum("skxg,sxtyg->tkyg", rho, kernel), SMALLEST_FACTOR)
            return box, [_potential(ao, w) for w in weighted.reshape(-1, *weighted.shape[2:])]

        response = np.zeros(matrices.shape)
        for box, parts in over_boxes(one, boxes):
            for matrix, part in zip(response, parts, strict=True):
                lib.takebak_2d(matrix, part, box.functions, box.functions)
        return (response + response.swapaxes(-1, -2)).reshape(shape)


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
