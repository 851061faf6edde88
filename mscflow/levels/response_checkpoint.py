"""An eigensolver that goes on where it was killed: the products it has asked for so far, on disk.

Davidson's method asks for products of one matrix with trial vectors. From the same start it asks for the same
ones in the same order, so that a repeated calculation reads those that are there and computes the others.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mscflow.clock import Clock, out_of_time
from mscflow.optimize.state_file import write_arrays

SAME = 1e-9
"""Largest difference between two trial vectors that are the same; products of others spoil convergence."""


class KeptProducts:
    """A matrix–vector product that keeps what it returned.

    Parameters
    ----------
    product
        Takes trial vectors, shape (n, size), and returns their products.
    directory
        One file per call.
    what
        Names the calculation, where there is no time to go on.
    orbitals
        Coefficients of the orbitals in which the matrix is written: products in others are not read.

    Attributes
    ----------
    n_computed, n_read
        Calls that were computed, and that were read.
    """

    def __init__(
        self, product: Callable[[Any], np.ndarray], directory: Path, what: str, orbitals: np.ndarray
    ) -> None:
        self.product = product
        self.directory = directory
        self.what = what
        self._orbitals = hashlib.sha256(np.ascontiguousarray(orbitals).tobytes()).hexdigest()
        self.n_computed = self.n_read = 0
        self._clock: Clock | None = None

    def __call__(self, vectors: Any) -> np.ndarray:
        """Return the products of trial vectors.

        Raises
        ------
        OutOfTimeError
            If the process will be ended before another product is computed.
        """
        path = self.directory / f"{self.n_read + self.n_computed:04d}.npz"
        vectors = np.asarray(vectors)
        found = _read(path, vectors, self._orbitals)
        if found is not None:
            self.n_read += 1
            return found
        self._clock = self._clock or Clock()
        if self._clock.is_over():
            raise out_of_time(self.what, self.directory)
        products = np.asarray(self.product(vectors))
        write_arrays(path, {"vectors": vectors, "products": products, "orbitals": self._orbitals})
        self.n_computed += 1
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


def _read(path: Path, vectors: np.ndarray, orbitals: str) -> np.ndarray | None:
    """Return the products of a file if it is whole and those of these vectors in these orbitals."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            same = (
                str(archive["orbitals"]) == orbitals
                and archive["vectors"].shape == vectors.shape
                and np.allclose(archive["vectors"], vectors, rtol=0, atol=SAME)
            )
            return np.asarray(archive["products"]) if same else None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
