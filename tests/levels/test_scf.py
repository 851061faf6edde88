"""Ground states and gradients of our own code are those of PySCF."""

import numpy as np
import pytest

from mscflow.builder import precursor
from mscflow.builder.fragments import fragment
from mscflow.levels import parse_level
from mscflow.levels.pyscf import PySCF

LEVEL = parse_level("pbe/def2-svp[grid=0]")
assert isinstance(LEVEL, PySCF)


def test_every_rung_of_the_ladder_ends_in_the_same_energy():
    from mscflow.levels import scf

    cluster = fragment("Zn", "chloride")
    energies = []
    for rung in scf.RUNGS:
        mf = scf.mean_field(cluster, LEVEL)
        density, _ = scf.initial_density(cluster, LEVEL, mf.mol)
        scf._run(mf, density.sum(axis=0), 1e-8, rung)
        energies.append(mf.e_tot)
    assert np.ptp(energies) < 1e-6


@pytest.mark.parametrize(
    "cluster", [fragment("Cd", "chloride"), precursor("Mn2+", "chloride")], ids=["core potential", "sextet"]
)
def test_gradients_are_those_of_pyscf(cluster):
    from mscflow.levels.gradient import gradient
    from mscflow.levels.scf import ground_state

    mf = ground_state(cluster, LEVEL).mf
    ours = gradient(mf)
    method = mf.nuc_grad_method()
    method.verbose = 0
    np.testing.assert_allclose(ours, method.kernel(), atol=2e-7)
