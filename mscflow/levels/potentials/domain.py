"""How far each atom is from what a potential was trained on.

The invariant features that a MACE network makes of an atom's surroundings are compared with those of the
training frames: per element, the Mahalanobis distance in the directions in which the training features vary.
A distance beyond that of nearly all training atoms means that the prediction there is an extrapolation; it is
a warning, not an error bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RANK = 24
"""Directions kept per element, those of largest variance."""

FLOOR = 1e-3
"""Smallest standard deviation of a direction, in units of the largest."""

QUANTILE = 0.999
MARGIN = 1.25
"""The limit is this quantile of the training atoms' distances, times a margin."""

MIN_ATOMS = 50
"""An element with fewer training atoms has no domain: all its atoms count as outside."""

NO_DOMAIN = 1e6
"""Relative distance of an atom whose element has no domain: finite, so that JSON can hold it."""


@dataclass(frozen=True)
class ElementDomain:
    """Features of one element in training.

    Parameters
    ----------
    mean
        Mean features, shape (n_features,).
    projection
        Whitening projection, shape (n_features, rank).
    limit
        Distance beyond which an atom is out of domain.
    """

    mean: np.ndarray
    projection: np.ndarray
    limit: float

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return distances of atoms in units of standard deviations, shape (n_atoms,)."""
        white = (features - self.mean) @ self.projection
        return np.sqrt((white**2).mean(axis=1))


@dataclass(frozen=True)
class Domain:
    """Domain of a potential, by element."""

    elements: Mapping[str, ElementDomain]

    @classmethod
    def fit(cls, features: Mapping[str, np.ndarray]) -> Domain:
        """Return the domain of training features, by element, each of shape (n_atoms, n_features)."""
        return cls({s: _fit(found) for s, found in sorted(features.items()) if len(found) >= MIN_ATOMS})

    def relative_distance(self, symbols: Sequence[str], features: np.ndarray) -> np.ndarray:
        """Return each atom's distance over the limit of its element: above 1 is out of domain.

        Parameters
        ----------
        symbols
            Elements.
        features
            Features of the network, shape (n_atoms, n_features).

        Returns
        -------
        ndarray
            Shape (n_atoms,); `NO_DOMAIN` for elements without a domain.
        """
        relative = np.full(len(symbols), NO_DOMAIN)
        names = np.array(symbols)
        for symbol, domain in self.elements.items():
            mine = names == symbol
            relative[mine] = domain.distance(features[mine]) / domain.limit
        return relative

    def save(self, path: Path) -> None:
        """Write the domain as a NumPy archive, without pickles; the file is whole at any time."""
        arrays: dict[str, np.ndarray] = {}
        for symbol, domain in self.elements.items():
            arrays[f"{symbol}.mean"] = domain.mean.astype(np.float32)
            arrays[f"{symbol}.projection"] = domain.projection.astype(np.float32)
            arrays[f"{symbol}.limit"] = np.array(domain.limit)
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Domain:
        """Read a domain written by `save`."""
        with np.load(path, allow_pickle=False) as arrays:
            symbols = sorted({key.split(".")[0] for key in arrays.files})
            return cls(
                {
                    s: ElementDomain(
                        arrays[f"{s}.mean"], arrays[f"{s}.projection"], float(arrays[f"{s}.limit"])
                    )
                    for s in symbols
                }
            )


def domain_file(model: Path) -> Path:
    """Return where the domain of a model file lies."""
    return model.with_suffix(".domain.npz")


def _fit(features: np.ndarray) -> ElementDomain:
    mean = features.mean(axis=0)
    _, spread, directions = np.linalg.svd(features - mean, full_matrices=False)
    deviation = spread[:RANK] / np.sqrt(len(features))
    projection = directions[:RANK].T / np.maximum(deviation, FLOOR * deviation[0])
    domain = ElementDomain(mean, projection, 1.0)
    limit = MARGIN * float(np.quantile(domain.distance(features), QUANTILE))
    return ElementDomain(mean, projection, limit)
