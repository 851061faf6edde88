"""Thermal properties against tables, and their limits."""

import numpy as np
import pytest
from ase import units
from ase.build import molecule

from mscflow.analysis.thermochemistry import ATMOSPHERE, thermochemistry
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.tasks.relax import relax
from mscflow.tasks.vibrate import Vibrations, vibrate

J_MOL_K = units.mol / units.J
WATER = Cluster.from_ase(molecule("H2O"))
WAVENUMBERS = (1595.0, 3657.0, 3756.0)
"""Fundamentals of water / cm⁻¹ (Shimanouchi, NSRDS-NBS 39)."""


def test_water_has_its_tabulated_entropy():
    found = thermochemistry(WATER, -5.0, WAVENUMBERS, symmetry_number=2, pressure=1e5)
    assert found.entropy * J_MOL_K == pytest.approx(188.8, abs=0.5)  # CODATA
    zero_point = 0.5 * sum(WAVENUMBERS) * units.invcm
    above = (found.enthalpy + 5.0 - zero_point) * units.mol / units.kJ
    assert above == pytest.approx(9.9, abs=0.1)  # H(298) − H(0), JANAF
    assert found.gibbs == pytest.approx(found.enthalpy - 298.15 * found.entropy)


def test_ammonia_has_the_entropy_of_its_symmetry():
    found = vibrate(relax(Cluster.from_ase(molecule("NH3")), "gfn2-xtb", fmax=0.005).cluster, "gfn2-xtb")
    assert found.symmetry_number == 3
    entropy = found.thermochemistry(298.15, 1e5).entropy * J_MOL_K
    assert entropy == pytest.approx(192.8, abs=1.0)  # CODATA
    old = Vibrations(**found.model_dump(exclude={"symmetry_number"}))
    assert old.thermochemistry(298.15, 1e5).entropy * J_MOL_K - entropy == pytest.approx(
        8.314 * np.log(3), 1e-3
    )


def test_pressure_and_spin_enter_as_in_an_ideal_gas():
    low, high = (thermochemistry(WATER, 0.0, WAVENUMBERS, pressure=p) for p in (ATMOSPHERE, 24 * ATMOSPHERE))
    assert high.gibbs - low.gibbs == pytest.approx(units.kB * 298.15 * np.log(24))
    triplet = thermochemistry(WATER.replace(multiplicity=3), 0.0, WAVENUMBERS)
    assert triplet.entropy - low.entropy == pytest.approx(units.kB * np.log(3))


def test_a_soft_mode_has_the_entropy_of_a_rotor_and_not_more():
    stiff = thermochemistry(WATER, 0.0, WAVENUMBERS).entropy
    soft = [thermochemistry(WATER, 0.0, (w, 3657.0, 3756.0)).entropy - stiff for w in (10.0, 1.0, 0.1)]
    assert max(soft) * J_MOL_K < 25
    assert thermochemistry(WATER, 0.0, (-30.0, 3657.0, 3756.0)).entropy == pytest.approx(
        thermochemistry(WATER, 0.0, (30.0, 3657.0, 3756.0)).entropy
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "must be positive"),
        ({"pressure": -1.0}, "must be positive"),
        ({"frequencies": (0.0, 1000.0, 2000.0)}, "a frequency is zero"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        thermochemistry(WATER, 0.0, **{"frequencies": WAVENUMBERS, **arguments})
