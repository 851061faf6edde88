"""Integrals over boxes are PySCF's, also where only a change is integrated."""

import numpy as np
import pytest
from pyscf import dft

from mscflow.builder import precursor
from mscflow.levels import PySCF
from mscflow.levels.dft.integration import LARGEST_CHANGE, BoxNumInt
from mscflow.levels.dft.molecule import molecule

MEMORY = {"stored": 4000.0, "computed again": 0.0}


@pytest.fixture(scope="module")
def zinc():
    """A molecule, its grid, and two density matrices."""
    mol = molecule(precursor("Zn2+", "chloride"), PySCF())
    grids = dft.Grids(mol)
    grids.level = 1
    grids.build()
    guesses = [np.asarray(dft.RKS(mol).get_init_guess(key=key)) for key in ("minao", "huckel")]
    return mol, grids, guesses


def moved(densities: list[np.ndarray], by: float) -> np.ndarray:
    """Return a density between two of them: the first one, changed by the norm `by` towards the second."""
    change = densities[1] - densities[0]
    assert by < np.linalg.norm(change)
    return densities[0] + by / np.linalg.norm(change) * change


def differences(found: tuple, expected: tuple) -> tuple[float, float, float]:
    """Return the largest differences of electrons, energy and matrix."""
    return tuple(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("memory", MEMORY.values(), ids=MEMORY)
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_changes_in_single_precision_end_at_the_integrals_of_pyscf(zinc, memory, is_open):
    mol, grids, densities = zinc
    if is_open:
        densities = [np.array([0.55 * density, 0.45 * density]) for density in densities]
    integrator, name = BoxNumInt(memory), "nr_uks" if is_open else "nr_rks"
    for step in (0.0, 0.8, 0.9):
        there = moved(densities, step * LARGEST_CHANGE)
        found = getattr(integrator, name)(mol, grids, "pbe", there)
    assert integrator._last.changed == pytest.approx(0.9 * LARGEST_CHANGE, abs=1e-3)
    expected = getattr(dft.numint.NumInt(), name)(mol, grids, "pbe", there)
    electrons, energy, matrix = differences(found, expected)
    assert electrons < 1e-7
    assert energy < 1e-7
    assert matrix < 1e-7


def test_a_large_change_is_integrated_in_double_precision(zinc):
    mol, grids, densities = zinc
    integrator = BoxNumInt()
    there = moved(densities, 1.01 * LARGEST_CHANGE)
    for dm in (densities[0], there):
        found = integrator.nr_rks(mol, grids, "pbe", dm)
    assert integrator._last.changed == 0.0
    expected = dft.numint.NumInt().nr_rks(mol, grids, "pbe", there)
    assert max(differences(found, expected)) < 1e-8


def test_another_functional_is_not_a_change(zinc):
    mol, grids, (density, _) = zinc
    integrator = BoxNumInt()
    for name in ("pbe", "blyp"):
        found = integrator.nr_rks(mol, grids, name, density)
    assert max(differences(found, dft.numint.NumInt().nr_rks(mol, grids, "blyp", density))) < 1e-8


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_responses_equal_those_of_pyscf(zinc, is_open):
    mol, _, (density, _) = zinc
    mf = (dft.UKS if is_open else dft.RKS)(mol, xc="pbe").density_fit()
    mf.grids.level, mf.conv_tol, mf.verbose = 1, 1e-4, 0
    mf.kernel(dump_chk=False)
    change = np.random.default_rng(3).normal(size=(2, *density.shape)) / len(density)
    change = change if is_open else change[0]
    found = []
    for integrator in (dft.numint.NumInt(), BoxNumInt()):
        mf._numint = integrator
        found.append(mf.gen_response(mf.mo_coeff, mf.mo_occ, hermi=0)(change))
    assert np.abs(found[1] - found[0]).max() < 1e-6
