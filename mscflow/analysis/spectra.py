"""Absorption spectra from excitation energies and oscillator strengths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from pydantic import BaseModel, ConfigDict

from mscflow.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

EV_NM = units._hplanck * units._c / units._e * 1e9
"""Product of photon energy / eV and wavelength / nm: 1239.84."""

EV_PER_CM = EV_NM / 1e7
"""One wavenumber / cm⁻¹ in eV."""

STRENGTH_PER_AREA = 4.319e-9
"""Oscillator strength per integrated molar absorption ∫ε dν̃, ε / L mol⁻¹ cm⁻¹, ν̃ / cm⁻¹ (R. S. Mulliken,
J. Chem. Phys. 1939, 7, 14)."""


PROMINENCE = 0.03
"""How far a maximum stands out, in units of the highest absorption."""

DECIMAL_COMMA = r"^([-+]?\d*),(\d+(?:[eE][-+]?\d+)?)$"
"""A number with a decimal comma."""

FEWEST_POINTS = 10
"""Number of points below which a file is no spectrum."""


@dataclass(frozen=True)
class Spectrum:
    """A broadened absorption spectrum.

    Parameters
    ----------
    wavelengths
        Wavelengths / nm, ascending, shape (n,).
    epsilon
        Molar absorption / L mol⁻¹ cm⁻¹, shape (n,).
    """

    wavelengths: np.ndarray
    epsilon: np.ndarray

    @property
    def lambda_max(self) -> float:
        """Wavelength of the highest absorption / nm."""
        return float(self.wavelengths[int(np.argmax(self.epsilon))])

    @property
    def table(self) -> pd.DataFrame:
        """Wavelength / nm and molar absorption / L mol⁻¹ cm⁻¹."""
        import pandas as pd

        return pd.DataFrame({"wavelength_nm": self.wavelengths, "epsilon": self.epsilon})


class MeasuredSpectrum(BaseModel):
    """An absorption spectrum from a file.

    Attributes
    ----------
    source
        Name of the file.
    wavelengths
        Wavelengths / nm, ascending.
    absorbance
        Absorbance, in any unit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    wavelengths: tuple[float, ...]
    absorbance: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """Lowest-energy maxima of a computed and a measured spectrum.

    Parameters
    ----------
    computed_nm, measured_nm
        Their wavelengths / nm.
    """

    computed_nm: float
    measured_nm: float

    @property
    def error_ev(self) -> float:
        """Computed minus measured excitation energy / eV."""
        return EV_NM / self.computed_nm - EV_NM / self.measured_nm


def compare(computed: Spectrum, measured: MeasuredSpectrum) -> Comparison:
    """Compare the maxima of lowest energy."""
    return Comparison(
        first_maximum(computed.wavelengths, computed.epsilon),
        first_maximum(measured.wavelengths, measured.absorbance),
    )


def first_maximum(
    wavelengths: Sequence[float] | np.ndarray, absorption: Sequence[float] | np.ndarray
) -> float:
    """Return the wavelength / nm of the maximum of lowest energy, the highest point where there is none.

    A maximum stands out by `PROMINENCE` of the highest absorption.
    """
    from scipy.signal import find_peaks

    heights = np.asarray(absorption)
    peaks, _ = find_peaks(heights, prominence=PROMINENCE * np.ptp(heights))
    return float(np.asarray(wavelengths)[peaks[-1] if len(peaks) else int(heights.argmax())])


def read_spectrum(path: str | Path) -> MeasuredSpectrum:
    """Read wavelength / nm and absorbance from the first two columns of a text file.

    Columns are separated as in `table_cells`; lines that do not begin with two numbers (headers, comments)
    are left out.

    Raises
    ------
    InputError
        If the file is missing, or holds fewer than ten points, a wavelength that is not positive or no
        positive absorbance.
    """
    wavelengths, absorbance = read_columns(Path(path), "a spectrum", "wavelength / nm and absorbance")
    if wavelengths[0] <= 0:
        raise InputError(f"{path}: wavelengths must be positive (nm), not {wavelengths[0]}")
    if not max(absorbance) > 0:
        raise InputError(f"{path}: a spectrum needs a positive absorbance, the largest is {max(absorbance)}")
    return MeasuredSpectrum(
        source=Path(path).name, wavelengths=tuple(wavelengths), absorbance=tuple(absorbance)
    )


