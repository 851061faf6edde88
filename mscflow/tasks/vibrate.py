"""Harmonic vibrations of a cluster: frequencies, zero-point energy, what moves, whether it is a minimum."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from mscflow.analysis.modes import NormalModes, normal_modes, shares_by, stretches
from mscflow.analysis.symmetry import symmetry_number
from mscflow.analysis.thermochemistry import ATMOSPHERE, Thermochemistry, thermochemistry
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.levels import Level, parse_level
from mscflow.levels.hessian import DISPLACEMENT, HessianMethod, hessian
from mscflow.tasks.document import TaskDocument, input_hash
from mscflow.topology import topology

STRETCH = 0.5
"""Part of the motion along bonds of one kind from which a mode is called their stretching."""

SAME = 0.05
"""How far / Å an atom may lie from where a rotation puts another one, for the symmetry number."""

NAMED = 0.2
"""Part of the kinetic energy from which an element is named in the description of a mode."""


def _array(value: Any) -> np.ndarray | None:
    """Return an array; a reference to the data store (a mapping) is left there."""
    return None if value is None or isinstance(value, dict) else np.asarray(value, dtype=float)


Array = Annotated[
    np.ndarray | None,
    BeforeValidator(_array),
    PlainSerializer(lambda array: None if array is None else array.tolist()),
]


class Mode(BaseModel):
    """One normal mode.

    Attributes
    ----------
    frequency
        Wavenumber / cm⁻¹; negative where it is imaginary.
    reduced_mass
        Reduced mass / amu, of Cartesian displacements of length one.
    intensity
        Infrared intensity / km/mol, double-harmonic; None where the level has no dipole.
    description
        What moves, e.g. ``C–H stretching``.
    elements, roles
        Part of the kinetic energy by element, and by role of the atoms in the cluster; each sums to one.
    stretching
        Part of the motion that is stretching, by kind of bond; see `mscflow.analysis.modes.stretches`.
    """

    model_config = ConfigDict(extra="forbid")

    frequency: float
    reduced_mass: float
    intensity: float | None = None
    description: str
    elements: dict[str, float]
    roles: dict[str, float]
    stretching: dict[str, float]


class Vibrations(TaskDocument):
    """Harmonic vibrations of a structure.

    Attributes
    ----------
    energy
        Electronic energy / eV.
    max_force
        Largest force on an atom / eV/Å: a minimum or saddle point has none.
    fmax
        Force up to which the structure counts as stationary / eV/Å.
    modes
        The 3N − 6 (linear: 3N − 5) modes in order of frequency.
    displacements
        Cartesian displacements of length one, shape (n_modes, n_atoms, 3); None where they were left in
        the data store.
    zero_point_energy
        Half of the sum of ħω over the real modes / eV.
    n_imaginary
        Number of imaginary modes.
    is_minimum
        Whether the structure is stationary and no mode is imaginary.
    is_linear
        Whether the molecule has two rotations only.
    residual
        Largest wavenumber of translations and rotations before they were projected out / cm⁻¹.
    asymmetry
        Largest asymmetry of the Hessian as computed / eV/Å².
    method
        How the Hessian was computed.
    n_force_calls
        Number of energy and gradient evaluations.
    intensities
        Where infrared intensities come from, or why there are none.
    symmetry_number
        Number of rotations that put the whole molecule onto itself, for its rotational entropy.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    energy: float
    max_force: float
    fmax: float
    modes: list[Mode]
    displacements: Array = None
    zero_point_energy: float
    n_imaginary: int
    is_minimum: bool
    is_linear: bool
    residual: float
    asymmetry: float
    method: str
    n_force_calls: int
    intensities: str
    symmetry_number: int = 1

    @property
    def frequencies(self) -> np.ndarray:
        """Wavenumbers / cm⁻¹, shape (n_modes,)."""
        return np.array([mode.frequency for mode in self.modes])

    def thermochemistry(self, temperature: float = 298.15, pressure: float = ATMOSPHERE) -> Thermochemistry:
        """Return enthalpy, entropy and Gibbs energy at a temperature / K and pressure / Pa."""
        return thermochemistry(
            self.cluster,
            self.energy,
            self.frequencies,
            temperature,
            pressure,
            self.symmetry_number,
            self.is_linear,
        )


