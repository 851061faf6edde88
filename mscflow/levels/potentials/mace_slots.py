"""Sums over neighbours, block by block in memory that is used again and again and stays in a cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from mscflow.levels.potentials.neighbours import Block, Neighbours

BLOCK_BYTES = 1 << 21
"""Memory of the radial functions of a block: what is worked on stays in the caches of a processor."""

MARGIN = 1.1
"""How much more memory is taken than this many pairs need: the next ones may be a few more."""


class Workspace:
    """Memory that neighbours listed one after the other share.

    Parameters
    ----------
    like
        A tensor of the kind of all numbers.
    """

    def __init__(self, like: Any) -> None:
        self._like = like
        self._memory: dict[str, Any] = {}

    def __call__(self, name: str, shape: tuple[int, ...]) -> Any:
        """Return a tensor of a shape, with whatever is in its memory."""
        size = int(np.prod(shape))
        if name not in self._memory or len(self._memory[name]) < size:
            self._memory[name] = self._like.new_empty(int(MARGIN * size))
        return self._memory[name][:size].view(shape)


def slots_per_block(width: int, like: Any) -> int:
    """Return how many slots a block may have, each with `width` numbers like those of a tensor."""
    if like.device.type != "cpu":
        return 10**9
    return 1 + BLOCK_BYTES // (width * like.element_size())


class Slots:
    """Listed neighbours as tensors; n atoms, n_degrees degrees of C channels.

    Parameters
    ----------
    listed
        The neighbours.
    n_degrees
        Degrees of spherical harmonics.
    workspace
        Where the work is done.
    tensor
        Makes a tensor from an array.
    """

    def __init__(self, listed: Neighbours, n_degrees: int, workspace: Workspace, tensor: Any) -> None:
        import torch

        device = tensor(np.zeros(1)).device

        def index(array: np.ndarray) -> Any:
            return torch.as_tensor(np.ascontiguousarray(array), device=device)

        self.listed = listed
        self.first, self.second = index(listed.pairs[:, 0]), index(listed.pairs[:, 1])
        self._at_first, self._at_second = index(listed.slots[:, 0]), index(listed.slots[:, 1])
        self._pair, self._neighbour = index(listed.pair), index(listed.neighbour)
        self._atom_of_row, self._row_of_atom = index(listed.atoms), index(np.argsort(listed.atoms))
        self.degrees = [slice(n**2, (n + 1) ** 2) for n in range(n_degrees)]
        is_odd = np.repeat(np.arange(n_degrees) % 2 == 1, 2 * np.arange(n_degrees) + 1)
        is_second = np.zeros(len(listed.pair), dtype=bool)
        is_second[listed.slots[:, 1]] = True
        self._parity = tensor(1.0 - 2.0 * is_odd)
        self._signs = tensor(1.0 - 2.0 * (is_second[:, None] & is_odd))
        rows = n_degrees * listed.pair + np.arange(n_degrees)[:, None]
        self._blocks = [(block, index(rows[:, block.slots].ravel())) for block in listed.blocks]
        self._workspace = workspace

    def seen(self, harmonics: Any) -> Any:
        """Return harmonics as the atom of each slot sees them, shape (n_slots, n_lm), from those of pairs."""
        import torch

        padded = torch.nn.functional.pad(harmonics, (0, 0, 0, 1))
        return padded.index_select(0, self._pair) * self._signs

    def on_pairs(self, values: Any, are_harmonics: bool = False) -> Any:
        """Return the sum of what is in the two slots of each pair; odd harmonics change their sign."""
        first, second = values.index_select(0, self._at_first), values.index_select(0, self._at_second)
        return first + (second * self._parity if are_harmonics else second)

    def moments(self, sent: Any, radial: Any, seen: Any) -> list[Any]:
        """Return the moments of what neighbours send, of each degree, shape (n, 2l+1, C).

        Parameters
        ----------
        sent
            What each atom sends, shape (n, C).
        radial
            Radial functions of each pair, and zeros, shape ((n_pairs + 1)·n_degrees, C).
        seen
            Harmonics in each slot, shape (n_slots, n_lm).
        """
        import torch

        n, n_channels = sent.shape
        found = [sent.new_empty((n, part.stop - part.start, n_channels)) for part in self.degrees]
        for block, radial_rows in self._blocks:
            product, _ = self._products(sent, radial, block, radial_rows)
            y = seen[block.slots].view(*block.shape, -1).transpose(1, 2)
            for moments, part, of_degree in zip(found, self.degrees, product, strict=True):
                torch.bmm(y[:, part], of_degree.view(*block.shape, -1), out=moments[block.rows])
        return [moments.index_select(0, self._row_of_atom) for moments in found]

    def pull_back(
        self,
        to_moments: list[Any],
        sent: Any,
        radial: Any,
        slopes: Any,
        seen: Any,
        along: Any,
        across: list[Any],
        to_sent: Any | None,
    ) -> None:
        """Add the gradients with respect to what the moments were made of.

        Parameters
        ----------
        to_moments
            Gradients with respect to the moments of each degree, shape (n, 2l+1, C).
        sent, radial, seen
            As for `moments`.
        slopes
            Derivatives of the radial functions, in the same shape.
        along
            Where the gradient with respect to the distance is added, shape (n_slots,).
        across
            Where that with respect to the harmonics is added, of each degree, shape (n_slots, 2l+1).
        to_sent
            Where that with respect to `sent` is added, or None if nobody asks for it.
        """
        import torch

        to_rows = [gradient.index_select(0, self._atom_of_row) for gradient in to_moments]
        for block, radial_rows in self._blocks:
            product, values = self._products(sent, radial, block, radial_rows)
            weight, functions = (self._workspace(name, product.shape) for name in ("weight", "functions"))
            y = seen[block.slots].view(*block.shape, -1)
            for degree, part in enumerate(self.degrees):
                gradient = to_rows[degree][block.rows]
                torch.bmm(y[..., part], gradient, out=weight[degree].view(*block.shape, -1))
                across[degree][block.slots].view(*block.shape, -1).baddbmm_(
                    product[degree].view(*block.shape, -1), gradient.transpose(1, 2)
                )
            _select(slopes, radial_rows, functions)
            along[block.slots] += functions.mul_(values).mul_(weight).sum(dim=(0, 2))
            if to_sent is not None:
                _select(radial, radial_rows, functions)
                to_sent.index_add_(0, self._neighbour[block.slots], functions.mul_(weight).sum(dim=0))

    def _products(self, sent: Any, radial: Any, block: Block, radial_rows: Any) -> tuple[Any, Any]:
        """Return radial functions times what is sent, shape (n_degrees, n_slots, C), and what is sent."""
        neighbour = self._neighbour[block.slots]
        values = self._workspace("values", (len(neighbour), sent.shape[1]))
        product = self._workspace("product", (len(self.degrees), *values.shape))
        _select(sent, neighbour, values)
        _select(radial, radial_rows, product)
        return product.mul_(values), values


def _select(table: Any, rows: Any, out: Any) -> None:
    import torch

    torch.index_select(table, 0, rows, out=out.view(-1, table.shape[1]))
