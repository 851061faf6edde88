"""Total scattering of a cluster by the Debye equation: pair distribution function and diffraction pattern.

I(Q) = Σ_i Σ_j f_i f_j exp(−Q²(U_i + U_j)/2) sin(Q r_ij)/(Q r_ij) (P. Debye, Ann. Phys. 1915, 351, 809). Pairs
are counted into narrow bins of distance for each pair of elements, so that sines are computed once for all of
them. G(r) = 2/π ∫ Q (S(Q) − 1) sin(Qr) dQ (Farrow & Billinge, Acta Cryst. A 2009, 65, 232) of a particle
without its surroundings: there is no −4πrρ₀.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mscflow.cluster import Cluster
from mscflow.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Radiation = Literal["x-ray", "neutron"]

BIN = 0.001
"""Width of the bins of distance / Å: pairs are shared by the two nearest; sin(Qr) is right to (Q·BIN)²/8."""

U_ISO = 0.005
"""Isotropic mean-square displacement of an atom / Å², where none is given: usual at room temperature."""

BLOCK = 2000
"""Bins of distance whose sines are computed at a time."""


@dataclass(frozen=True)
class Settings:
    """How a pattern is measured.

    Parameters
    ----------
    qmin, qmax, qstep
        Range and step of the momentum transfer Q / Å⁻¹.
    qdamp
        Resolution of the instrument / Å⁻¹: G(r) falls off as exp(−(r·qdamp)²/2).
    qbroad
        Resolution that widens peaks with distance / Å⁻¹: U of a pair grows by (r·qbroad)²/2 for each atom.
    u_iso
        Mean-square displacement of each atom / Å², or by element.
    radiation
        ``"x-ray"`` or ``"neutron"``.
    """

    qmin: float = 0.7
    qmax: float = 25.0
    qstep: float = 0.05
    qdamp: float = 0.04
    qbroad: float = 0.0
    u_iso: float | Mapping[str, float] = U_ISO
    radiation: Radiation = "x-ray"

    def __post_init__(self) -> None:
        """Refuse nonsense.

        Raises
        ------
        InputError
            If a range is empty or a number negative.
        """
        if not 0 <= self.qmin < self.qmax or not self.qstep > 0:
            raise InputError(f"0 ≤ qmin < qmax and qstep > 0 (Å⁻¹) are needed: {self}")
        if self.qdamp < 0 or self.qbroad < 0 or any(u < 0 for u in self.displacements):
            raise InputError(f"qdamp, qbroad and u_iso must not be negative: {self}")
        if self.radiation not in ("x-ray", "neutron"):
            raise InputError(f"radiation must be 'x-ray' or 'neutron', not {self.radiation!r}")

    @property
    def displacements(self) -> Sequence[float]:
        """All mean-square displacements / Å²."""
        return list(self.u_iso.values()) if isinstance(self.u_iso, Mapping) else [self.u_iso]

    def displacement(self, symbol: str) -> float:
        """Return the mean-square displacement of an element / Å²."""
        return self.u_iso.get(symbol, U_ISO) if isinstance(self.u_iso, Mapping) else self.u_iso

    @property
    def q(self) -> np.ndarray:
        """Momentum transfers / Å⁻¹; zero is left out, where the sine is none."""
        q = np.arange(self.qmin, self.qmax + self.qstep / 2, self.qstep)
        return q[q > 0]


@dataclass(frozen=True)
class PDF:
    """A pair distribution function.

    Parameters
    ----------
    r
        Distances / Å, shape (n,).
    g
        G(r) / Å⁻², shape (n,).
    q, s
        Momentum transfers / Å⁻¹ and structure function S(Q).
    """

    r: np.ndarray
    g: np.ndarray
    q: np.ndarray
    s: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """Distance / Å and G / Å⁻²."""
        import pandas as pd

        return pd.DataFrame({"r": self.r, "g": self.g})


def pdf(
    cluster: Cluster,
    rmin: float = 0.0,
    rmax: float = 20.0,
    rstep: float = 0.01,
    qmin: float = 0.7,
    qmax: float = 25.0,
    qdamp: float = 0.04,
    qbroad: float = 0.0,
    u_iso: float | Mapping[str, float] = U_ISO,
    radiation: Radiation = "x-ray",
    partial: tuple[str, str] | None = None,
) -> PDF:
    """Return the pair distribution function of a cluster.

    Parameters
    ----------
    cluster
        The structure.
    rmin, rmax, rstep
        Distances at which G is wanted / Å.
    qmin, qmax, qdamp, qbroad, u_iso, radiation
        See `Settings`. The step of Q is π/(2·rmax), fine enough for every r wanted.
    partial
        Two elements: only their pairs, weighted as in the whole.

    Raises
    ------
    InputError
        If a range is empty, a number negative, or an element unknown.
    """
    if not 0 <= rmin < rmax or not rstep > 0:
        raise InputError(f"0 ≤ rmin < rmax and rstep > 0 (Å) are needed, not {rmin}, {rmax}, {rstep}")
    settings = Settings(qmin, qmax, min(0.05, np.pi / (2 * rmax)), qdamp, qbroad, u_iso, radiation)
    s = structure_function(cluster, settings, partial)
    r = np.arange(rmin, rmax + rstep / 2, rstep)
    g = 2 / np.pi * settings.qstep * (np.sin(np.outer(r, settings.q)) @ (settings.q * (s - 1)))
    return PDF(r, g * np.exp(-((r * qdamp) ** 2) / 2), settings.q, s)


def structure_function(
    cluster: Cluster, settings: Settings, partial: tuple[str, str] | None = None
) -> np.ndarray:
    """Return S(Q) = 1 + (I(Q)/N − ⟨f²⟩)/⟨f⟩², shape (n_q,); see `pdf` for the parameters."""
    factors = _factors(cluster, settings)
    composition = cluster.composition
    mean = sum(n * factors[symbol] for symbol, n in composition.items()) / len(cluster)
    return 1 + _between(cluster, settings, factors, partial) / len(cluster) / mean**2


def intensity(cluster: Cluster, settings: Settings) -> np.ndarray:
    """Return the coherent intensity I(Q) of one particle / electrons² (neutrons: fm²), shape (n_q,)."""
    factors = _factors(cluster, settings)
    own = sum(n * factors[symbol] ** 2 for symbol, n in cluster.composition.items())
    return np.asarray(own + _between(cluster, settings, factors, None))


def diffraction(
    cluster: Cluster, wavelength: float = 1.5406, two_theta: Sequence[float] | np.ndarray | None = None,
    u_iso: float | Mapping[str, float] = U_ISO,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return scattering angles 2θ / ° and the X-ray intensity of a particle per atom / electrons².

    Parameters
    ----------
    cluster
        The structure.
    wavelength
        Wavelength / Å; by default Cu Kα1.
    two_theta
        Angles / °; by default 5 to 90° in steps of 0.1°.
    u_iso
        See `Settings`.

    Raises
    ------
    InputError
        If the wavelength or an angle is not positive.
    """
    angles = np.arange(5.0, 90.05, 0.1) if two_theta is None else np.asarray(two_theta, dtype=float)
    if not wavelength > 0 or not (angles > 0).all():
        raise InputError("wavelength (Å) and angles (°) must be positive")
    q = 4 * np.pi / wavelength * np.sin(np.radians(angles / 2))
    grid = Settings(0.0, float(q.max()) + 0.02, 0.01, u_iso=u_iso)
    return angles, np.interp(q, grid.q, intensity(cluster, grid)) / len(cluster)


