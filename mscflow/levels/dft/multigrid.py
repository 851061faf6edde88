"""PySCF's multigrid integrals, with responses for molecules.

This module imports PySCF at the top: import it inside functions only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyscf.pbc.dft.multigrid import MultiGridNumInt2


class MoleculeNumInt(MultiGridNumInt2):  # type: ignore[misc]
    """Multigrids whose responses take orbitals without k points: PySCF 2.14 looks for these in vain."""

    def cache_xc_kernel(
        self,
        cell: Any,
        grids: Any,
        xc_code: str,
        mo_coeff: np.ndarray,
        mo_occ: np.ndarray,
        spin: int = 0,
        kpts: np.ndarray | None = None,
        **_: Any,
    ) -> Any:
        """Return density, potential and kernel on the grid, as PySCF does with a density matrix."""
        coefficients = np.asarray(mo_coeff)
        density = (coefficients * np.asarray(mo_occ)[..., None, :]) @ coefficients.swapaxes(-1, -2)
        return self.cache_xc_kernel1(cell, grids, xc_code, density, spin, kpts)
