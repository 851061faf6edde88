"""Energy and forces of MACE models with scalar features, many times faster than through mace-torch.

Same model, same numbers: the tables of `mscflow.levels.potentials.mace_tables` are evaluated with batched
matrix products on a grid of atoms × neighbours, and the derivative is written out by hand, so that nothing is
recorded for it, and nothing computed for stress, virials or periodic cells. Radial functions are Chebyshev
series.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from mscflow.levels.potentials.mace_tables import SHORTEST, Layer, Tables, monomial_slopes, monomials
from mscflow.levels.potentials.neighbours import NeighbourGrid, neighbour_grid

SKIN = 0.4
"""Length by which pairs exceed the cutoff / Å."""

TOLERANCES = {"float32": 1e-7, "float64": 1e-12}
"""Relative size of the coefficients of radial functions that are left out."""


class LeanMACE:
    """Energies and forces of one or more molecules of fixed elements.

    Parameters
    ----------
    model
        mace-torch's model in double precision.
    found
        Its tables.
    numbers
        Atomic numbers of each molecule.
    dtype
        ``"float32"`` or ``"float64"``; the energies of isolated atoms are added in double precision.
    """

    def __init__(self, model: Any, found: Tables, numbers: list[np.ndarray], dtype: str) -> None:
        import torch

        self.sizes = [len(z) for z in numbers]
        known = {int(z): n for n, z in enumerate(found.atomic_numbers)}
        elements = np.array([known[int(z)] for z in np.concatenate(numbers)])
        molecule = np.repeat(np.arange(len(numbers)), self.sizes)
        self._order = np.argsort(elements, kind="stable")  # atoms of one element lie together inside
        self._molecule = molecule[self._order]
        elements = elements[self._order]
        self._elements = elements
        self._numbers = found.atomic_numbers[elements]
        self._isolated = np.bincount(molecule, found.atomic_energies[elements[np.argsort(self._order)]])
        self._tables = found
        self._model = model
        self._device, self._dtype = model.atomic_numbers.device, getattr(torch, dtype)
        self._layers = [
            _LayerTensors(layer, elements, TOLERANCES[dtype], self._tensor) for layer in found.layers
        ]
        self._harmonics = _Harmonics(found.harmonics, self._tensor)
        self._orders = self._tensor(np.arange(max(layer.n_terms for layer in self._layers)))
        self._grid: NeighbourGrid | None = None
        self._evaluated_at: np.ndarray | None = None
        self._features: list[Any] = []

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return energies / eV, shape (n_molecules,), and forces / eV/Å, shape (n_atoms, 3).

        Parameters
        ----------
        positions
            Coordinates of the molecules one after the other / Å, shape (n_atoms, 3).
        """
        import torch

        ordered = positions[self._order]
        with torch.inference_mode():
            if self._grid is None or not self._grid.is_valid(ordered):
                self.list_neighbours(positions)
            atomic, gradient, self._features = self._evaluate(self._tensor(ordered))
            self._evaluated_at = positions.copy()
            atomic, gradient = (part.double().cpu().numpy().copy() for part in (atomic, gradient))
        self._add_repulsion(ordered, atomic, gradient)
        energies = self._isolated + np.bincount(self._molecule, atomic, minlength=len(self.sizes))
        forces = np.empty_like(positions, dtype=float)
        forces[self._order] = -gradient
        return energies, forces

    def features(self, positions: np.ndarray) -> np.ndarray:
        """Return the scalar features of all layers, shape (n_atoms, n_features), as mace-torch does.

        Those of the last evaluation are still there.
        """
        if self._evaluated_at is None or not np.array_equal(self._evaluated_at, positions):
            self(positions)
        found = np.concatenate([layer.cpu().numpy() for layer in self._features], axis=1)
        return np.asarray(found[np.argsort(self._order)])

    def _tensor(self, array: np.ndarray) -> Any:
        import torch

        return torch.as_tensor(np.ascontiguousarray(array), dtype=self._dtype, device=self._device)

    @property
    def anchor(self) -> np.ndarray | None:
        """Coordinates for which the neighbours were listed / Å; None before the first call."""
        return None if self._grid is None else self._grid.positions[np.argsort(self._order)]

    def list_neighbours(self, positions: np.ndarray) -> None:
        """List the neighbours within the cutoff and a skin."""
        import torch

        def index(array: np.ndarray) -> Any:
            return torch.as_tensor(np.ascontiguousarray(array), device=self._device)

        self._grid = grid = neighbour_grid(positions[self._order], self._tables.r_max, SKIN, self._molecule)
        self._first, self._second = index(grid.pairs[:, 0]), index(grid.pairs[:, 1])
        if self._tables.repulsion is not None:
            i, j = grid.pairs.T
            reach = self._tables.repulsion.reach(self._numbers[i], self._numbers[j]) + SKIN
            near = np.linalg.norm(grid.positions[i] - grid.positions[j], axis=1) < reach
            self._close = grid.pairs[near]
        self._shape = grid.neighbour.shape
        self._slots = index(grid.slots[:, 0]), index(grid.slots[:, 1])
        self._pair, self._neighbour = index(grid.pair.reshape(-1)), index(grid.neighbour.reshape(-1))
        at_second = np.zeros((grid.pair.size, 1))
        at_second[grid.slots[:, 1]] = 1.0
        self._sign = self._tensor(1.0 - 2.0 * at_second)
        self._first_senders = self._layers[0].senders.index_select(0, index(self._elements)[self._neighbour])

    def _add_repulsion(self, positions: np.ndarray, atomic: np.ndarray, gradient: np.ndarray) -> None:
        """Add the repulsion of close pairs to atomic energies / eV and to the gradient / eV/Å."""
        repulsion = self._tables.repulsion
        if repulsion is None:
            return
        i, j = self._close.T
        vector = positions[i] - positions[j]
        distance = np.linalg.norm(vector, axis=1)
        energy, slope = repulsion(distance, self._numbers[i], self._numbers[j])
        pull = (slope / distance)[:, None] * vector
        for atoms, sign in ((i, 1), (j, -1)):
            np.add.at(atomic, atoms, 0.5 * energy)
            np.add.at(gradient, atoms, sign * pull)

    def _evaluate(self, positions: Any) -> tuple[Any, Any, list[Any]]:
        """Return atomic energies without those of isolated atoms / eV, the gradient / eV/Å, and features."""
        import torch

        n, d = self._shape
        vector = positions.index_select(0, self._first) - positions.index_select(0, self._second)
        length = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
        unit = vector / length
        columns, harmonics = self._harmonics(unit)
        y = [
            (self._on_grid(part) * self._sign if degree % 2 else self._on_grid(part)).view(n, d, -1)
            for degree, part in enumerate(harmonics)
        ]
        chebyshev = self._chebyshev(length)
        atomic: Any = 0.0
        features, all_features, direct, kept = None, [], [], []
        for number, layer in enumerate(self._layers):
            if features is None:
                sent = self._first_senders.view(n, d, -1)
            else:
                sent = (features @ layer.senders).index_select(0, self._neighbour).view(n, d, -1)
            basis = chebyshev[:, : layer.n_terms]
            radial = [self._on_grid(basis @ table).view(n, d, -1) for table in layer.radial]
            moments = [
                torch.bmm(part.transpose(1, 2), r * sent) @ mixing
                for part, r, mixing in zip(y, radial, layer.mixing, strict=True)
            ]
            value, slope = layer.polynomial(torch.cat(moments, dim=1).permute(2, 0, 1))
            features = layer.update_features(value, features)
            all_features.append(features)
            kept.append((sent, radial, slope))
            readout, gradient = self._read(number, features)
            atomic = atomic + readout
            direct.append(gradient)
        along: Any = 0.0
        across: list[Any] = [0.0] * len(y)
        passed: Any = 0.0
        for layer, (sent, radial, slope), gradient in zip(
            self._layers[::-1], kept[::-1], direct[::-1], strict=True
        ):
            total = gradient + passed
            to_polynomial = (total @ layer.update.T).T
            to_moments = (slope * to_polynomial[:, :, None]).permute(1, 2, 0).contiguous()
            basis = chebyshev[:, : layer.n_terms]
            to_sent: Any = 0.0
            for degree, part in enumerate(y):
                components = slice(degree**2, (degree + 1) ** 2)
                of_degree = to_moments[:, components] @ layer.mixing[degree].transpose(-1, -2)
                weight = torch.bmm(part, of_degree)
                to_part = torch.bmm(radial[degree] * sent, of_degree.transpose(1, 2))
                across[degree] = across[degree] + self._on_pairs(to_part, -1 if degree % 2 else 1)
                along = along + (self._on_pairs(weight * sent) * (basis @ layer.radial_slope[degree])).sum(
                    dim=1
                )
                if layer is not self._layers[0]:
                    to_sent = to_sent + weight * radial[degree]
            if layer is not self._layers[0]:
                passed = self._received(to_sent) @ layer.senders.T
                if layer.residual is not None:
                    passed = passed + torch.bmm(layer.residual, total[:, :, None])[:, :, 0]
        turn = self._harmonics.pull_back(columns, torch.cat(across, dim=-1))
        turn = (turn - unit * (turn * unit).sum(dim=-1, keepdim=True)) / length
        pair = along[:, None] * unit + turn
        gradient = torch.zeros_like(positions)
        gradient.index_add_(0, self._first, pair).index_add_(0, self._second, pair, alpha=-1)
        return atomic, gradient, all_features

    def _on_grid(self, values: Any) -> Any:
        """Return values of pairs, shape (n_pairs, k), in their slots, shape (n × d, k); zero elsewhere."""
        import torch

        return torch.cat([values, values.new_zeros((1, values.shape[1]))]).index_select(0, self._pair)

    def _on_pairs(self, values: Any, parity: int = 1) -> Any:
        """Return the sum of the values in the two slots of each pair, the second times `parity`."""
        flat = values.view(-1, values.shape[-1])
        first, second = (flat.index_select(0, slots) for slots in self._slots)
        return first + second if parity == 1 else first - second

    def _received(self, values: Any) -> Any:
        """Return the sum of what the atoms' neighbours hold for them, shape (n, C)."""
        flat = values.view(-1, values.shape[-1])
        total = flat.new_zeros((len(values), flat.shape[1]))
        return total.index_add_(0, self._neighbour, flat)

    def _chebyshev(self, length: Any) -> Any:
        """Return Chebyshev polynomials of the distances, zero beyond the cutoff."""
        import torch

        r_max = self._tables.r_max
        x = (2 * length - (r_max + SHORTEST)) / (r_max - SHORTEST)
        return torch.cos(self._orders * torch.arccos(x.clamp(-1.0, 1.0))) * (length < r_max)

    def _read(self, n_layer: int, features: Any) -> tuple[Any, Any]:
        """Return the readout of a layer and its gradient; it is small enough for double precision."""
        import torch

        with torch.inference_mode(False), torch.enable_grad():
            inputs = features.to(dtype=torch.float64, copy=True).requires_grad_()
            atomic = self._model.readouts[n_layer](inputs)[:, 0] * self._tables.scale
            (gradient,) = torch.autograd.grad(atomic.sum(), inputs)
        if n_layer == 0:
            atomic = atomic + self._tables.shift
        return atomic.detach(), gradient.to(self._dtype)


