"""An eigensolver that goes on where it was killed: the products it has asked for so far, on disk.

Davidson's method asks for products of one matrix with trial vectors. From the same start it asks for the same
ones, up to rotations among degenerate states: rounding decides on these, differently each time. Products are
linear, so those of any combination of the vectors on disk are known.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mscflow.clock import Clock, out_of_time
from mscflow.optimize.state_file import UNREADABLE, write_arrays

SAME = 1e-9
"""Largest element of a trial vector outside the space of those on disk, for its product to be read; a larger
one would spoil convergence."""

DEPENDENT = 1e-8
"""Directions in which the vectors on disk have a smaller share (of the squared norm) are left out: errors of
products would grow there."""


class KeptProducts:
    """A matrix–vector product that keeps what it returned.

    Parameters
    ----------
    product
        Takes trial vectors, shape (n, size), and returns their products.
    directory
        One file per call.
    what
        Names the calculation.
    orbitals
        Coefficients of the orbitals in which the matrix is written: products in others, and of other
        calculations, are not read.

    Attributes
    ----------
    n_computed, n_read
        Products that were computed, and that followed from those read.
    """

    def __init__(
        self, product: Callable[[Any], np.ndarray], directory: Path, what: str, orbitals: np.ndarray
    ) -> None:
        self.product = product
        self.directory = directory
        self.what = what
        self.n_computed = self.n_read = 0
        self._key = hashlib.sha256(what.encode() + np.ascontiguousarray(orbitals).tobytes()).hexdigest()
        self._n_files = len(_files(directory))
        self._known: tuple[np.ndarray, np.ndarray] | None = None
        self._clock: Clock | None = None

    def __call__(self, vectors: Any) -> np.ndarray:
        """Return the products of trial vectors.

        Raises
        ------
        OutOfTimeError
            If the process will be ended before another product is computed.
        """
        vectors = np.asarray(vectors)
        if self._known is None:
            self._known = _read(self.directory, self._key, vectors.shape[1])
        basis, basis_products = self._known
        shares = vectors @ basis.T
        products = shares @ basis_products
        new = np.abs(vectors - shares @ basis).max(axis=1) > SAME
        self.n_read += int((~new).sum())
        if new.any():
            products[new] = self._computed(vectors[new])
        return products

    def _computed(self, vectors: np.ndarray) -> np.ndarray:
        """Compute products and write them to the next file."""
        self._clock = self._clock or Clock()
        if self._clock.is_over():
            raise out_of_time(self.what, self.directory)
        products = np.asarray(self.product(vectors))
        path = self.directory / f"{self._n_files:04d}.npz"
        write_arrays(path, {"vectors": vectors, "products": products, "key": self._key})
        self._n_files += 1
        self.n_computed += len(vectors)
        return products


def keep_products(solver: Any, directory: Path, what: str) -> None:
    """Let PySCF's solver of excited states keep its products in a directory, and read those it finds."""
    make = solver.gen_vind

    def kept(*arguments: Any) -> tuple[KeptProducts, np.ndarray]:
        product, diagonal = make(*arguments)
        return KeptProducts(product, directory, what, solver._scf.mo_coeff), diagonal

    solver.gen_vind = kept


def forget_products(directory: Path) -> None:
    """Delete what was kept."""
    shutil.rmtree(directory, ignore_errors=True)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("[0-9]*.npz"))


def _read(directory: Path, key: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis of the vectors in the files of a calculation, and its products."""
    vectors, products = [np.empty((0, size))], [np.empty((0, size))]
    for path in _files(directory):
        try:
            with np.load(path, allow_pickle=False) as archive:
                if str(archive["key"]) == key:
                    vectors.append(archive["vectors"])
                    products.append(archive["products"])
        except UNREADABLE:
            continue
    found = np.concatenate(vectors)
    weights, rotation = np.linalg.eigh(found @ found.T)
    inside = weights > DEPENDENT * weights.max(initial=0.0)
    to_basis = (rotation[:, inside] / np.sqrt(weights[inside])).T
    return to_basis @ found, to_basis @ np.concatenate(products)
