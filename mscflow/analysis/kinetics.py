"""Rates and isosbestic points from absorbance that was followed in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mscflow.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MIN_POINTS = 5
SIGMAS = 2.0
"""Standard deviations of the confidence interval, 95.4 %."""


@dataclass(frozen=True)
class Rate:
    """A single-exponential fit, A(t) = A∞ + (A0 − A∞)·exp(−k t).

    Parameters
    ----------
    constant
        k, in the inverse of the unit of the times.
    interval
        Confidence interval of k (95.4 %), from the profile of χ²; infinite where the data set no limit.
    first, last
        A0 and A∞.
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
        If there are fewer than five points, or they do not belong together, or nothing changes.
    """
    from lmfit import conf_interval
    from lmfit.minimizer import Minimizer, MinimizerException
    from lmfit.parameter import Parameters

    times, absorbances = np.asarray(times, dtype=float), np.asarray(absorbances, dtype=float)
    if times.shape != absorbances.shape or times.ndim != 1 or len(times) < MIN_POINTS:
        raise InputError(f"give {MIN_POINTS} or more times and as many absorbances, one row each")
    if np.ptp(times) == 0 or np.ptp(absorbances) == 0:
        raise InputError("nothing changes: all times or all absorbances are equal")

    def residuals(parameters: Parameters) -> np.ndarray:
        first, last, k = (parameters[name].value for name in ("first", "last", "k"))
        return np.asarray(last + (first - last) * np.exp(-k * times) - absorbances)

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
        interval=(max(low, 0.0) if np.isfinite(low) else 0.0, high),
        first=float(found.params["first"].value),
        last=float(found.params["last"].value),
        half_life=float(np.log(2) / k),
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

    Columns are separated by commas, semicolons, tabs or blanks; lines that begin with # are left out, and so
    are the empty cells of a sample.

    Raises
    ------
    InputError
        If the file is missing, or has no header, fewer than two columns, or cells that are no numbers.
    """
    import pandas as pd

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        table = pd.read_csv(path, sep=r"\s*[,;\t]\s*| +", engine="python", comment="#").dropna(how="all")
        numbers = table.astype(float)
    except (ValueError, UnicodeDecodeError) as err:
        reason = str(err).splitlines()[0]
        raise InputError(f"{path}: a header and columns of numbers are needed, time first: {reason}") from err
    if numbers.shape[1] < 2 or not all(_is_name(column) for column in numbers.columns[1:]):
        raise InputError(f"{path}: a header and two columns or more are needed, time first")
    times = numbers.iloc[:, 0]
    found = {}
    for name, column in list(numbers.items())[1:]:
        there = column.notna() & times.notna()
        found[str(name)] = times[there].to_numpy(), column[there].to_numpy()
    return found


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
    """
    import pandas as pd

    rates = {name: rate(*data) for name, data in series.items()}
    table = pd.DataFrame(
        {
            name: {"k": r.constant, "low": r.interval[0], "high": r.interval[1], "half-life": r.half_life}
            for name, r in rates.items()
        }
    ).T.sort_values("k")
    return table.assign(relative=table["k"] / table["k"].iloc[0])