def read_columns(path: Path, kind: str, columns: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two columns of a text file, in ascending order of the first.

    Parameters
    ----------
    path
        The file; lines that do not begin with two numbers are left out.
    kind, columns
        What it should be, and hold, for the message.

    Raises
    ------
    InputError
        If it is missing or holds fewer than `FEWEST_POINTS` points.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    points = {}
    for words in table_cells(path.read_text(errors="replace").splitlines()):
        try:
            x, y = float(words[0]), float(words[1])
        except (ValueError, IndexError):
            continue
        if np.isfinite(x) and np.isfinite(y):
            points[x] = y
    if len(points) < FEWEST_POINTS:
        raise InputError(
            f"{path}: {kind} is lines of {columns}, at least {FEWEST_POINTS}; {len(points)} were found"
        )
    ordered = sorted(points)
    return np.array(ordered), np.array([points[x] for x in ordered])


def table_cells(lines: Iterable[str]) -> list[list[str]]:
    """Return the cells of each line of a table, numbers with decimal points.

    One separator holds for all lines, that of most lines that begin with a number: a semicolon or a tab
    (numbers may then have decimal commas), else a comma, else blanks.
    """
    lines = list(lines)
    numbers = [line for line in lines if re.match(r"\s*[-+.]?\d", line)]
    found = (mark for mark in ";\t," if 2 * sum(mark in line for line in numbers) > len(numbers))
    separator = next(found, None)
    rows = [[cell.strip() for cell in line.split(separator)] for line in lines]
    if separator in (";", "\t"):
        rows = [[re.sub(DECIMAL_COMMA, r"\1.\2", cell) for cell in row] for row in rows]
    return rows


def absorption_spectrum(
    energies: Sequence[float],
    oscillator_strengths: Sequence[float],
    fwhm_ev: float = 0.2,
    wavelengths: Sequence[float] | np.ndarray | None = None,
) -> Spectrum:
    """Return a sum of Gaussians in energy, one for each excitation.

    Parameters
    ----------
    energies
        Excitation energies / eV.
    oscillator_strengths
        Their oscillator strengths.
    fwhm_ev
        Full width at half maximum / eV.
    wavelengths
        Where to evaluate / nm; by default 400 points from 3 widths above the highest to 3 below the
        lowest excitation.

    Returns
    -------
    Spectrum
        Molar absorption at the wavelengths.

    Raises
    ------
    InputError
        If there is no excitation, an energy or the width is not positive.
    """
    centres = np.asarray(energies, dtype=float)
    strengths = np.asarray(oscillator_strengths, dtype=float)
    if centres.size == 0 or centres.shape != strengths.shape or not (centres > 0).all():
        raise InputError("a spectrum needs positive excitation energies, one oscillator strength each")
    if not fwhm_ev > 0:
        raise InputError(f"the width must be positive (eV), not {fwhm_ev}")
    if wavelengths is None:
        low = max(centres.min() - 3 * fwhm_ev, 0.2)
        grid = EV_NM / np.linspace(centres.max() + 3 * fwhm_ev, low, 400)
    else:
        grid = np.sort(np.asarray(wavelengths, dtype=float))
    per_ev = broadened(centres, strengths, EV_NM / grid, fwhm_ev)
    return Spectrum(grid, per_ev * EV_PER_CM / STRENGTH_PER_AREA)


def broadened(
    centres: Sequence[float] | np.ndarray,
    weights: Sequence[float] | np.ndarray,
    energies: np.ndarray,
    fwhm_ev: float,
) -> np.ndarray:
    """Return a sum of normalised Gaussians / eV⁻¹ at `energies` / eV.

    Parameters
    ----------
    centres, weights
        Energy / eV and integral of each Gaussian.
    energies
        Where to evaluate / eV.
    fwhm_ev
        Full width at half maximum / eV.
    """
    sigma = fwhm_ev / (2 * np.sqrt(2 * np.log(2)))
    offset = (energies[:, None] - np.asarray(centres)) / sigma
    return np.asarray(np.exp(-(offset**2) / 2) @ np.asarray(weights) / (sigma * np.sqrt(2 * np.pi)))
