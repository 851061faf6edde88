"""What a MACE model with scalar features comes down to for fixed elements: a few tables.

mace-torch evaluates general equivariant tensor products. Where the hidden features are scalars (``max_L =
0``) and the elements of the atoms are known beforehand, all of them are either products with small matrices
(one per element), polynomials of the moments of an atom's surroundings, or functions of one distance. The
tables are found by asking the modules of the model for their response to unit vectors, so that no convention
of normalisation is copied here; `mscflow.levels.potentials.mace_lean` evaluates them.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebder

from mscflow.levels.potentials.repulsion import Repulsion

SHORTEST = 0.5
"""Distances / Å below this are treated as this; no two atoms of a `Cluster` are nearer."""

SKIN = 0.4
"""Length by which listed pairs exceed the cutoff / Å; while a list is valid no distance changes by more."""

FAR = 1.7
NEAR = FAR + 2 * SKIN
"""Radial functions are one series up to `NEAR`, and one with few terms from `FAR` to the cutoff / Å.

A pair listed in the middle of the two stays within the range of either series.
"""

N_NODES = 300
"""Distances at which radial functions are sampled; their Chebyshev series end far before."""

MAX_CORRELATION = 3


class UnsupportedModelError(Exception):
    """The model is not one that these tables describe; the message says why."""


@dataclass(frozen=True, eq=False)
class Radial:
    """Radial functions on a range of distances: Chebyshev series in the distance, scaled to [-1, 1].

    Parameters
    ----------
    shortest, longest
        The range / Å.
    values
        Coefficients, shape (n_terms, n_l·C), times the constants of the tensor product.
    slopes
        The same of their derivatives / Å⁻¹.
    """

    shortest: float
    longest: float
    values: np.ndarray
    slopes: np.ndarray


@dataclass(frozen=True, eq=False)
class Layer:
    """One message-passing layer; C channels, n_l degrees of spherical harmonics, n_lm = n_l² components.

    Parameters
    ----------
    senders
        What an atom sends: shape (n_elements, C) in the first layer, where atoms know only their element, and
        (C, C) in later ones, where it multiplies their features.
    radial
        Radial functions of near and of far pairs.
    mixing
        Matrices that mix the channels of the moments, shape (n_elements, n_l, C, C), or (1, ...)
        where they do not depend on the element.
    polynomials
        Coefficients of the atom's polynomial of its moments x and of its derivative, shape (n_elements, C,
        n_features, 2 n_lm); the features are x and the products of two of them, the columns the vectors v and
        g in p = x·(c + v) and ∇p = c + g.
    linear_terms
        The vectors c, shape (n_elements, C, n_lm).
    update
        Matrix from the polynomials to the features, shape (C, C).
    residual
        Matrices from the features before to those after, shape (n_elements, C, C); None if there is no such
        term; shape (n_elements, C), the term itself, in the first layer.
    """

    senders: np.ndarray
    radial: tuple[Radial, Radial]
    mixing: np.ndarray
    polynomials: np.ndarray
    linear_terms: np.ndarray
    update: np.ndarray
    residual: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Tables:
    """A model in tables; see the module.

    Parameters
    ----------
    atomic_numbers
        Elements, shape (n_elements,).
    r_max
        Cutoff / Å.
    atomic_energies
        Energies of isolated atoms / eV, shape (n_elements,).
    harmonics
        Coefficients of the spherical harmonics in monomials of the unit vector, shape (n_monomials, n_lm).
    layers
        The layers.
    scale, shift
        From the sum of an atom's readouts to its energy / eV.
    repulsion
        Repulsion of nuclei, if the model has one.
    """

    atomic_numbers: np.ndarray
    r_max: float
    atomic_energies: np.ndarray
    harmonics: np.ndarray
    layers: tuple[Layer, ...]
    scale: float
    shift: float
    repulsion: Repulsion | None


def require_supported(model: Any) -> None:
    """Check that a mace-torch model is one that the tables describe.

    Raises
    ------
    UnsupportedModelError
        If it is not.
    """
    kinds = {"RealAgnosticInteractionBlock", "RealAgnosticResidualInteractionBlock"}
    radial = model.radial_embedding
    reasons = {
        "not a ScaleShiftMACE": type(model).__name__ != "ScaleShiftMACE",
        "several heads": len(getattr(model, "heads", ["one"])) > 1,
        "embeds charge or spin": hasattr(model, "joint_embedding"),
        "radial functions that depend on elements": hasattr(radial, "distance_transform"),
        "radial functions without envelope": not getattr(radial, "apply_cutoff", True),
        f"cutoff below {NEAR} Å": float(model.r_max) < NEAR,
        "interaction block": any(type(block).__name__ not in kinds for block in model.interactions),
        "features that are not scalars": any(
            str(p.linear.irreps_out.simplify()) != f"{p.linear.irreps_out.dim}x0e" for p in model.products
        ),
        "agnostic products": any(getattr(p, "use_agnostic_product", False) for p in model.products),
        "correlation": any(_contraction(p).correlation > MAX_CORRELATION for p in model.products),
        "readouts of the last layer only": len(model.readouts) != len(model.interactions),
    }
    found = [reason for reason, holds in reasons.items() if holds]
    if found:
        raise UnsupportedModelError(", ".join(found))


def tables(model: Any) -> Tables:
    """Return the tables of a mace-torch model in double precision.

    Parameters
    ----------
    model
        A ``ScaleShiftMACE`` in double precision, on any device.

    Raises
    ------
    UnsupportedModelError
        If the model is of another kind.
    """
    import torch

    require_supported(model)
    if model.atomic_numbers.device.type != "cpu":  # NumPy takes no tensor of a GPU, where the original stays
        model = deepcopy(model).cpu()
    with torch.no_grad():
        n_elements = len(model.atomic_numbers)
        identity = torch.eye(n_elements, dtype=torch.float64)
        feats = model.node_embedding(identity)
        layers = []
        r_max = float(model.r_max)
        for n, (interaction, product) in enumerate(zip(model.interactions, model.products, strict=True)):
            layers.append(_layer(model, interaction, product, feats if n == 0 else None))
        return Tables(
            atomic_numbers=model.atomic_numbers.numpy(),
            r_max=r_max,
            atomic_energies=model.atomic_energies_fn.atomic_energies.double().numpy().reshape(-1),
            harmonics=_harmonics(model),
            layers=tuple(layers),
            scale=float(model.scale_shift.scale.reshape(-1)[0]),
            shift=float(model.scale_shift.shift.reshape(-1)[0]),
            repulsion=Repulsion.of_model(model) if hasattr(model, "pair_repulsion") else None,
        )


def monomials(n_degrees: int) -> list[tuple[int, int]]:
    """Return factor pairs of the monomials of (1, x, y, z) up to a degree.

    The first four monomials are 1, x, y and z; each further one is the product of monomial ``i`` and of
    variable ``j`` (1 to 3).
    """
    exponents = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    pairs: list[tuple[int, int]] = []
    for degree in range(2, n_degrees):
        for i, exponent in enumerate(list(exponents)):
            if sum(exponent) != degree - 1:
                continue
            for j in (1, 2, 3):
                product = tuple(e + (k == j - 1) for k, e in enumerate(exponent))
                if product not in exponents:
                    exponents.append(product)  # type: ignore[arg-type]
                    pairs.append((i, j))
    return pairs


def evaluate_monomials(unit: np.ndarray, n_degrees: int) -> np.ndarray:
    """Return the monomials of unit vectors, shape (n, 3), as columns."""
    columns = [np.ones(len(unit)), *unit.T]
    for i, j in monomials(n_degrees):
        columns.append(columns[i] * unit[:, j - 1])
    return np.stack(columns, axis=1)


def monomial_slopes(n_degrees: int) -> list[np.ndarray]:
    """Return derivatives of the monomials in x, y and z, each as rows of coefficients in the monomials.

    Returns
    -------
    list of np.ndarray
        Three matrices S with ∂(monomial m)/∂(variable) = Σ S[k, m] (monomial k).
    """
    exponents = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    for i, j in monomials(n_degrees):
        exponents.append(tuple(e + (k == j - 1) for k, e in enumerate(exponents[i])))  # type: ignore[arg-type]
    slopes = []
    for axis in range(3):
        slope = np.zeros((len(exponents), len(exponents)))
        for m, exponent in enumerate(exponents):
            if exponent[axis]:
                lower = tuple(e - (k == axis) for k, e in enumerate(exponent))
                slope[exponents.index(lower), m] = exponent[axis]  # type: ignore[arg-type]
        slopes.append(slope)
    return slopes


def _harmonics(model: Any) -> np.ndarray:
    """Return spherical harmonics in monomials; each degree fitted with the monomials of its own degree."""
    import torch

    unit = np.random.default_rng(0).normal(size=(400, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    values = model.spherical_harmonics(torch.tensor(unit)).numpy()
    n_degrees = int(np.sqrt(values.shape[1]) + 0.5)
    columns = evaluate_monomials(unit, n_degrees)
    degree = np.array([0, 1, 1, 1, *(0 for _ in monomials(n_degrees))])
    for n, (i, _) in enumerate(monomials(n_degrees)):
        degree[4 + n] = degree[i] + 1
    found = np.zeros((columns.shape[1], values.shape[1]))
    for l in range(n_degrees):  # noqa: E741 - the name of the degree
        rows, components = np.flatnonzero(degree == l), slice(l * l, (l + 1) ** 2)
        found[rows, components] = np.linalg.lstsq(columns[:, rows], values[:, components], rcond=None)[0]
    return found


def _layer(model: Any, interaction: Any, product: Any, first: Any) -> Layer:
    import torch

    n_channels = product.linear.irreps_in.dim
    eye = torch.eye(n_channels, dtype=torch.float64)
    attrs = torch.eye(len(model.atomic_numbers), dtype=torch.float64)
    up = interaction.linear_up(eye)
    n_degrees = _n_degrees(interaction)
    mixing = np.stack([_degree_matrix(interaction.linear, degree, n_channels) for degree in range(n_degrees)])
    mixing = mixing[None] / float(interaction.avg_num_neighbors)
    if type(interaction).__name__ == "RealAgnosticResidualInteractionBlock":
        skip = torch.stack([interaction.skip_tp(eye, row.expand(n_channels, -1)) for row in attrs])
        residual = skip if first is None else torch.einsum("ec,ecd->ed", first, skip)
        if not product.use_sc:
            residual = None
    else:
        residual = None
        skips = [
            [_degree_matrix(interaction.skip_tp, degree, n_channels, row) for degree in range(n_degrees)]
            for row in attrs
        ]
        mixing = mixing @ np.array(skips)
    polynomials, linear_terms = _polynomials(_contraction(product))
    return Layer(
        senders=(up if first is None else first @ up).numpy(),
        radial=(
            _radial(model, interaction, n_channels, SHORTEST, NEAR),
            _radial(model, interaction, n_channels, FAR, float(model.r_max)),
        ),
        mixing=mixing,
        polynomials=polynomials,
        linear_terms=linear_terms,
        update=product.linear(eye).numpy(),
        residual=None if residual is None else residual.numpy(),
    )


def _contraction(product: Any) -> Any:
    return product.symmetric_contractions.contractions[0]


def _n_degrees(interaction: Any) -> int:
    return int(interaction.irreps_out.lmax) + 1


def _degree_matrix(module: Any, degree: int, n_channels: int, attrs: Any = None) -> np.ndarray:
    """Return the matrix with which a module mixes the channels of one degree, shape (C, C)."""
    import torch

    start, width = n_channels * degree**2, 2 * degree + 1
    n_degrees = module.irreps_out.lmax + 1 if attrs is None else module.irreps_in1.lmax + 1
    probe = torch.zeros((n_channels, n_channels * n_degrees**2), dtype=torch.float64)
    rows = torch.arange(n_channels)
    probe[rows, start + rows * width] = 1.0
    response = module(probe) if attrs is None else module(probe, attrs.expand(n_channels, -1))
    return response[:, start : start + n_channels * width : width].numpy()


def _radial(model: Any, interaction: Any, n_channels: int, shortest: float, longest: float) -> Radial:
    """Return the radial functions between two distances / Å from values at Chebyshev nodes."""
    import torch

    n_degrees = _n_degrees(interaction)
    ones = [
        torch.ones((1, n), dtype=torch.float64) for n in (n_channels, n_degrees**2, n_channels * n_degrees)
    ]
    response = interaction.conv_tp(*ones)[0]
    constants = torch.stack([response[n_channels * degree**2] for degree in range(n_degrees)])
    angle = np.pi * (np.arange(N_NODES) + 0.5) / N_NODES
    r = shortest + 0.5 * (longest - shortest) * (1 + np.cos(angle))
    embedded, _ = model.radial_embedding(torch.tensor(r)[:, None], None, None, None)
    values = interaction.conv_tp_weights(embedded).reshape(N_NODES, n_degrees, n_channels)
    values = (values * constants[:, None]).numpy().reshape(N_NODES, -1)
    series = 2.0 / N_NODES * np.cos(np.outer(np.arange(N_NODES), angle)) @ values
    series[0] /= 2
    slopes = np.zeros_like(series)
    derived = chebder(series, scl=2 / (longest - shortest))
    slopes[: len(derived)] = derived
    return Radial(shortest, longest, series, slopes)


def _polynomials(contraction: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return `Layer.polynomials` and `Layer.linear_terms` from the tensors of a symmetric contraction."""
    order = contraction.correlation
    weights = [contraction.weights_max, *contraction.weights]
    tensors = []
    for n, weight in enumerate(weights):
        u = contraction.U_tensors(order - n)
        tensor = np.einsum("...k,ekc->ec...", u.numpy(), weight.detach().numpy())
        tensors.append(_symmetric(tensor))
    by_order = dict(zip(range(order, 0, -1), tensors, strict=True))
    linear = by_order[1]
    n_lm = linear.shape[-1]
    i, j = np.triu_indices(n_lm)
    none = np.zeros((*linear.shape[:2], 1, n_lm))
    second = by_order.get(2, np.broadcast_to(none, (*linear.shape[:2], n_lm, n_lm)))
    third = by_order.get(3, np.broadcast_to(none[..., None], (*linear.shape[:2], n_lm, n_lm, n_lm)))
    pairs = third[:, :, i, j, :] * np.where(i == j, 1.0, 2.0)[:, None]
    value = np.concatenate([second, pairs], axis=2)
    gradient = np.concatenate([2 * second, 3 * pairs], axis=2)
    return np.concatenate([value, gradient], axis=3), linear


def _symmetric(tensor: np.ndarray) -> np.ndarray:
    """Average over the permutations of all axes but the first two."""
    axes = range(2, tensor.ndim)
    orders = list(permutations(axes))
    return np.mean([tensor.transpose(0, 1, *order) for order in orders], axis=0)
