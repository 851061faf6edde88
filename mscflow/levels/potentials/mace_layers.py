"""The tables of a MACE model as tensors for given atoms, and what a layer does at one atom at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mscflow.levels.potentials.mace_tables import Layer, Radial, monomial_slopes, monomials


class LayerTensors:
    """A layer's tables as tensors; those that depend on elements belong to ranges of the atoms.

    Parameters
    ----------
    layer
        The tables.
    elements
        Index of the element of each atom, ascending, shape (n_atoms,).
    tolerance
        Relative size of the coefficients of radial functions that are left out.
    tensor
        Makes a tensor from an array.
    """

    def __init__(self, layer: Layer, elements: np.ndarray, tolerance: float, tensor: Any) -> None:
        self.update = tensor(layer.update)
        self.senders = tensor(layer.senders)
        kind = self.update.dtype, self.update.device
        self.radial = [_radial_tensors(radial, tolerance, *kind) for radial in layer.radial]
        kinds, first, count = np.unique(elements, return_index=True, return_counts=True)
        ranges = [slice(int(start), int(start + n)) for start, n in zip(first, count, strict=True)]

        def by_kind(name: str) -> list[Any]:
            """Return a table's parts for the elements of the molecule, which all molecules share."""
            return [_of_element(layer, name, int(e), *kind) for e in kinds]

        if len(layer.mixing) == 1:
            self.mixing = [(slice(0, len(elements)), tensor(layer.mixing[0]))]
        else:
            self.mixing = list(zip(ranges, by_kind("mixing"), strict=True))
        constants = [c.repeat(1, 2)[:, :, None] for c in by_kind("linear_terms")]
        tables = [table.transpose(1, 2) for table in by_kind("polynomials")]
        self.polynomials = list(zip(ranges, constants, tables, strict=True))
        self.residual: list[tuple[slice, Any]] = []
        if layer.residual is not None:
            self.residual = list(zip(ranges, by_kind("residual"), strict=True))

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


@lru_cache(maxsize=64)
def _radial_tensors(radial: Radial, tolerance: float, dtype: Any, device: Any) -> RadialTensors:
    """Return radial functions without terms of less than a part of the largest."""
    import torch

    size = np.abs(radial.values).max(axis=1)
    n = int(np.flatnonzero(size > tolerance * size.max())[-1]) + 1
    values, slopes = (
        torch.as_tensor(table[:n], dtype=dtype, device=device) for table in (radial.values, radial.slopes)
    )
    return RadialTensors(radial.shortest, radial.longest, values, slopes)


def _rows(values: Any) -> Any:
    return values.view(-1, values.shape[-1])


@lru_cache(maxsize=512)
def _of_element(layer: Layer, name: str, element: int, dtype: Any, device: Any) -> Any:
    """Return an element's part of a table as a tensor."""
    import torch

    return torch.as_tensor(np.ascontiguousarray(getattr(layer, name)[element]), dtype=dtype, device=device)


class Harmonics:
    """Spherical harmonics as polynomials of the unit vector.

    Parameters
    ----------
    coefficients
        In monomials, shape (n_monomials, n_lm).
    tensor
        Makes a tensor from an array.
    """

    def __init__(self, coefficients: np.ndarray, tensor: Any) -> None:
        self.n_degrees = int(np.sqrt(coefficients.shape[1]) + 0.5)
        self.coefficients = tensor(coefficients)
        self.slopes = tensor(np.concatenate(monomial_slopes(self.n_degrees)) @ coefficients).T.contiguous()
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