def vibrate(
    cluster: Cluster,
    level: str | Level = "mace:msc-small",
    method: HessianMethod | None = None,
    displacement: float = DISPLACEMENT,
    fmax: float = 0.05,
    progress: Callable[[int, int], None] | None = None,
    state_file: str | Path | None = None,
) -> Vibrations:
    """Compute the harmonic vibrations of a relaxed cluster.

    Translations and rotations are projected out of the mass-weighted Hessian (standard atomic masses).

    Parameters
    ----------
    cluster
        The structure, relaxed at the same level: frequencies mean little elsewhere.
    level
        Level of theory, or its text form.
    method
        ``"analytic"`` (MACE only, its default) or ``"finite differences"`` (6N force calls).
    displacement
        Displacement of finite differences / Å.
    fmax
        Force up to which the structure counts as stationary / eV/Å.
    progress
        Called with the number of force calls done, and of all.
    state_file
        Where finished differences are kept while they are computed; where the file exists the task goes on
        from it, and ends as one that was never interrupted but for the noise of self-consistent fields, which
        begin from another one. Analytic Hessians need none.

    Returns
    -------
    Vibrations
        Frequencies / cm⁻¹, zero-point energy / eV, modes; infrared intensities at xTB levels.

    Raises
    ------
    InputError
        If the cluster is one atom, a number is out of range, the level cannot represent the cluster or has
        no such Hessian, or the state file belongs to another task.
    CalculationError
        If a force is not finite.
    OutOfTimeError
        If there is a state file and the process will be ended soon; see `mscflow.clock`.
    """
    level = parse_level(level)
    if len(cluster) == 1:
        raise InputError(f"{cluster.name or cluster.formula} is one atom: it has no vibrations")
    if not fmax > 0:
        raise InputError(f"fmax must be positive (eV/Å), not {fmax}")
    warnings = level.require(cluster)
    started = time.perf_counter()
    path = None if state_file is None else Path(state_file)
    second = hessian(cluster, level, method, displacement, progress, path)
    modes = normal_modes(cluster, second.hessian)
    intensities = None
    if second.dipole_derivatives is not None:
        intensities = modes.intensities(second.dipole_derivatives)
    max_force = float(np.linalg.norm(second.forces, axis=1).max())
    n_imaginary = int((modes.frequencies < 0).sum())
    if max_force > fmax:
        warnings.append(
            f"not a stationary point: largest force {max_force:.3f} eV/Å (more than {fmax}); relax it "
            f"at {level.text} first"
        )
    if n_imaginary:
        warnings.append(
            f"{n_imaginary} imaginary mode(s), the largest {-modes.frequencies[0]:.0f}i cm⁻¹: not a minimum"
        )
    return Vibrations(
        input_hash=input_hash(
            "vibrate", cluster, level, method=second.method, displacement=displacement, fmax=fmax
        ),
        cluster=cluster,
        level=level,
        level_text=level.text,
        level_hash=level.hash,
        level_description=level.description,
        energy=second.energy,
        max_force=max_force,
        fmax=fmax,
        modes=_describe(cluster, modes, intensities),
        displacements=modes.displacements,
        zero_point_energy=modes.zero_point_energy,
        n_imaginary=n_imaginary,
        is_minimum=n_imaginary == 0 and max_force <= fmax,
        is_linear=modes.is_linear,
        residual=modes.residual,
        asymmetry=second.asymmetry,
        method=_method(second.method, displacement),
        n_force_calls=second.n_force_calls,
        intensities=(
            f"none: {level.text} has no dipole moment"
            if intensities is None
            else f"dipole moments of {level.text}, finite differences, double-harmonic"
        ),
        symmetry_number=symmetry_number(cluster, SAME),
        wall_time_s=time.perf_counter() - started,
        warnings=warnings,
    )


def _method(method: HessianMethod, displacement: float) -> str:
    if method == "analytic":
        return "second derivatives of the network"
    return f"central differences of forces, ±{displacement} Å"


def _describe(cluster: Cluster, modes: NormalModes, intensities: np.ndarray | None) -> list[Mode]:
    shares = modes.shares
    rows = zip(
        modes.frequencies.tolist(),
        modes.reduced_masses.tolist(),
        [None] * len(modes.frequencies) if intensities is None else intensities.tolist(),
        shares_by(cluster.symbols, shares),
        shares_by([str(role) for role in topology(cluster).roles], shares),
        stretches(cluster, modes),
        strict=True,
    )
    return [
        Mode(
            frequency=frequency,
            reduced_mass=mass,
            intensity=intensity,
            description=_name(elements, stretching),
            elements=elements,
            roles=roles,
            stretching=stretching,
        )
        for frequency, mass, intensity, elements, roles, stretching in rows
    ]


def _name(elements: dict[str, float], stretching: dict[str, float]) -> str:
    strong = [bond for bond, share in stretching.items() if share >= STRETCH]
    if strong:
        return f"{', '.join(strong)} stretching"
    moving = ", ".join(element for element, share in elements.items() if share >= NAMED)
    return f"{moving} bending or torsion" if stretching else f"motion of {moving}"  # no bonds are known
