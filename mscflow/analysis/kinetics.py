"""Rates and isosbestic points from absorbance that was followed in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mscflow.analysis.spectra import table_cells
from mscflow.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MIN_POINTS = 5
MIN_COLUMNS = 2
SIGMAS = 2.0
"""Standard deviations of the confidence interval, 95.4 %."""


@dataclass(frozen=True)
class Rate:
    """A single-exponential fit, A(t) = A∞ + (A0 − A∞)·exp(−k (t − t0)), with t0 the first time.

    Parameters
    ----------
    constant
        k, in the inverse of the unit of the times.
    interval
        Confidence interval of k (95.4 %), from the profile of χ²; infinite where the data set no limit;
        with (0, ∞) k is not determined.
    first, last
        A0, that of the fit at the first time, and A∞.
    half_life
        ln 2 / k.
    residual
        Root mean square of the residuals.
    """

    constant: float
    interval: tuple[float, float]
    first: float
    last: float
    half_life: float
    residual: float


def rate(times: np.ndarray, absorbances: np.ndarray) -> Rate:
    """Fit a single exponential by least squares (lmfit).

    Parameters
    ----------
    times, absorbances
        Of one wavelength, shape (n_times,) each.

    Raises
    ------
    InputError
        If there are fewer than five points, one is not finite, they do not belong together, or nothing
        changes.
    """
    from lmfit import conf_interval
    from lmfit.minimizer import Minimizer, MinimizerException
    from lmfit.parameter import Parameters

    times, absorbances = np.asarray(times, dtype=float), np.asarray(absorbances, dtype=float)
    if times.shape != absorbances.shape or times.ndim != 1 or len(times) < MIN_POINTS:
        raise InputError(f"give {MIN_POINTS} or more times and as many absorbances, one row each")
    if not (np.isfinite(times).all() and np.isfinite(absorbances).all()):
        raise InputError("times and absorbances must be finite numbers")
    if np.ptp(times) == 0 or np.ptp(absorbances) == 0:
        raise InputError("nothing changes: all times or all absorbances are equal")

    passed = times - times.min()

    def residuals(parameters: Parameters) -> np.ndarray:
        first, last, k = (parameters[name].value for name in ("first", "last", "k"))
        return np.asarray(last + (first - last) * np.exp(-k * passed) - absorbances)

    start = Parameters()
    start.add("first", value=absorbances[np.argmin(times)])
    start.add("last", value=absorbances[np.argmax(times)])
    start.add("k", value=3.0 / np.ptp(times), min=0.0)
    minimiser = Minimizer(residuals, start)
    found = minimiser.minimize()
    k = found.params["k"].value
    try:
        limits = conf_interval(minimiser, found, p_names=["k"], sigmas=[SIGMAS])["k"]
        low, high = float(limits[0][1]), float(limits[-1][1])
    except MinimizerException:
        low, high = 0.0, np.inf
    return Rate(
        constant=float(k),
        interval=(max(low, 0.0) if np.isfinite(low) else 0.0, high if np.isfinite(high) else np.inf),
        first=float(found.params["first"].value),
        last=float(found.params["last"].value),
        half_life=float(np.log(2) / k) if k > 0 else np.inf,
        residual=float(np.sqrt(np.mean(found.residual**2))),
    )


def isosbestic_points(
    wavelengths: np.ndarray, spectra: np.ndarray, tolerance: float = 0.02
) -> list[tuple[float, float]]:
    """Return where all spectra of a series cross: wavelength and how far they spread there.

    Parameters
    ----------
    wavelengths
        Ascending / nm, shape (n_wavelengths,).
    spectra
        Absorbances, shape (n_spectra, n_wavelengths).
    tolerance
        Largest spread (standard deviation over the series) at a point, as a part of the largest spread
        anywhere.

    Returns
    -------
    list of (float, float)
        Wavelength / nm and spread relative to the mean absorbance there. Two species that turn into one
        another share their crossings; a third one in between smears them.
    """
    spread, mean = spectra.std(axis=0), spectra.mean(axis=0)
    inner = np.flatnonzero((spread[1:-1] <= spread[:-2]) & (spread[1:-1] < spread[2:])) + 1
    change = spectra[-1] - spectra[0]
    crossing = [i for i in inner if change[max(i - 2, 0)] * change[min(i + 2, len(change) - 1)] < 0]
    return [
        (float(wavelengths[i]), float(spread[i] / mean[i]))
        for i in crossing
        if spread[i] < tolerance * spread.max()
    ]


def read_series(path: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read times from the first column and absorbances of one sample from every other one, named by a header.

    Columns are separated as in `mscflow.analysis.spectra.table_cells`; lines that begin with # are left out,
    and so are the empty cells of a sample.

    Raises
    ------
    InputError
        If the file is missing, or has no header, fewer than two columns, or cells that are no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    rows = [row for row in table_cells(line for line in lines if not line.startswith("#")) if any(row)]
    names = rows[0] if rows else []
    while names and not names[-1]:
        names.pop()
    if len(names) < MIN_COLUMNS or not all(_is_name(name) for name in names[1:]):
        raise InputError(f"{path}: a header and two columns or more are needed, time first")
    try:
        numbers = np.array([_numbers(row, len(names)) for row in rows[1:]]).reshape(-1, len(names))
    except ValueError as err:
        raise InputError(f"{path}: a header and columns of numbers are needed, time first: {err}") from err
    times, found = numbers[:, 0], {}
    for name, column in zip(names[1:], numbers.T[1:], strict=True):
        if name in found:
            raise InputError(f"{path}: two samples are called {name!r}: give each column its own name")
        there = ~np.isnan(column) & ~np.isnan(times)
        found[name] = times[there], column[there]
    return found


def _numbers(row: list[str], n_columns: int) -> list[float]:
    """Return the numbers of one row, NaN for its empty cells."""
    if any(row[n_columns:]):
        raise ValueError(f"{len(row)} cells in a row, {n_columns} names in the header")
    cells = row[:n_columns] + [""] * (n_columns - len(row))
    return [float(cell) if cell else np.nan for cell in cells]


def _is_name(column: object) -> bool:
    try:
        float(str(column))
    except ValueError:
        return True
    return False


def compare(series: dict[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Return rate constants of several time series, fastest last, each relative to the slowest.

    Parameters
    ----------
    series
        Times and absorbances by name, e.g. of the ligands of one cluster.

    Raises
    ------
    InputError
        As `rate`, with the name of the sample.
    """
    import pandas as pd

    rates = {}
    for name, data in series.items():
        try:
            rates[name] = rate(*data)
        except InputError as err:
            raise InputError(f"{name}: {err}") from err
    table = pd.DataFrame(
        {
            name: {"k": r.constant, "low": r.interval[0], "high": r.interval[1], "half-life": r.half_life}
            for name, r in rates.items()
        }
    ).T.sort_values("k")
    return table.assign(relative=table["k"] / table["k"].iloc[0])
