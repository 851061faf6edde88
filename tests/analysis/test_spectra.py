"""A broadened spectrum keeps the oscillator strength and has its maximum where the state is."""

import numpy as np
import pytest

from mscflow.analysis.spectra import EV_NM, EV_PER_CM, absorption_spectrum
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
