"""The screened repulsion of nuclei that keeps MACE models from holes at short distances.

Ziegler, Biersack & Littmark, "The Stopping and Range of Ions in Matter", 1985, faded out at the sum of
covalent radii, as in mace-torch's ``ZBLBasis``; here for given pairs, with its derivative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

COULOMB = 14.3996
"""e²/(4πε₀) / eV·Å, with the digits of mace-torch."""

BOHR = 0.529
"""Bohr radius / Å, with the digits of mace-torch."""

DECAYS = np.array([3.2, 0.9423, 0.4028, 0.2016])
"""Decay constants of the four terms of the screening function in units of the screening length."""


@dataclass(frozen=True)
class Repulsion:
    """Parameters of the repulsion in a model.

    Parameters
    ----------
    weights
        Weights of the four terms of the screening function.
    exponent, prefactor
        The screening length is prefactor · Bohr / (Z₁^exponent + Z₂^exponent).
    order
        Order p of the envelope.
    radii
        Covalent radii by atomic number / Å.
    scale
        Factor of the energy.
    """

    weights: np.ndarray
    exponent: float
    prefactor: float
    order: int
    radii: np.ndarray
    scale: float

    @classmethod
    def of_model(cls, model: Any) -> Repulsion:
        """Return the parameters of a ``ScaleShiftMACE``."""
        basis = model.pair_repulsion_fn
        return cls(
            weights=basis.c.double().cpu().numpy(),
            exponent=float(basis.a_exp),
            prefactor=float(basis.a_prefactor),
            order=int(basis.p),
            radii=basis.covalent_radii.double().cpu().numpy(),
            scale=float(model.scale_shift.scale.reshape(-1)[0]),
        )

    def reach(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the distance / Å from which on two elements do not repel each other."""
        return self.radii[first] + self.radii[second]

    def __call__(self, r: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return energies / eV and their derivatives / eV/Å of pairs.

        Parameters
        ----------
        r
            Distances / Å, shape (n_pairs,).
        first, second
            Atomic numbers, shape (n_pairs,).
        """
        screening = self.prefactor * BOHR / (first**self.exponent + second**self.exponent)
        terms = self.weights * np.exp(-DECAYS * (r / screening)[:, None])
        bare = COULOMB * first * second / r
        energy = bare * terms.sum(axis=1)
        slope = -energy / r - bare * (terms @ DECAYS) / screening
        p, reach = self.order, self.reach(first, second)
        t = np.minimum(r / reach, 1.0)
        powers = 0.5 * (p + 1) * (p + 2), p * (p + 2), 0.5 * p * (p + 1)
        envelope = 1 - t**p * (powers[0] - t * (powers[1] - t * powers[2]))
        falling = -0.5 * p * (p + 1) * (p + 2) * t ** (p - 1) * (1 - t) ** 2 / reach
        return self.scale * energy * envelope, self.scale * (slope * envelope + energy * falling)
