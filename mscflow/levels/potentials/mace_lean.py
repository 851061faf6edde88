"""Energy and forces of MACE models with scalar features, many times faster than through mace-torch.

Same model, same numbers: the tables of `mscflow.levels.potentials.mace_tables` are evaluated with batched
matrix products on blocks of atoms × neighbours that fit a processor's cache, and the derivative is written
out by hand, so that nothing is recorded for it, and nothing computed for stress, virials or periodic cells.
Radial functions are Chebyshev series.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from mscflow.levels.potentials.mace_layers import LayerTensors, harmonics
from mscflow.levels.potentials.mace_slots import Slots, Workspace, slots_per_block
from mscflow.levels.potentials.mace_tables import FAR, SKIN, Tables
from mscflow.levels.potentials.neighbours import neighbours

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
        self._numbers = found.atomic_numbers[elements]
        self._isolated = np.bincount(molecule, found.atomic_energies[elements[np.argsort(self._order)]])
        self._tables = found
        self._model = model
        self._device, self._dtype = model.atomic_numbers.device, getattr(torch, dtype)
        ends = [*(np.flatnonzero(np.diff(elements)) + 1).tolist(), len(elements)]
        ranges = [(int(elements[a]), slice(a, b)) for a, b in pairwise([0, *ends])]
        kind = self._dtype, self._device
        self._layers = [LayerTensors(layer, ranges, TOLERANCES[dtype], *kind) for layer in found.layers]
        self._first_sent = self._tensor(found.layers[0].senders[elements])
        self._n_channels = self._first_sent.shape[1]
        self._harmonics = harmonics(found, *kind)
        self._orders = self._tensor(np.arange(max(r.n_terms for layer in self._layers for r in layer.radial)))
        self._workspace = Workspace(self._orders)
        self._slots: Slots | None = None
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
            slots = self._slots
            if slots is None or not slots.listed.are_valid(ordered):
                slots = self._slots = self._list(ordered)
            atomic, gradient, self._features = self._evaluate(self._tensor(ordered), slots)
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
        return None if self._slots is None else self._slots.listed.positions[np.argsort(self._order)]

    def list_neighbours(self, positions: np.ndarray) -> None:
        """List the neighbours within the cutoff and a skin."""
        self._slots = self._list(positions[self._order])

    def _list(self, positions: np.ndarray) -> Slots:
        most = slots_per_block(self._harmonics.n_degrees * self._n_channels, self._orders)
        listed = neighbours(positions, self._tables.r_max, SKIN, self._molecule, FAR + SKIN, most)
        if self._tables.repulsion is not None:
            i, j = listed.pairs.T
            reach = self._tables.repulsion.reach(self._numbers[i], self._numbers[j]) + SKIN
            near = np.linalg.norm(listed.positions[i] - listed.positions[j], axis=1) < reach
            self._close = listed.pairs[near]
        return Slots(listed, self._harmonics.n_degrees, self._workspace, self._tensor)

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

    def _evaluate(self, positions: Any, slots: Slots) -> tuple[Any, Any, list[Any]]:
        """Return atomic energies without those of isolated atoms / eV, the gradient / eV/Å, and features."""
        import torch

        vector = positions.index_select(0, slots.first) - positions.index_select(0, slots.second)
        length = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
        unit = vector / length
        columns, values = self._harmonics(unit)
        seen = slots.seen(values)
        chebyshev = self._chebyshev(length, slots.listed.n_near)
        atomic: Any = 0.0
        features, all_features, direct, kept = None, [], [], []
        for number, layer in enumerate(self._layers):
            sent = self._first_sent if features is None else features @ layer.senders
            radial = self._radial(f"radial {number}", [series.values for series in layer.radial], chebyshev)
            moments = [layer.mix(m, degree) for degree, m in enumerate(slots.moments(sent, radial, seen))]
            value, slope = layer.polynomial(torch.cat(moments, dim=1).permute(2, 1, 0).contiguous())
            features = layer.update_features(value, features)
            all_features.append(features)
            kept.append((sent, radial, slope))
            readout, gradient = self._read(number, features)
            atomic = atomic + readout
            direct.append(gradient)
        along = length.new_zeros(len(seen))
        across = [torch.zeros_like(seen[:, part]) for part in slots.degrees]
        passed: Any = 0.0
        for layer, (sent, radial, slope), gradient in zip(
            self._layers[::-1], kept[::-1], direct[::-1], strict=True
        ):
            total = gradient + passed
            to_x = slope * (total @ layer.update.T).T[:, None]
            to_moments = [
                layer.mix(to_x[:, part].permute(2, 1, 0).contiguous(), degree, back=True)
                for degree, part in enumerate(slots.degrees)
            ]
            slopes = self._radial("slopes", [series.slopes for series in layer.radial], chebyshev)
            to_sent = None if layer is self._layers[0] else torch.zeros_like(sent)
            slots.pull_back(to_moments, sent, radial, slopes, seen, along, across, to_sent)
            if to_sent is not None:
                passed = to_sent @ layer.senders.T + layer.pass_back(total)
        turn = self._harmonics.pull_back(
            columns, slots.on_pairs(torch.cat(across, dim=1), are_harmonics=True)
        )
        turn = (turn - unit * (turn * unit).sum(dim=-1, keepdim=True)) / length
        pair = slots.on_pairs(along)[:, None] * unit + turn
        gradient = torch.zeros_like(positions)
        gradient.index_add_(0, slots.first, pair).index_add_(0, slots.second, pair, alpha=-1)
        return atomic, gradient, all_features

    def _chebyshev(self, length: Any, n_near: int) -> list[Any]:
        """Return Chebyshev polynomials of the distances of near and of far pairs, zero beyond the cutoff."""
        import torch

        found = []
        for number, part in enumerate((length[:n_near], length[n_near:])):
            series = [layer.radial[number] for layer in self._layers]
            orders = self._orders[: max(s.n_terms for s in series)]
            terms = torch.cos(orders * torch.arccos(series[0].scaled(part)))
            found.append(terms * (part < self._tables.r_max) if number else terms)
        return found

    def _radial(self, name: str, tables: list[Any], chebyshev: list[Any]) -> Any:
        """Return the radial functions of each pair, and zeros, shape ((n_pairs + 1)·n_degrees, C).

        Parameters
        ----------
        name
            Of the memory where they are written.
        tables
            Coefficients for near and for far pairs.
        chebyshev
            See `_chebyshev`.
        """
        import torch

        values = self._workspace(name, (1 + sum(map(len, chebyshev)), tables[0].shape[1]))
        end = 0
        for terms, table in zip(chebyshev, tables, strict=True):
            start, end = end, end + len(terms)
            torch.mm(terms[:, : len(table)], table, out=values[start:end])
        values[end] = 0.0
        return values.view(-1, self._n_channels)

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
