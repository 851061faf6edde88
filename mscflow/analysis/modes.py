"""Normal modes of a molecule from its Hessian, and what moves in each.

Wilson, Decius & Cross, *Molecular Vibrations* (1955), chapters 2 and 11. In mass-weighted coordinates
q = √m·x the force-constant matrix is diagonalised in the space orthogonal to the translations and to the
infinitesimal rotations about the centre of mass, so that exactly 3N − 6 (linear: 3N − 5) modes remain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from ase.units import _amu, _c, _e, _eps0, _hbar, _Nav
from scipy.linalg import eigh, orth, qr

from mscflow.chemistry import METALS
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.optimize.rigid import rigid_motions
from mscflow.topology import topology

ANGULAR = np.sqrt(_e / _amu) * 1e10
"""ω / s⁻¹ of a mode whose mass-weighted force constant is 1 eV/(Å² amu)."""

WAVENUMBER = ANGULAR / (2 * np.pi * _c * 100)
"""The same / cm⁻¹."""

QUANTUM = _hbar * ANGULAR / _e
"""The same, ħω / eV."""

INTENSITY = _Nav * _e**2 / (12 * _eps0 * _c**2 * _amu) / 1000
"""Infrared intensity / km/mol of a mode with a dipole derivative of 1 e/√amu."""


@dataclass(frozen=True)
class NormalModes:
    """Normal modes, in order of frequency.

    Parameters
    ----------
    frequencies
        Wavenumbers / cm⁻¹, shape (n_modes,); imaginary ones are negative.
    vectors
        Orthonormal displacements in mass-weighted coordinates, shape (n_modes, n_atoms, 3).
    masses
        Masses of the atoms / amu, shape (n_atoms,).
    is_linear
        Whether the molecule has two rotations only.
    residual
        Largest absolute wavenumber among translations and rotations before they were projected out / cm⁻¹.
        It is zero at a stationary point of an exact Hessian.
    """

    frequencies: np.ndarray
    vectors: np.ndarray
    masses: np.ndarray
    is_linear: bool
    residual: float

    @property
    def zero_point_energy(self) -> float:
        """Half of the sum of ħω of the real modes / eV."""
        real = self.frequencies[self.frequencies > 0]
        return float(0.5 * real.sum() * QUANTUM / WAVENUMBER)

    @property
    def reduced_masses(self) -> np.ndarray:
        """Reduced masses / amu, shape (n_modes,): those of Cartesian displacements of length one."""
        return 1 / (self.vectors**2 / self.masses[:, None]).sum(axis=(1, 2))

    @property
    def displacements(self) -> np.ndarray:
        """Cartesian displacements of length one, shape (n_modes, n_atoms, 3)."""
        moved = self.vectors / np.sqrt(self.masses)[:, None]
        return moved * np.sqrt(self.reduced_masses)[:, None, None]

    @property
    def shares(self) -> np.ndarray:
        """Part of the kinetic energy that each atom has, shape (n_modes, n_atoms); rows sum to one."""
        return (self.vectors**2).sum(axis=2)

    def intensities(self, dipole_derivatives: np.ndarray) -> np.ndarray:
        """Return infrared intensities in the double-harmonic approximation / km/mol, shape (n_modes,).

        Parameters
        ----------
        dipole_derivatives
            Derivatives of the dipole moment / e, shape (n_atoms, 3, 3): atom, axis of motion, component.
        """
        moved = self.vectors / np.sqrt(self.masses)[:, None]
        return INTENSITY * (np.einsum("nax,axk->nk", moved, dipole_derivatives) ** 2).sum(axis=1)


def normal_modes(cluster: Cluster, hessian: np.ndarray) -> NormalModes:
    """Return the normal modes of a cluster.

    Parameters
    ----------
    cluster
        Elements (standard atomic masses) and coordinates.
    hessian
        Second derivatives of the energy / eV/Å², shape (3 n_atoms, 3 n_atoms); its symmetric part is used.

    Raises
    ------
    InputError
        If the Hessian has another shape or is not finite.
    """
    size = 3 * len(cluster)
    if hessian.shape != (size, size) or not np.isfinite(hessian).all():
        raise InputError(
            f"{len(cluster)} atoms need a finite Hessian of shape ({size}, {size}), not {hessian.shape}"
        )
    masses = atomic_masses[cluster.numbers]
    root = np.sqrt(np.repeat(masses, 3))
    weighted = 0.5 * (hessian + hessian.T) / np.outer(root, root)
    external = rigid_motions(cluster.positions, masses)
    basis = qr(external)[0]
    n_external = external.shape[1]
    outer, inner = basis[:, :n_external], basis[:, n_external:]
    values, vectors = eigh(inner.T @ weighted @ inner) if inner.size else (np.empty(0), np.empty((0, 0)))
    return NormalModes(
        frequencies=_wavenumbers(values),
        vectors=(inner @ vectors).T.reshape(-1, len(cluster), 3),
        masses=masses,
        is_linear=n_external == 5,  # three translations and two rotations
        residual=float(np.abs(_wavenumbers(np.linalg.eigvalsh(outer.T @ weighted @ outer))).max()),
    )


def _wavenumbers(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.sqrt(np.abs(values)) * WAVENUMBER


def shares_by(labels: Sequence[str], shares: np.ndarray) -> list[dict[str, float]]:
    """Return the kinetic energy of each mode by label of its atoms, largest part first.

    Parameters
    ----------
    labels
        One per atom, e.g. elements or roles.
    shares
        `NormalModes.shares`.
    """
    kinds = sorted(set(labels))
    member = np.array([[label == kind for kind in kinds] for label in labels], dtype=float)
    return [_sorted(dict(zip(kinds, row.tolist(), strict=True))) for row in shares @ member]


def stretches(cluster: Cluster, modes: NormalModes) -> list[dict[str, float]]:
    """Return how much of each mode is stretching of bonds, by kind of bond, largest part first.

    The part of a kind is the squared projection of the mode on the space that the mass-weighted stretching
    coordinates (Wilson's s vectors) of all bonds of the kind span: one for every mode of CO2 but the
    bending ones, where it is zero. Kinds whose bonds share atoms overlap: the parts need not add up to one.

    Parameters
    ----------
    cluster
        The structure; bonds are those of `mscflow.topology`.
    modes
        Its normal modes.
    """
    kinds: dict[str, list[np.ndarray]] = {}
    for i, j in topology(cluster).graph.edges:
        along = cluster.positions[i] - cluster.positions[j]
        vector = np.zeros((len(cluster), 3))
        vector[i], vector[j] = along / np.sqrt(modes.masses[i]), -along / np.sqrt(modes.masses[j])
        kinds.setdefault(_bond(cluster.symbols[i], cluster.symbols[j]), []).append(vector.ravel())
    flat = modes.vectors.reshape(len(modes.frequencies), -1)
    parts = {kind: ((flat @ orth(np.array(v).T)) ** 2).sum(axis=1) for kind, v in sorted(kinds.items())}
    return [_sorted({kind: float(part[n]) for kind, part in parts.items()}) for n in range(len(flat))]


def _bond(one: str, other: str) -> str:
    """Name a kind of bond as chemists do: metal first, hydrogen last, carbon before the rest."""

    def place(symbol: str) -> tuple[bool, bool, bool, int]:
        return symbol not in METALS, symbol == "H", symbol != "C", -atomic_numbers[symbol]

    return "–".join(sorted((one, other), key=place))


def _sorted(parts: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(parts.items(), key=lambda item: -item[1]))
