"""A broadened spectrum keeps the oscillator strength and has its maximum where the state is."""

import numpy as np
import pytest

from mscflow.analysis.spectra import (
    EV_NM,
    EV_PER_CM,
    absorption_spectrum,
    compare,
    first_maximum,
    read_spectrum,
)
from mscflow.errors import InputError


def test_the_area_is_the_oscillator_strength():
    spectrum = absorption_spectrum(
        [3.0, 3.4, 4.1], [0.2, 0.05, 0.6], wavelengths=np.linspace(150, 900, 20001)
    )
    wavenumbers = 1e7 / spectrum.wavelengths
    area = np.trapezoid(spectrum.epsilon[::-1], wavenumbers[::-1])
    assert 4.319e-9 * area == pytest.approx(0.85, rel=1e-3)


def test_the_maximum_and_width_are_those_of_the_state():
    spectrum = absorption_spectrum([3.2], [1.0], fwhm_ev=0.3, wavelengths=np.linspace(330, 460, 5001))
    assert spectrum.lambda_max == pytest.approx(EV_NM / 3.2, abs=0.1)
    energies = EV_NM / spectrum.wavelengths[spectrum.epsilon > spectrum.epsilon.max() / 2]
    assert energies.max() - energies.min() == pytest.approx(0.3, abs=0.01)
    assert list(spectrum.table.columns) == ["wavelength_nm", "epsilon"]


def test_known_conversions():
    assert pytest.approx(1239.84, abs=0.01) == EV_NM
    assert pytest.approx(8065.5, abs=0.1) == 1 / EV_PER_CM


@pytest.mark.parametrize(
    ("energies", "strengths", "width"), [([], [], 0.2), ([-1.0], [1.0], 0.2), ([1.0], [1.0], 0)]
)
def test_bad_input(energies, strengths, width):
    with pytest.raises(InputError, match="positive"):
        absorption_spectrum(energies, strengths, fwhm_ev=width)


def test_a_spectrum_without_absorbance_is_refused(tmp_path):
    file = tmp_path / "dark.csv"
    file.write_text("".join(f"{400 + i}, {-0.01 * i}\n" for i in range(20)))
    with pytest.raises(InputError, match=r"dark.csv: a spectrum needs a positive absorbance"):
        read_spectrum(file)


def test_a_measured_spectrum_is_read_and_compared(tmp_path):
    wavelengths = np.arange(300.0, 500.0, 1.0)
    file = tmp_path / "measured.csv"
    peaks = np.exp(-(((wavelengths - 386) / 8) ** 2)) + 3 * np.exp(-(((wavelengths - 330) / 20) ** 2))
    rows = [f"{w};{a:.5f}" for w, a in zip(wavelengths[::-1], peaks[::-1], strict=True)]
    file.write_text("Wavelength (nm);Absorbance\n" + "\n".join(rows) + "\nsaved on Monday\n")
    measured = read_spectrum(file)
    assert measured.wavelengths[0] == 300
    assert len(measured.wavelengths) == len(wavelengths)
    assert first_maximum(measured.wavelengths, measured.absorbance) == pytest.approx(386, abs=1)
    computed = absorption_spectrum([3.0, 4.0], [0.1, 1.0])
    found = compare(computed, measured)
    assert found.computed_nm == pytest.approx(413, abs=2)
    assert found.error_ev == pytest.approx(3.0 - 1239.84 / 386, abs=0.02)


@pytest.mark.parametrize("separator", [";", "\t", "; "])
def test_decimal_commas_are_read(tmp_path, separator):
    wavelengths, absorbance = np.arange(400.0, 420.0, 0.5), np.linspace(0.8581, 0.1, 40)
    file = tmp_path / "measured.csv"
    rows = [f"{w:.1f}{separator}{a:.4f}" for w, a in zip(wavelengths, absorbance, strict=True)]
    file.write_text("\n".join(["nm, sample 3;A", *rows]).replace(".", ","))
    found = read_spectrum(file)
    assert found.wavelengths == pytest.approx(wavelengths)
    assert found.absorbance == pytest.approx(absorbance, abs=1e-4)


@pytest.mark.parametrize("text", ["", "no numbers\n", "400 0.1\n410 0.2\n"])
def test_a_file_without_a_spectrum_is_refused(text, tmp_path):
    file = tmp_path / "measured.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=r"measured.txt: a spectrum is lines of wavelength"):
        read_spectrum(file)
