"""The Coulomb matrix from stored integrals is PySCF's."""

import numpy as np
import pytest
from pyscf import df

from mscflow.builder import precursor
from mscflow.levels import PySCF
from mscflow.levels.dft.coulomb import StoredIntegrals
from mscflow.levels.dft.molecule import molecule

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
    assert len(ours.kept.pairs) < 0.6 * pair.nao * (pair.nao + 1) / 2


@pytest.mark.parametrize("part", [0.5, 0.0], ids=["single precision", "none stored"])
def test_with_little_memory_a_converging_density_ends_at_the_matrix_of_pyscf(part):
    mol = molecule(precursor("Zn2+", "chloride"), LEVEL)
    whole, theirs = StoredIntegrals(mol, LEVEL.auxiliary_basis), df.DF(mol, LEVEL.auxiliary_basis)
    ours = StoredIntegrals(mol, LEVEL.auxiliary_basis, part * whole.kept.stored_gib)
    assert ours.kept.stored_gib == pytest.approx(part * whole.kept.stored_gib)
    end, step = np.random.default_rng(1).normal(size=(2, 1, mol.nao, mol.nao))
    end, step, last = end + end.transpose(0, 2, 1), step + step.transpose(0, 2, 1), np.zeros_like(end)
    for distance in (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 0.0, 0.0):
        density = end + distance * step
        found = ours.get_jk(density, with_k=False)[0]
        error = np.abs(found - theirs.get_jk(density, with_k=False)[0]).max()
        assert error < 1e-3 * np.abs(density - last).max() + 1e-9
        last = density
    small = ours.get_jk(1e-3 * step, with_k=False)[0]
    assert small == pytest.approx(theirs.get_jk(1e-3 * step, with_k=False)[0], rel=1e-5, abs=1e-7)
    assert ours.fit(end) == pytest.approx(whole.fit(end), abs=1e-9)


def test_another_geometry_has_its_own_integrals():
    one = precursor("Zn2+", "chloride")
    mol, other = molecule(one, LEVEL), molecule(one.replace(positions=1.1 * one.positions), LEVEL)
    fitting, fresh = (
        StoredIntegrals(mol, LEVEL.auxiliary_basis),
        StoredIntegrals(other, LEVEL.auxiliary_basis),
    )
    density = np.eye(mol.nao)
    fitting.get_jk(density, with_k=False)
    found = fitting.reset(other).get_jk(density, with_k=False)[0]
    assert np.array_equal(found, fresh.get_jk(density, with_k=False)[0])


def test_exchange_is_left_to_pyscf():
    mol = molecule(precursor("Zn2+", "chloride"), LEVEL)
    ours, theirs = StoredIntegrals(mol, LEVEL.auxiliary_basis), df.DF(mol, LEVEL.auxiliary_basis)
    density = np.eye(mol.nao)
    for mine, reference in zip(ours.get_jk(density), theirs.get_jk(density), strict=True):
        assert np.abs(mine - reference).max() < 1e-9