class _LayerTensors:
    """A layer's tables as tensors, those that depend on elements spread over the atoms."""

    def __init__(self, layer: Layer, elements: np.ndarray, tolerance: float, tensor: Any) -> None:
        import torch

        self.senders, self.update = tensor(layer.senders), tensor(layer.update)
        size = np.abs(layer.radial).max(axis=(0, 2))
        self.n_terms = int(np.flatnonzero(size > tolerance * size.max())[-1]) + 1
        self.radial = [tensor(series[: self.n_terms]) for series in layer.radial]
        self.radial_slope = [tensor(series[: self.n_terms]) for series in layer.radial_slope]
        kinds, first, count = np.unique(elements, return_index=True, return_counts=True)

        def by_kind(name: str) -> list[Any]:
            """Return a table's parts for the elements of the molecule, which all molecules share."""
            return [_of_element(layer, name, int(e), self.update.dtype, self.update.device) for e in kinds]

        kind_of_atom = torch.as_tensor(np.repeat(np.arange(len(kinds)), count), device=self.update.device)
        if len(layer.mixing) == 1:
            self.mixing = [tensor(of_degree) for of_degree in layer.mixing[0]]
        else:
            self.mixing = [
                of_degree.index_select(0, kind_of_atom)
                for of_degree in torch.stack(by_kind("mixing")).unbind(1)
            ]
        self.linear_terms = torch.stack(by_kind("linear_terms"), dim=1).index_select(1, kind_of_atom)
        self.polynomials = [
            (slice(int(start), int(start + n)), table)
            for start, n, table in zip(first, count, by_kind("polynomials"), strict=True)
        ]
        self.residual = None
        if layer.residual is not None:
            self.residual = torch.stack(by_kind("residual")).index_select(0, kind_of_atom)
        n_lm = layer.linear_terms.shape[-1]
        i, j = np.triu_indices(n_lm)
        self.pairs = tensor(i).long(), tensor(j).long()

    def polynomial(self, x: Any) -> tuple[Any, Any]:
        """Return values, shape (C, n), and derivatives, shape (C, n, n_lm), at moments of that shape."""
        import torch

        x = x.contiguous()
        i, j = self.pairs
        terms = torch.cat([x, x.index_select(-1, i) * x.index_select(-1, j)], dim=-1)
        vectors = torch.cat([torch.bmm(terms[:, atoms], table) for atoms, table in self.polynomials], dim=1)
        n_lm = x.shape[-1]
        value = (x * (self.linear_terms + vectors[..., :n_lm])).sum(dim=-1)
        return value, self.linear_terms + vectors[..., n_lm:]

    def update_features(self, value: Any, features: Any) -> Any:
        """Return the features after the layer."""
        import torch

        new = value.T @ self.update
        if self.residual is None:
            return new
        if features is None:
            return new + self.residual
        return new + torch.bmm(features[:, None], self.residual)[:, 0]


