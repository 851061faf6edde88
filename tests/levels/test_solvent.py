"""Solvents around a molecule: energies, gradients and responses are those of PySCF's own models."""

import re

import numpy as np
import pytest
from ase.build import molecule as molecule_of
from ase.units import Hartree
from pyscf import dft
from pyscf.solvent import smd

from mscflow.builder import precursor
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.levels import PySCF, parse_level
from mscflow.levels.dft import cost
from mscflow.levels.dft.mean_field import mean_field
from mscflow.levels.dft.molecule import molecule
from mscflow.levels.dft.ris import Response
from mscflow.levels.dft.scf import forces, ground_state
from mscflow.levels.dft.solvent import n_points, solvent
from mscflow.tasks.excite import excite

CONDUCTOR = PySCF(solvent="pyridine")
MINNESOTA = PySCF(solvent="pyridine", solvation="smd")
WATER = Cluster.from_ase(molecule_of("H2O"))


@pytest.fixture(params=[CONDUCTOR, MINNESOTA], ids=["C-PCM", "SMD"])
def level(request):
    return request.param


@pytest.fixture(params=[WATER, WATER.replace(charge=1, multiplicity=2)], ids=["closed", "open shell"])
def fields(request, level):
    """A molecule in our solvent and in PySCF's, else the same, both converged."""
    mol = molecule(request.param, level)
    kind = dft.UKS if mol.spin else dft.RKS
    gas = kind(mol, xc="pbe").density_fit(auxbasis=level.auxiliary_basis)
    gas.grids.level, gas.conv_tol = 1, 1e-11
    ours = gas.PCM(solvent(mol, level, memory_gib=1.0)).run()
    if level.solvation == "smd":
        theirs = gas.SMD()
        theirs.with_solvent = smd.SMD(mol, level.solvent)
    else:
        theirs = gas.PCM()
        theirs.with_solvent.eps = 12.978
    return ours, theirs.run()


def test_energies_and_gradients_are_those_of_pyscf(fields):
    ours, theirs = fields
    assert ours.e_tot == pytest.approx(theirs.e_tot, abs=1e-9)
    mine, reference = (mf.nuc_grad_method().set(verbose=0).kernel() for mf in fields)
    np.testing.assert_allclose(mine, reference, atol=1e-7)


def test_responses_are_those_of_pyscf(fields):
    changes = np.random.default_rng(1).normal(size=(2, fields[0].mol.nao, fields[0].mol.nao))
    changes += changes.transpose(0, 2, 1)
    mine, reference = (mf.with_solvent._B_dot_x(changes) for mf in fields)
    np.testing.assert_allclose(mine, reference, atol=1e-9)


@pytest.mark.parametrize("method", ["tda", "tddft"])
def test_excitations_are_those_of_pyscf_at_the_same_optical_constant(level, method):
    ground = ground_state(WATER, level, grid=1).mf
    theirs = getattr(ground.undo_solvent().PCM(), method.upper())()
    around = theirs.with_solvent
    if level.solvation == "smd":
        around = smd.SMD(ground.mol, level.solvent)
    around.eps, around.equilibrium_solvation = 1.5095**2, False
    theirs.with_solvent = around.build() or around
    theirs.nstates, theirs.verbose = 3, 0
    found = excite(WATER, level.model_copy(update={"grid": 1}), 3, method)
    expected = theirs.kernel()[0] * Hartree
    assert [state.energy for state in found.states] == pytest.approx(expected, abs=1e-4)
    assert "electrons of pyridine follow (ε = n² = 2.28)" in found.method


def test_a_minimal_basis_sees_the_same_solvent(level):
    """What a solvent adds to TDA-ris is what it adds to TDA."""
    mf = ground_state(WATER, level, grid=1).mf
    gas = mf.undo_solvent()
    assert not hasattr(gas, "with_solvent")
    wet, dry = Response(mf), Response(gas)
    x = np.random.default_rng(1).normal(size=(2, *wet.gaps.shape))
    occupied, virtual = mf.mo_coeff[:, mf.mo_occ > 0], mf.mo_coeff[:, mf.mo_occ == 0]
    added = occupied.T @ mf.with_solvent.fast().response(2 * occupied @ x @ virtual.T) @ virtual
    for ours in (Response.excited, Response.deexcited):
        np.testing.assert_allclose(ours(wet, x) - ours(dry, x), added, atol=1e-10)
    assert np.abs(added).max() > 1e-3


