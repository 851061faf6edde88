"""How far each atom is from what a potential was trained on.

The invariant features that a MACE network makes of an atom's surroundings are compared with those of training
atoms of its element: the distance to the nearest of them, in the directions in which the training features
vary most, each in units of its standard deviation. It grows with the error of the forces where the distance
from the mean of all (Mahalanobis) hardly does: what a training shows are many clouds, not one. Beyond the
limit lies one atom in a hundred of trajectories that were left out of the training. It is a warning, not an
error bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from mscflow.whole_file import whole

RANK = 24
"""Directions kept per element, those of largest variance."""

ATOMS_PER_DIRECTION = 20
"""Training atoms that a direction needs at least."""

FLOOR = 1e-3
"""Smallest standard deviation of a direction, in units of the largest."""

N_KNOWN = 2000
"""Training atoms of an element that are kept, drawn at random."""

QUANTILE = 0.99
"""The limit is this quantile of the distances of atoms that were left out."""

MIN_ATOMS = 50
"""An element with fewer training atoms has no domain: all its atoms count as outside. With fewer atoms that
were left out it takes the usual limit of the others."""

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
    known
        Projected features of training atoms, shape (n_known, rank).
    limit
        Distance beyond which an atom is out of domain.
    """

    mean: np.ndarray
    projection: np.ndarray
    known: np.ndarray
    limit: float

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return the distance of each atom from the nearest training atom, shape (n_atoms,)."""
        white = ((features - self.mean) @ self.projection).astype(self.known.dtype)
        nearest = 2 * (self._half_squared - white @ self.known.T).min(axis=1)
        return np.sqrt(np.maximum(nearest + (white**2).sum(axis=1), 0.0))

    @cached_property
    def _half_squared(self) -> np.ndarray:
        return np.asarray((self.known**2).sum(axis=1) / 2)


@dataclass(frozen=True)
class Domain:
    """Domain of a potential, by element."""

    elements: Mapping[str, ElementDomain]

    @classmethod
    def fit(cls, features: Mapping[str, np.ndarray], left_out: Mapping[str, np.ndarray]) -> Domain:
        """Return the domain of features by element, each of shape (n_atoms, n_features).

        Parameters
        ----------
        features
            Those of training atoms.
        left_out
            Those of atoms in trajectories of the same kinds that were left out of the training.
        """
        found = {s: _fit(known) for s, known in sorted(features.items()) if len(known) >= MIN_ATOMS}
        limits = {
            s: float(np.quantile(domain.distance(left_out[s]), QUANTILE))
            for s, domain in found.items()
            if len(left_out.get(s, ())) >= MIN_ATOMS
        }
        usual = float(np.median(list(limits.values() or [_spacing(domain) for domain in found.values()])))
        return cls({s: replace(domain, limit=limits.get(s, usual)) for s, domain in found.items()})

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
        for symbol in set(symbols) & set(self.elements):
            mine, domain = names == symbol, self.elements[symbol]
            relative[mine] = domain.distance(features[mine]) / domain.limit
        return relative

    def save(self, path: Path) -> None:
        """Write the domain as a NumPy archive, without pickles; the file is whole at any time."""
        arrays: dict[str, np.ndarray] = {}
        for symbol, domain in self.elements.items():
            arrays[f"{symbol}.mean"] = domain.mean.astype(np.float32)
            arrays[f"{symbol}.projection"] = domain.projection.astype(np.float32)
            arrays[f"{symbol}.known"] = domain.known.astype(np.float16)
            arrays[f"{symbol}.limit"] = np.array(domain.limit)
        with whole(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Domain:
        """Read a domain written by `save`."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls({key.split(".")[0]: _read(arrays, key.split(".")[0]) for key in sorted(arrays.files)})


def domain_file(model: Path) -> Path:
    """Return where the domain of a model file lies."""
    return model.with_suffix(".domain.npz")


def _read(arrays: Mapping[str, np.ndarray], symbol: str) -> ElementDomain:
    """Return the domain of an element; before 2026-12 it was a distance from the mean, a root mean square."""
    mean, projection, limit = (arrays[f"{symbol}.{name}"] for name in ("mean", "projection", "limit"))
    if f"{symbol}.known" in arrays:
        return ElementDomain(mean, projection, arrays[f"{symbol}.known"].astype(np.float32), float(limit))
    rank = projection.shape[1]
    return ElementDomain(mean, projection, np.zeros((1, rank)), float(limit) * rank**0.5)


def _fit(features: np.ndarray) -> ElementDomain:
    """Return the domain of one element, without a limit."""
    mean = features.mean(axis=0)
    _, spread, directions = np.linalg.svd(features - mean, full_matrices=False)
    rank = min(RANK, len(features) // ATOMS_PER_DIRECTION)
    deviation = spread[:rank] / np.sqrt(len(features))
    projection = directions[:rank].T / np.maximum(deviation, FLOOR * deviation[0])
    drawn = np.random.default_rng(0).permutation(len(features))[:N_KNOWN]
    return ElementDomain(mean, projection, (features[drawn] - mean) @ projection, np.inf)


def _spacing(domain: ElementDomain) -> float:
    """Return the same quantile of the distances of training atoms from each other."""
    _, second = cKDTree(domain.known).query(domain.known, k=2)[0].T
    return float(np.quantile(second, QUANTILE))
