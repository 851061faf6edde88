"""Which structure a measured pair distribution function belongs to.

Few parameters and no positions: scale, a common strain, one mean-square displacement. A structure that is
right up to bond lengths then fits, and one with other neighbours does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mscflow.analysis.scattering import U_ISO, Radiation, pdf
from mscflow.analysis.spectra import read_columns
from mscflow.cluster import Cluster
from mscflow.errors import InputError

LARGEST_STRAIN = 0.05
SMALLEST_U, LARGEST_U = 5e-4, 0.05
"""Bounds of the strain, and of the mean-square displacement / Å²."""

NEAR_BOUND = 0.99
"""Part of the largest strain from which it is said: the fit never ends on a bound exactly."""

FEWEST_POINTS = 3
UNEVEN = 0.05
"""How far distances may lie beside an even grid, in steps: files round them."""


@dataclass(frozen=True)
class MeasuredPDF:
    """A measured pair distribution function.

    Parameters
    ----------
    r, g
        Distances / Å, evenly spaced, and G(r) / Å⁻².
    qmin, qmax, qdamp
        How it was measured / Å⁻¹; see `mscflow.analysis.scattering.Settings`.
    radiation
        ``"x-ray"`` or ``"neutron"``.
    """

    r: np.ndarray
    g: np.ndarray
    qmin: float = 0.7
    qmax: float = 25.0
    qdamp: float = 0.04
    radiation: Radiation = "x-ray"

    def __post_init__(self) -> None:
        """Refuse distances that are not evenly spaced, and a function that says nothing.

        Raises
        ------
        InputError
            If they are not, the lengths differ, or G is not finite or zero everywhere.
        """
        n = len(self.r)
        is_range = n >= FEWEST_POINTS and self.step > 0 and n == len(self.g)
        if not is_range or np.ptp(self.r - self.step * np.arange(n)) > UNEVEN * self.step:
            raise InputError("a measured PDF needs evenly spaced distances (Å) and as many values of G")
        if not np.isfinite(self.g).all() or not np.any(self.g):
            raise InputError("a measured PDF needs finite values of G (Å⁻²), not zero everywhere")

    @property
    def step(self) -> float:
        """Mean step of the distances / Å: that of single ones is rounded in files."""
        return float(self.r[-1] - self.r[0]) / (len(self.r) - 1)


@dataclass(frozen=True)
class Fit:
    """A structure fitted to a measured function.

    Parameters
    ----------
    rw
        Weighted residual √(Σ(G_obs − G_calc)²/ΣG_obs²): 0 is perfect, above 0.4 or so another structure.
    scale, strain, u_iso
        Scale of G, never negative, relative change of all distances, mean-square displacement / Å².
    g
        The calculated function / Å⁻².
    """

    rw: float
    scale: float
    strain: float
    u_iso: float
    g: np.ndarray

    @property
    def problems(self) -> list[str]:
        """Why the structure is hardly that of the measurement, a line for each reason."""
        found = ["scale 0: nothing of it is in the data"] if self.scale == 0 else []
        if abs(self.strain) > NEAR_BOUND * LARGEST_STRAIN:
            found.append("strain at its bound: another structure, or one that is not relaxed")
        return found


def fit_pdf(cluster: Cluster, measured: MeasuredPDF) -> Fit:
    """Fit scale, strain and mean-square displacement of a structure.

    Parameters
    ----------
    cluster
        The structure, with or without ligands.
    measured
        The function to fit.
    """
    from scipy.optimize import least_squares

    norm = float(np.linalg.norm(measured.g))

    def unscaled(strain: float, u_iso: float) -> np.ndarray:
        strained = cluster.replace(positions=(1 + strain) * cluster.positions)
        found = pdf(
            strained, float(measured.r[0]), float(measured.r[-1]), measured.step,
            measured.qmin, measured.qmax, measured.qdamp, u_iso=u_iso, radiation=measured.radiation,
        )  # fmt: skip
        return found.g[: len(measured.r)]

    def scale(g: np.ndarray) -> float:
        return max(float(g @ measured.g / (g @ g)), 0.0)

    def residuals(x: np.ndarray) -> np.ndarray:
        g = unscaled(x[0], np.exp(x[1]))
        return (scale(g) * g - measured.g) / norm

    bounds = ([-LARGEST_STRAIN, np.log(SMALLEST_U)], [LARGEST_STRAIN, np.log(LARGEST_U)])
    best = least_squares(residuals, [0.0, np.log(U_ISO)], bounds=bounds, x_scale=[0.01, 0.5], xtol=1e-5)
    strain, u_iso = float(best.x[0]), float(np.exp(best.x[1]))
    g = unscaled(strain, u_iso)
    return Fit(float(np.linalg.norm(best.fun)), scale(g), strain, u_iso, scale(g) * g)


def rank(candidates: Mapping[str, Cluster], measured: MeasuredPDF) -> dict[str, Fit]:
    """Fit every candidate; the best comes first."""
    fits = {name: fit_pdf(cluster, measured) for name, cluster in candidates.items()}
    return dict(sorted(fits.items(), key=lambda item: item[1].rw))


def read_pdf(path: str | Path, **settings: Any) -> MeasuredPDF:
    """Read r / Å and G(r) / Å⁻² from the first two columns of a text file (``.gr``).

    Parameters
    ----------
    path
        The file; lines that do not begin with two numbers are left out.
    settings
        qmin, qmax, qdamp, radiation of `MeasuredPDF`.

    Raises
    ------
    InputError
        If the file is missing or holds no such columns, or see `MeasuredPDF`.
    """
    r, g = read_columns(Path(path), "a PDF", "r / Å and G / Å⁻²")
    try:
        return MeasuredPDF(r, g, **settings)
    except InputError as err:
        raise InputError(f"{path}: {err}") from err
