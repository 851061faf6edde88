"""Dispersion energies and forces that are added to the density functional."""

from __future__ import annotations

import numpy as np
from ase.units import Bohr, Hartree

from mscflow.cluster import Cluster
from mscflow.levels.pyscf import PySCF


def dispersion(cluster: Cluster, level: PySCF) -> tuple[float, np.ndarray]:
    """Return the dispersion energy / eV and forces / eV/Å of a cluster; zero if the level has none.

    D3(BJ): two-body terms with the functional's damping parameters (Grimme, Ehrlich, Goerigk, J. Comput.
    Chem. 2011, 32, 1456), without the three-body term. D4: with it (Caldeweyher et al., J. Chem. Phys. 2019,
    150, 154122). The energy is that of the isolated molecule, in a periodic box too.
    """
    if level.dispersion is None:
        return 0.0, np.zeros((len(cluster), 3))
    from pyscf.dispersion import dftd3, dftd4

    from mscflow.levels.dft.molecule import molecule

    mol = molecule(cluster, level)
    if level.dispersion == "d4":
        model = dftd4.DFTD4Dispersion(mol, xc=level.xc)
    else:
        model = dftd3.DFTD3Dispersion(mol, xc=level.xc, version=level.dispersion, atm=False)
    result = model.get_dispersion(grad=True)
    return float(result["energy"]) * Hartree, -np.asarray(result["gradient"]) * Hartree / Bohr
