"""Layers of MACE networks with scalar features as matrix products, for mace-torch's training.

mace-torch's general layers hold the products of all channels and spherical harmonics of every edge, a matrix
of channels for every atom, and all that their second derivatives need. Where features are scalars
(``max_L = 0``) the sum over the neighbours of an atom is one matrix product, a radial function is the same
from both ends, atoms of one element share their matrices, and what the moments of an atom are contracted to
is a polynomial of them. `install` puts these in place of the functions of mace-torch's classes, in the
process that trains. Parameters, gradients and the saved model stay mace-torch's own; networks of another kind
are trained by its own functions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

HIGHEST_ORDER = 3
"""Highest order of the polynomials."""

N_GRIDS = 3
"""Grids for the atoms of a batch, by their number of neighbours: an empty slot costs as much as any other."""


def install() -> None:
    """Let mace-torch's classes use these functions from now on, in this process."""
    from mace.modules.blocks import RealAgnosticInteractionBlock, RealAgnosticResidualInteractionBlock
    from mace.modules.symmetric_contraction import Contraction

    for block in (RealAgnosticInteractionBlock, RealAgnosticResidualInteractionBlock):
        block.forward = _interaction(block.forward)
    Contraction.forward = _contraction(Contraction.forward)


def _interaction(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces the function of an interaction block."""

    @wraps(original)
    def forward(
        block: Any,
        node_attrs: Tensor,
        node_feats: Tensor,
        edge_attrs: Tensor,
        edge_feats: Tensor,
        edge_index: Tensor,
        **more: Any,
    ) -> tuple[Tensor, Tensor | None]:
        special = more.get("cutoff") is not None or more.get("lammps_class") is not None
        grid = None if special or not _has_scalars_only(block) else _grid(edge_index, len(node_feats))
        if grid is None:
            return original(block, node_attrs, node_feats, edge_attrs, edge_feats, edge_index, **more)
        elements = _elements(node_attrs)
        radial = block.conv_tp_weights(edge_feats.index_select(0, grid.edge_of_pair))
        moments = grid.moments(block.linear_up(node_feats), edge_attrs, radial, _constants(block.conv_tp))
        mixing = [matrix / block.avg_num_neighbors for matrix in _matrices(block.linear)]
        if _is_residual(block):
            mixed = [of_degree @ matrix for of_degree, matrix in zip(moments, mixing, strict=True)]
            (of_elements,) = _matrices(block.skip_tp)
            skipped = elements.mixed(node_feats, of_elements)
        else:
            mixed = [
                elements.mixed(of_degree, torch.einsum("ij,jek->iek", matrix, of_elements))
                for of_degree, matrix, of_elements in zip(
                    moments, mixing, _matrices(block.skip_tp), strict=True
                )
            ]
            skipped = None
        return torch.cat(mixed, dim=1).transpose(1, 2), skipped

    return forward


def _has_scalars_only(block: Any) -> bool:
    """Return whether a block's features are scalars, and its harmonics those of all degrees from zero on."""
    sent, harmonics = block.conv_tp.irreps_in1, block.conv_tp.irreps_in2
    skipped = block.skip_tp.irreps_out if _is_residual(block) else sent
    scalars = all(str(features.simplify()) == f"{features.dim}x0e" for features in (sent, skipped))
    return scalars and list(harmonics.ls) == list(range(harmonics.lmax + 1))


def _is_residual(block: Any) -> bool:
    """Return whether a block's features skip its product; in the others the moments are mixed twice."""
    return type(block).__name__ == "RealAgnosticResidualInteractionBlock"


def _matrices(module: Any) -> list[Tensor]:
    """Return the matrices of an e3nn module that mixes channels, one for each degree.

    Returns
    -------
    list of Tensor
        Of shape (C, C), or (C, n_elements, C) where they depend on the element.
    """
    constants = _constants(module)
    return [module.weight_view_for_instruction(n) * constant for n, constant in enumerate(constants)]


def _constants(module: Any) -> list[float]:
    """Return the constants by which an e3nn module multiplies what goes into each degree."""
    is_product = hasattr(module, "irreps_in2")
    return [
        path.path_weight / (sqrt(2 * degree + 1) if is_product else 1.0)
        for degree, path in enumerate(module.instructions)
    ]


def _contraction(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces the function of a symmetric contraction."""

    @wraps(original)
    def forward(contraction: Any, x: Tensor, y: Tensor) -> Tensor:
        to_scalars = contraction.U_tensors(1).dim() == 2  # components, paths
        if contraction.correlation > HIGHEST_ORDER or not to_scalars:
            return original(contraction, x, y)
        return _polynomial(contraction, x, _elements(y))

    return forward


def _polynomial(contraction: Any, x: Tensor, elements: _Elements) -> Tensor:
    """Return the polynomials of moments `x`, shape (n_atoms, C, n_lm), that are their contractions."""
    n_channels, n_lm = x.shape[1:]
    x = elements.sorted.spread(x).transpose(0, 1).contiguous()
    weights = [contraction.weights_max, *contraction.weights][::-1]
    tables = [contraction.U_tensors(n + 1) for n in range(len(weights))]
    first, second = torch.triu_indices(n_lm, n_lm, device=x.device)
    if len(tables) > 2:  # of products, half are the same
        other = torch.where((first == second)[:, None, None], 0.0, tables[2][second, first])
        tables[2] = tables[2][first, second] + other
    one = torch.eye(n_lm, dtype=x.dtype, device=x.device)
    found = []
    for element, part in elements.parts(x, dim=1):
        of_element = [
            (weight[element].T @ table.flatten(0, -2).T).view(n_channels, -1, n_lm)
            for table, weight in zip(tables, weights, strict=True)
        ]
        factor = of_element[0]
        if len(of_element) > 1:
            factor = factor + torch.bmm(part, of_element[1])
        if len(of_element) > 2:
            pairs = (part @ one[:, first]) * (part @ one[:, second])
            factor = factor + torch.bmm(pairs, of_element[2])
        found.append((part * factor).sum(dim=-1))
    return elements.back.spread(torch.cat(found, dim=1).T)


class _Slots:
    """Where the rows of an array are needed, and back.

    Parameters
    ----------
    row_of_slot
        Row that each slot holds; any row where the slot is empty, and what is there then must not count.
    slots_of_row
        Slots of each row, as many arrays as each row has slots.
    """

    def __init__(self, row_of_slot: Tensor, *slots_of_row: Tensor) -> None:
        self.row_of_slot, self.slots_of_row = row_of_slot, slots_of_row

    def spread(self, rows: Tensor) -> Tensor:
        """Return what the slots hold. No derivative of any order adds up scattered values."""
        return _Spread.apply(rows, self)  # type: ignore[no-any-return]


class _Spread(Function):
    """From rows to slots; its derivative is `_Collect`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, slots: _Slots) -> Tensor:
        ctx.slots = slots
        return rows.index_select(0, slots.row_of_slot)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Collect.apply(gradient, ctx.slots), None


class _Collect(Function):
    """From slots to sums in the rows; its derivative is `_Spread`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, slots: _Slots) -> Tensor:
        ctx.slots = slots
        first, *others = slots.slots_of_row
        total = values.index_select(0, first)
        for other in others:
            total += values.index_select(0, other)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(gradient, ctx.slots), None


class _Elements:
    """The atoms of a batch by element.

    Parameters
    ----------
    node_attrs
        Elements, one-hot, shape (n_atoms, n_elements).
    """

    def __init__(self, node_attrs: Tensor) -> None:
        element = node_attrs.argmax(dim=1)
        order = element.argsort(stable=True)
        back = _inverse(order)
        self.sorted, self.back = _Slots(order, back), _Slots(back, order)
        counts = torch.bincount(element).tolist()
        self.present = [e for e, count in enumerate(counts) if count]
        self.counts = [counts[e] for e in self.present]

    def parts(self, values: Tensor, dim: int = 0) -> list[tuple[int, Tensor]]:
        """Return the elements that are there, each with its part of the values of sorted atoms."""
        return list(zip(self.present, values.split(self.counts, dim=dim), strict=True))

    def mixed(self, values: Tensor, matrices: Tensor) -> Tensor:
        """Return values, shape (n_atoms, ..., C), times matrices of elements, shape (C, n_elements, C)."""
        parts = self.parts(self.sorted.spread(values))
        return self.back.spread(torch.cat([part @ matrices[:, element] for element, part in parts]))


class _Grid:
    """The neighbours of the atoms of a batch, on grids of atoms × slots.

    Parameters
    ----------
    edge_index
        Senders and receivers, shape (2, n_edges), every pair once in both directions.
    n_atoms
        Number of atoms.
    pair
        Number of the pair of each edge.
    """

    def __init__(self, edge_index: Tensor, n_atoms: int, pair: Tensor) -> None:
        sender, receiver = edge_index
        edges = torch.arange(len(sender), device=sender.device)
        counts = torch.bincount(receiver, minlength=n_atoms)
        atoms = counts.argsort(stable=True)
        counts = counts[atoms]
        row = _inverse(atoms)
        row_of_edge = row[receiver]
        by_row = row_of_edge.argsort(stable=True)
        number = torch.empty_like(edges)  # of an edge among those of its receiver
        number[by_row] = edges - (counts.cumsum(0) - counts)[row_of_edge[by_row]]
        parts = [part for part in counts.tensor_split(N_GRIDS) if len(part)]
        self.shapes = [(len(part), int(part[-1])) for part in parts]
        width = torch.cat([torch.full_like(part, int(part[-1])) for part in parts])
        slot = (width.cumsum(0) - width)[row_of_edge] + number
        self.is_full = torch.zeros((int(width.sum()), 1), dtype=torch.bool, device=sender.device)
        self.is_full[slot] = True
        edge_of_slot = torch.zeros(len(self.is_full), dtype=torch.long, device=sender.device)
        edge_of_slot[slot] = edges
        there, back = pair.argsort(stable=True).view(-1, 2).T
        self.edge_of_pair = there
        self.edges = _Slots(edge_of_slot, slot)
        self.pairs = _Slots(pair[edge_of_slot], slot[there], slot[back])
        self.senders = sender[edge_of_slot]
        self.atoms = _Slots(row, atoms)

    def moments(
        self, sent: Tensor, harmonics: Tensor, radial: Tensor, constants: list[float]
    ) -> list[Tensor]:
        """Return the sums over neighbours for each degree l, shape (n_atoms, 2 l + 1, C).

        Parameters
        ----------
        sent
            What atoms send, shape (n_atoms, C).
        harmonics
            Spherical harmonics of the edges, shape (n_edges, n_lm).
        radial
            Radial functions of the pairs, shape (n_pairs, n_degrees × C).
        constants
            Factor of each degree.
        """
        y = self.edges.spread(harmonics) * self.is_full
        sent_to = sent.index_select(0, self.senders)
        sizes = [n * d for n, d in self.shapes]
        found = []
        for degree, of_degree in enumerate(radial.split(sent.shape[1], dim=1)):
            components = (y[:, degree**2 : (degree + 1) ** 2] * constants[degree]).split(sizes)
            messages = (self.pairs.spread(of_degree) * sent_to).split(sizes)
            sums = [
                torch.bmm(one.view(n, d, 2 * degree + 1).transpose(1, 2), other.view(n, d, sent.shape[1]))
                for (n, d), one, other in zip(self.shapes, components, messages, strict=True)
            ]
            found.append(self.atoms.spread(torch.cat(sums)))
        return found


def _inverse(order: Tensor) -> Tensor:
    """Return the inverse of a permutation."""
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(len(order), device=order.device)
    return inverse


_last_grid: list[tuple[Tensor, _Grid | None]] = []
_last_elements: list[tuple[Tensor, _Elements]] = []


def _grid(edge_index: Tensor, n_atoms: int) -> _Grid | None:
    """Return the grid of a batch, which its layers share; None if it is periodic."""
    if not _last_grid or _last_grid[0][0] is not edge_index:
        low, high = edge_index.aminmax(dim=0)
        _, pair, counts = torch.unique(low * n_atoms + high, return_inverse=True, return_counts=True)
        there_and_back = len(counts) > 0 and bool((counts == 2).all())
        _last_grid[:] = [(edge_index, _Grid(edge_index, n_atoms, pair) if there_and_back else None)]
    return _last_grid[0][1]


def _elements(node_attrs: Tensor) -> _Elements:
    """Return the elements of a batch, which its layers share."""
    if not _last_elements or _last_elements[0][0] is not node_attrs:
        _last_elements[:] = [(node_attrs, _Elements(node_attrs))]
    return _last_elements[0][1]