@pytest.mark.parametrize(("part", "kept"), [(0.5, np.float32), (0.0, None)])
def test_integrals_that_do_not_fit_into_memory_change_nothing(part, kept):
    mol = molecule(WATER, CONDUCTOR)
    density = dft.RKS(mol).get_init_guess()
    ample = solvent(mol, CONDUCTOR, 1.0)
    lean = solvent(mol, CONDUCTOR, part * ample.integrals.stored_gib)
    assert lean.integrals.dtype is kept
    (energy, potential), (expected, reference) = lean.kernel(density), ample.kernel(density)
    assert energy == pytest.approx(expected, abs=1e-11)
    np.testing.assert_allclose(potential, reference, atol=1e-6)


def test_forces_in_a_solvent_are_slopes_of_the_energy(level):
    wet = level.model_copy(update={"grid": 3, "conv_tol": 1e-10})
    force, step, moved = forces(ground_state(WATER, wet))[1, 2], 0.01, []
    for sign in (1, -1):
        positions = WATER.positions.copy()
        positions[1, 2] += sign * step
        moved.append(ground_state(WATER.replace(positions=positions), wet).energy)
    assert force == pytest.approx((moved[1] - moved[0]) / (2 * step), abs=0.005)


def test_a_cavity_keeps_the_charge_that_it_encloses():
    """Gauss: around an ion a conductor's surface carries all of its charge, a dielectric's less."""
    ion = Cluster(("Zn",), [[0.0, 0.0, 0.0]], charge=2)
    for level, epsilon in ((CONDUCTOR, 12.978), (PySCF(solvent="toluene"), 2.3741)):
        mol = molecule(ion, level)
        around = solvent(mol, level, 1.0)
        density = ground_state(ion, PySCF(grid=1)).mf.make_rdm1()
        charges = around.charges.answer(around._potential(density[None]))
        assert charges.sum() == pytest.approx(-2 * (epsilon - 1) / epsilon, rel=2e-3)


def test_a_surface_tension_belongs_to_the_element_not_to_the_electrons_beside_its_core():
    """PySCF takes Ag for K: the number of electrons that a core potential leaves."""
    silver, zinc = (molecule(precursor(ion), MINNESOTA) for ion in ("Ag+", "Zn2+"))
    found = {mol: solvent(mol, MINNESOTA, 0.0).get_cds() for mol in (silver, zinc)}
    theirs = {mol: smd.SMD(mol, "pyridine").get_cds() for mol in (silver, zinc)}
    assert found[zinc] == pytest.approx(theirs[zinc], abs=1e-12)
    assert abs(found[silver] - theirs[silver]) > 1e-4


def test_what_a_solvent_takes_is_known_before(monkeypatch):
    cluster = precursor("Zn2+")
    for level in (CONDUCTOR, MINNESOTA):
        assert n_points(cluster, level) == len(mean_field(cluster, level).with_solvent.points)
    ways = [cost.routes(cluster, level)[-1] for level in (PySCF(), CONDUCTOR, MINNESOTA)]
    assert ways[0].memory_gib < ways[1].memory_gib < ways[2].memory_gib
    assert ways[0].time_s < ways[1].time_s < ways[2].time_s
    monkeypatch.setenv("MSCFLOW_MEMORY_GIB", str((ways[1].memory_gib + ways[2].memory_gib) / 2))
    mean_field(cluster, CONDUCTOR)
    with pytest.raises(InputError, match=re.escape(f"take {CONDUCTOR.text} or pbe/def2-svp")):
        mean_field(cluster, MINNESOTA)
    for level in cost.alternatives(cluster, MINNESOTA):
        assert parse_level(level.text) == level


def test_smd_says_which_elements_it_does_not_know():
    assert PySCF(solvent="toluene", solvation="smd").require(WATER) == []
    (warning,) = MINNESOTA.require(precursor("Cd2+"))
    assert "no surface tension of Cd" in warning
    assert "SMD" in MINNESOTA.description
    assert parse_level(MINNESOTA.text) == MINNESOTA
    with pytest.raises(InputError, match="needs a solvent"):
        parse_level("pbe/def2-svp[solvation=smd]")
