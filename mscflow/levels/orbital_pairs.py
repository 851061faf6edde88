"""Differences of orbital energies: the roughest estimate of excitations, for clusters of any size."""

from __future__ import annotations

from typing import Any

import numpy as np


class OrbitalPairs:
    """One excited state per pair of an occupied and an empty orbital, in the manner of PySCF's solvers.

    Hole and electron do not feel each other, and their orbitals do not change.

    Parameters
    ----------
    mf
        PySCF's converged restricted Kohn–Sham object.

    Attributes
    ----------
    nstates
        How many are wanted.
    e
        Differences of orbital energies / Eh, ascending, shape (n_states,).
    xy
        Amplitudes (norm 1/2, occupied × virtual) and zero of each state.
    converged
        Always true.
    """

    def __init__(self, mf: Any) -> None:
        self._mf = mf
        self.nstates = 3
        self.e = np.zeros(0)
        self.xy: list[tuple[np.ndarray, int]] = []
        self.converged = np.zeros(0, dtype=bool)

    def kernel(self) -> tuple[np.ndarray, list[tuple[np.ndarray, int]]]:
        """Find the pairs of smallest difference; return their energies / Eh and amplitudes."""
        full = self._mf.mo_occ > 0
        gaps = self._mf.mo_energy[None, ~full] - self._mf.mo_energy[full, None]
        pairs = [np.unravel_index(i, gaps.shape) for i in np.argsort(gaps, axis=None)[: self.nstates]]
        self.e = np.array([gaps[pair] for pair in pairs])
        self.xy = []
        for pair in pairs:
            amplitudes = np.zeros(gaps.shape)
            amplitudes[pair] = np.sqrt(0.5)
            self.xy.append((amplitudes, 0))
        self.converged = np.ones(len(pairs), dtype=bool)
        return self.e, self.xy

    def oscillator_strength(self) -> np.ndarray:
        """Return oscillator strengths of singlets, length gauge, shape (n_states,)."""
        full = self._mf.mo_occ > 0
        occupied, virtual = self._mf.mo_coeff[:, full], self._mf.mo_coeff[:, ~full]
        dipoles = np.array([occupied.T @ part @ virtual for part in self._mf.mol.intor("int1e_r")])
        moments = np.array([2 * np.einsum("xia,ia->x", dipoles, x) for x, _ in self.xy])
        return 2 / 3 * self.e * (moments**2).sum(axis=1)
