"""The tables of a MACE model as tensors for given atoms, and what a layer does at one atom at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mscflow.levels.potentials.mace_tables import Layer, Radial, Tables, monomial_slopes, monomials


@dataclass(frozen=True)
class ElementTensors:
    """What a layer's tables say about atoms of one element; see `Layer`.

    Parameters
    ----------
    mixing
        Matrices that mix channels, shape (n_l, C, C).
    constants
        The vectors c twice: for the polynomial and for its derivative, shape (C, 2 n_lm, 1).
    polynomials
        Coefficients, shape (C, 2 n_lm, n_features).
    residual
        Matrix from the features before to those after, or the term itself.
    """

    mixing: Any
    constants: Any
    polynomials: Any
    residual: Any | None


@lru_cache(maxsize=512)
def _of_element(layer: Layer, element: int, dtype: Any, device: Any) -> ElementTensors:
    """Return the tensors of an element, which all molecules share."""

    def tensor(table: np.ndarray) -> Any:
        return _tensor(table[element if len(table) > 1 else 0], dtype, device)

    return ElementTensors(
        mixing=tensor(layer.mixing),
        constants=tensor(layer.linear_terms).repeat(1, 2)[:, :, None],
        polynomials=tensor(layer.polynomials).transpose(1, 2),
        residual=None if layer.residual is None else tensor(layer.residual),
    )


@lru_cache(maxsize=16)
def _of_all(layer: Layer, tolerance: float, dtype: Any, device: Any) -> tuple[Any, Any, list[RadialTensors]]:
    """Return the tensors of a layer that do not depend on elements: update, senders and radial functions."""
    radial = [_radial_tensors(functions, tolerance, dtype, device) for functions in layer.radial]
    return _tensor(layer.update, dtype, device), _tensor(layer.senders, dtype, device), radial


def _tensor(table: np.ndarray, dtype: Any, device: Any) -> Any:
    import torch

    return torch.as_tensor(np.ascontiguousarray(table), dtype=dtype, device=device)


class LayerTensors:
    """A layer's tables as tensors; those that depend on elements belong to ranges of the atoms.

    Parameters
    ----------
    layer
        The tables.
    ranges
        The elements of the molecules, each with the range of its atoms.
    tolerance
        Relative size of the coefficients of radial functions that are left out.
    dtype, device
        Kind and place of the tensors.
    """

    def __init__(
        self, layer: Layer, ranges: list[tuple[int, slice]], tolerance: float, dtype: Any, device: Any
    ) -> None:
        self.update, self.senders, self.radial = _of_all(layer, tolerance, dtype, device)
        found = [(atoms, _of_element(layer, element, dtype, device)) for element, atoms in ranges]
        self.mixing = [(atoms, tables.mixing) for atoms, tables in found]
        if len(layer.mixing) == 1:
            self.mixing = [(slice(0, ranges[-1][1].stop), found[0][1].mixing)]
        self.polynomials = [(atoms, tables.constants, tables.polynomials) for atoms, tables in found]
        self.residual = [(atoms, tables.residual) for atoms, tables in found if tables.residual is not None]

    def mix(self, moments: Any, degree: int, back: bool = False) -> Any:
        """Return moments of a degree, shape (n, 2l+1, C), with mixed channels, or the transposed of that."""
        import torch

        mixed = torch.empty_like(moments)
        for atoms, table in self.mixing:
            matrix = table[degree].T if back else table[degree]
            torch.mm(_rows(moments[atoms]), matrix, out=_rows(mixed[atoms]))
        return mixed

    def polynomial(self, x: Any) -> tuple[Any, Any]:
        """Return values, shape (C, n), and derivatives, shape (C, n_lm, n), at moments of that shape."""
        import torch

        n_lm = x.shape[1]
        terms = x.new_empty((x.shape[0], n_lm * (n_lm + 3) // 2, x.shape[2]))
        terms[:, :n_lm] = x
        end = n_lm
        for i in range(n_lm):
            start, end = end, end + n_lm - i
            torch.mul(x[:, i : i + 1], x[:, i:], out=terms[:, start:end])
        found = [torch.baddbmm(c, table, terms[..., atoms]) for atoms, c, table in self.polynomials]
        vectors = torch.cat(found, dim=2)
        return (x * vectors[:, :n_lm]).sum(dim=1), vectors[:, n_lm:]

    def update_features(self, value: Any, features: Any) -> Any:
        """Return the features after the layer, shape (n, C)."""
        new = value.T @ self.update
        for atoms, table in self.residual:
            new[atoms] += table if features is None else features[atoms] @ table
        return new

    def pass_back(self, gradient: Any) -> Any:
        """Return the gradient with respect to the features before from that to those after the layer."""
        import torch

        passed = torch.zeros_like(gradient)
        for atoms, table in self.residual:
            torch.mm(gradient[atoms], table.T, out=passed[atoms])
        return passed


@dataclass(frozen=True)
class RadialTensors:
    """Radial functions of near or of far pairs: the terms that are not too small; see `Radial`."""

    shortest: float
    longest: float
    values: Any
    slopes: Any

    @property
    def n_terms(self) -> int:
        """Number of terms."""
        return len(self.values)

    def scaled(self, length: Any) -> Any:
        """Return distances as arguments of the series."""
        x = (2 * length - (self.longest + self.shortest)) / (self.longest - self.shortest)
        return x.clamp(-1.0, 1.0)


def _radial_tensors(radial: Radial, tolerance: float, dtype: Any, device: Any) -> RadialTensors:
    """Return radial functions without terms of less than a part of the largest."""
    size = np.abs(radial.values).max(axis=1)
    n = int(np.flatnonzero(size > tolerance * size.max())[-1]) + 1
    values, slopes = (_tensor(table[:n], dtype, device) for table in (radial.values, radial.slopes))
    return RadialTensors(radial.shortest, radial.longest, values, slopes)


def _rows(values: Any) -> Any:
    return values.view(-1, values.shape[-1])


class Harmonics:
    """Spherical harmonics as polynomials of the unit vector.

    Parameters
    ----------
    coefficients
        In monomials, shape (n_monomials, n_lm).
    dtype, device
        Kind and place of the tensors.
    """

    def __init__(self, coefficients: np.ndarray, dtype: Any, device: Any) -> None:
        self.n_degrees = int(np.sqrt(coefficients.shape[1]) + 0.5)
        self.coefficients = _tensor(coefficients, dtype, device)
        slopes = np.concatenate(monomial_slopes(self.n_degrees)) @ coefficients
        self.slopes = _tensor(slopes.T, dtype, device)
        self.factors = np.array(monomials(self.n_degrees), dtype=int).reshape(-1, 2)

    def __call__(self, unit: Any) -> tuple[Any, Any]:
        """Return the monomials and the harmonics, shape (n, n_monomials) and (n, n_lm)."""
        import torch

        columns = [torch.ones_like(unit[:, 0]), *unit.unbind(-1)]
        for i, j in self.factors:
            columns.append(columns[i] * columns[j])
        stacked = torch.stack(columns, dim=-1)
        return stacked, stacked @ self.coefficients

    def pull_back(self, columns: Any, gradient: Any) -> Any:
        """Return the gradient with respect to the unit vector from that with respect to the harmonics."""
        weights = gradient @ self.slopes
        return (weights.view(len(columns), 3, columns.shape[1]) * columns[:, None]).sum(dim=-1)


@lru_cache(maxsize=16)
def harmonics(tables: Tables, dtype: Any, device: Any) -> Harmonics:
    """Return the spherical harmonics of a model."""
    return Harmonics(tables.harmonics, dtype, device)
