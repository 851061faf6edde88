"""Free energies from harmonic frequencies: rigid rotor, soft modes between vibration and rotation.

Translation, rotation and spin are those of an ideal gas; the entropy of a soft mode goes over into that of a
free rotor (S. Grimme, Chem. Eur. J. 2012, 18, 9955). All by ASE's `thermochemistry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import units
from ase.thermochemistry import IdealGasThermo, MSRRHOThermo

from mscflow.cluster import Cluster
from mscflow.errors import InputError

ATMOSPHERE = 101325.0
"""Standard pressure / Pa. One mole per litre at 298 K is 24.8 bar."""

ROTOR_BELOW = 100.0
"""Wavenumber at which a mode is half vibration, half rotation / cm⁻¹: the published value."""


@dataclass(frozen=True)
class Thermochemistry:
    """Thermal properties of a molecule at one temperature and pressure.

    Parameters
    ----------
    temperature, pressure
        Temperature / K and pressure / Pa.
    energy
        Electronic energy / eV.
    enthalpy, entropy
        Enthalpy / eV and entropy / eV/K.
    """

    temperature: float
    pressure: float
    energy: float
    enthalpy: float
    entropy: float

    @property
    def gibbs(self) -> float:
        """Gibbs energy / eV."""
        return self.enthalpy - self.temperature * self.entropy

    @property
    def correction(self) -> float:
        """Gibbs energy minus electronic energy / eV."""
        return self.gibbs - self.energy


def thermochemistry(
    cluster: Cluster,
    energy: float,
    frequencies: Sequence[float] | np.ndarray,
    temperature: float = 298.15,
    pressure: float = ATMOSPHERE,
    symmetry_number: int = 1,
    is_linear: bool = False,
) -> Thermochemistry:
    """Return the thermal properties of a molecule.

    Parameters
    ----------
    cluster
        The structure: masses, moments of inertia, multiplicity.
    energy
        Its electronic energy / eV.
    frequencies
        Wavenumbers / cm⁻¹ of the 3N − 6 (linear: 3N − 5) modes; imaginary ones are negative and count like
        real ones, as Grimme recommends for small ones.
    temperature, pressure
        Temperature / K and pressure / Pa.
    symmetry_number
        Number of rotations that change nothing.
    is_linear
        Whether there are two rotations only.

    Raises
    ------
    InputError
        If temperature or pressure is not positive, or a frequency is zero.
    """
    if not temperature > 0 or not pressure > 0:
        raise InputError(f"temperature and pressure must be positive, not {temperature} K and {pressure} Pa")
    wavenumbers = np.abs(np.asarray(frequencies, dtype=float))
    if (wavenumbers == 0).any():
        raise InputError("a frequency is zero: translations and rotations are no vibrations")
    atoms = cluster.to_ase()
    geometry = "monatomic" if len(cluster) == 1 else "linear" if is_linear else "nonlinear"
    whole = IdealGasThermo(
        [],
        geometry,
        atoms=atoms,
        symmetrynumber=symmetry_number,
        spin=(cluster.multiplicity - 1) / 2,
        vib_selection="all",
    )
    enthalpy = energy + whole.get_enthalpy(temperature, verbose=False)
    entropy = whole.get_entropy(temperature, pressure, verbose=False)
    if len(wavenumbers):
        modes = MSRRHOThermo(wavenumbers * units.invcm, atoms, tau=ROTOR_BELOW)
        enthalpy += modes.get_internal_energy(temperature, verbose=False)
        entropy += modes.get_entropy(temperature, verbose=False)
    return Thermochemistry(temperature, pressure, energy, float(enthalpy), float(entropy))
