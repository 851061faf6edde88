"""Where the hole and the electron of an excited state are.

Natural transition orbitals: R. L. Martin, J. Chem. Phys. 2003, 118, 4775. Shares of pairs of parts: the
charge-transfer numbers of Plasser, Wormit & Dreuw, J. Chem. Phys. 2014, 141, 024106, in Löwdin's orbitals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

RESOLUTION, MARGIN = 0.4, 4.0
"""Grid of the cube files / bohr: spacing, and distance of the faces from the outermost atoms."""


class Transitions:
    """Excited states of a closed-shell mean field, by atoms.

    Parameters
    ----------
    mf
        PySCF's mean-field object.
    """

    def __init__(self, mf: Any) -> None:
        self._mol = mf.mol
        full = mf.mo_occ > 0
        self._occupied, self._virtual = mf.mo_coeff[:, full], mf.mo_coeff[:, ~full]
        values, vectors = np.linalg.eigh(mf.get_ovlp())
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        self._holes, self._electrons = root @ self._occupied, root @ self._virtual
        first = self._mol.aoslice_by_atom()[:, 2:]
        self._atom_of = np.repeat(np.arange(len(first)), first[:, 1] - first[:, 0])

    def shares(self, amplitudes: np.ndarray, part_of: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return for each part in which the hole is the shares of the parts in which the electron is.

        Parameters
        ----------
        amplitudes
            Occupied × virtual, any norm.
        part_of
            Part of each atom.

        Returns
        -------
        dict
            ``{hole: {electron: share}}``; all shares add up to 1.
        """
        density = (self._holes @ amplitudes @ self._electrons.T) ** 2
        density /= density.sum()
        function_part = np.array(part_of)[self._atom_of]
        parts = sorted(set(part_of))
        return {
            hole: {
                electron: float(density[function_part == hole][:, function_part == electron].sum())
                for electron in parts
            }
            for hole in parts
        }

    def natural_orbitals(self, amplitudes: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return weight, hole and electron orbital (coefficients) of the dominant pair."""
        left, values, right = np.linalg.svd(amplitudes, full_matrices=False)
        weight = float(values[0] ** 2 / (values**2).sum())
        return weight, self._occupied @ left[:, 0], self._virtual @ right[0]

    def write_cubes(self, states: Mapping[str, np.ndarray], directory: Path) -> list[Path]:
        """Write hole and electron orbital of the dominant pair of each state as cube files.

        Parameters
        ----------
        states
            Amplitudes by the name of the state, which begins the name of its files.
        directory
            Where ``NAME-hole.cube`` and ``NAME-electron.cube`` go.
        """
        from pyscf.tools import cubegen

        directory.mkdir(parents=True, exist_ok=True)
        written = []
        for name, amplitudes in states.items():
            _, hole, electron = self.natural_orbitals(amplitudes)
            for kind, orbital in (("hole", hole), ("electron", electron)):
                path = directory / f"{name}-{kind}.cube"
                cubegen.orbital(self._mol, str(path), orbital, resolution=RESOLUTION, margin=MARGIN)
                written.append(path)
        return written
