"""The Coulomb matrix from stored integrals is PySCF's."""

import numpy as np
import pytest
from pyscf import df

from mscflow.builder import precursor
from mscflow.levels import PySCF
from mscflow.levels.coulomb import StoredIntegrals
from mscflow.levels.molecule import molecule

LEVEL = PySCF()


@pytest.fixture(scope="module")
def pair():
    """Two complexes so far apart that pairs of functions have no overlap."""
    one = precursor("Zn2+")
    positions = np.concatenate([one.positions, one.positions + np.array([0.0, 0.0, 15.0])])
    return molecule(one.replace(symbols=[*one.symbols] * 2, positions=positions), LEVEL)


def test_coulomb_matrices_equal_those_of_pyscf(pair):
    ours, theirs = StoredIntegrals(pair, LEVEL.auxiliary_basis), df.DF(pair, LEVEL.auxiliary_basis)
    densities = np.random.default_rng(1).normal(size=(2, pair.nao, pair.nao))
    expected = theirs.get_jk(densities, hermi=0, with_k=False)[0]
    assert np.abs(ours.get_jk(densities, hermi=0, with_k=False)[0] - expected).max() < 1e-9
    assert len(ours.pairs) < 0.6 * pair.nao * (pair.nao + 1) / 2


def test_exchange_is_left_to_pyscf():
    mol = molecule(precursor("Zn2+", "chloride"), LEVEL)
    ours, theirs = StoredIntegrals(mol, LEVEL.auxiliary_basis), df.DF(mol, LEVEL.auxiliary_basis)
    density = np.eye(mol.nao)
    for mine, reference in zip(ours.get_jk(density), theirs.get_jk(density), strict=True):
        assert np.abs(mine - reference).max() < 1e-9