def form_factor(symbol: str, q: np.ndarray, radiation: Radiation = "x-ray") -> np.ndarray:
    """Return the form factor of a neutral atom / electrons, or its neutron scattering length / fm.

    X-rays: Waasmaier & Kirfel, Acta Cryst. A 1995, 51, 416, no anomalous part. Neutrons: bound coherent
    lengths. Both from the library periodictable.

    Raises
    ------
    InputError
        If the element is not tabulated.
    """
    import periodictable
    from periodictable.cromermann import fxrayatq

    try:
        if radiation == "neutron":
            length: Any = periodictable.elements.symbol(symbol).neutron.b_c
            return np.full_like(q, float(length))
        return np.asarray(fxrayatq(symbol, q))
    except (KeyError, ValueError, TypeError) as err:
        raise InputError(f"no {radiation} scattering factor for {symbol}") from err


def _factors(cluster: Cluster, settings: Settings) -> dict[str, np.ndarray]:
    return {symbol: form_factor(symbol, settings.q, settings.radiation) for symbol in cluster.composition}


def _between(
    cluster: Cluster,
    settings: Settings,
    factors: Mapping[str, np.ndarray],
    partial: tuple[str, str] | None,
) -> np.ndarray:
    """Return the part of the intensity that comes from different atoms, shape (n_q,)."""
    q = settings.q
    damped = {
        symbol: factor * np.exp(-(q**2) * settings.displacement(symbol) / 2)
        for symbol, factor in factors.items()
    }
    pairs = [
        (a, b)
        for a, b in combinations_with_replacement(sorted(factors), 2)
        if partial is None or {a, b} == set(partial)
    ]
    if not pairs:
        raise InputError(f"no pair {partial} in {cluster.name or cluster.formula}")
    counts = _counts(cluster, pairs)
    sums = _broadened(counts, settings) if settings.qbroad else _sharp(counts, settings)
    return np.asarray(sum(2 * damped[a] * damped[b] * row for (a, b), row in zip(pairs, sums, strict=True)))


def _sharp(counts: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the sum of counts · sin(Qr)/(Qr), shape (n_kinds, n_q), by a chirp z-transform."""
    from scipy.signal import czt

    weights = np.zeros_like(counts)
    weights[:, 1:] = counts[:, 1:] / (BIN * np.arange(1, counts.shape[1]))
    q, turn = settings.q, 1j * BIN
    waves = czt(weights, len(q), np.exp(-turn * settings.qstep), np.exp(turn * q[0]))
    return np.asarray(-waves.imag / q)


def _broadened(counts: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the same with every wave damped by exp(−(Qr·qbroad)²/2), block by block."""
    sums = np.zeros((len(counts), len(settings.q)))
    used = np.flatnonzero(counts.any(axis=0))
    for start in range(0, len(used), BLOCK):
        bins = used[start : start + BLOCK]
        phase = np.outer(BIN * bins, settings.q)
        sums += counts[:, bins] @ (np.sinc(phase / np.pi) * np.exp(-((phase * settings.qbroad) ** 2) / 2))
    return sums


def _counts(cluster: Cluster, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return how many pairs of each kind lie at each multiple of `BIN`, shape (n_kinds, n_bins)."""
    from scipy.spatial.distance import cdist, pdist

    symbols = np.array(cluster.symbols)
    found = []
    for a, b in pairs:
        first, second = cluster.positions[symbols == a], cluster.positions[symbols == b]
        found.append(pdist(first) if a == b else cdist(first, second).ravel())
    n_bins = int(max((d.max() for d in found if len(d)), default=0.0) / BIN) + 3
    counts = np.zeros((len(pairs), n_bins))
    for kind, distances in enumerate(found):
        low = (distances / BIN).astype(int)
        above = distances / BIN - low
        counts[kind] = np.bincount(low, 1 - above, n_bins) + np.bincount(low + 1, above, n_bins)
    return counts