@lru_cache(maxsize=512)
def _of_element(layer: Layer, name: str, element: int, dtype: Any, device: Any) -> Any:
    """Return an element's part of a table as a tensor."""
    import torch

    return torch.as_tensor(np.ascontiguousarray(getattr(layer, name)[element]), dtype=dtype, device=device)


class _Harmonics:
    """Spherical harmonics as polynomials of the unit vector."""

    def __init__(self, coefficients: np.ndarray, tensor: Any) -> None:
        self.n_degrees = int(np.sqrt(coefficients.shape[1]) + 0.5)
        self.coefficients = tensor(coefficients)
        self.slopes = tensor(np.concatenate(monomial_slopes(self.n_degrees)) @ coefficients).T.contiguous()
        pairs = np.array(monomials(self.n_degrees), dtype=int).reshape(-1, 2)
        self.factors = pairs

    def __call__(self, unit: Any) -> tuple[Any, list[Any]]:
        """Return the monomials and the harmonics of each degree."""
        import torch

        columns = [torch.ones_like(unit[..., 0]), *unit.unbind(-1)]
        for i, j in self.factors:
            columns.append(columns[i] * columns[j])
        stacked = torch.stack(columns, dim=-1)
        y = stacked @ self.coefficients
        return stacked, [y[..., n * n : (n + 1) ** 2] for n in range(self.n_degrees)]

    def pull_back(self, columns: Any, gradient: Any) -> Any:
        """Return the gradient with respect to the unit vector from that with respect to the harmonics."""
        n = columns.shape[-1]
        weights = gradient @ self.slopes
        return (weights.view(*weights.shape[:-1], 3, n) * columns[..., None, :]).sum(dim=-1)
