"""Dispersion energies and forces that are added to the density functional."""

from __future__ import annotations

import numpy as np
from ase.units import Bohr, Hartree

from mscflow.cluster import Cluster
from mscflow.levels.pyscf import PySCF


def dispersion(cluster: Cluster, level: PySCF) -> tuple[float, np.ndarray]:
    """Return the D3(BJ) energy / eV and forces / eV/Å of a cluster; zero if the level has none.

    Two-body terms with the functional's damping parameters (Grimme, Ehrlich, Goerigk, J. Comput. Chem.
    2011, 32, 1456), without the three-body term, from the simple-dftd3 library behind pyscf-dispersion. The
    energy is that of the isolated molecule, in a periodic box too.
    """
    if level.dispersion is None:
        return 0.0, np.zeros((len(cluster), 3))
    from pyscf.dispersion import dftd3

    from mscflow.levels.molecule import molecule

    model = dftd3.DFTD3Dispersion(molecule(cluster, level), xc=level.xc, version=level.dispersion, atm=False)
    result = model.get_dispersion(grad=True)
    return float(result["energy"]) * Hartree, -np.asarray(result["gradient"]) * Hartree / Bohr
