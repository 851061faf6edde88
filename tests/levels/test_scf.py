"""Ground states and gradients of our own code are those of PySCF."""

import numpy as np
import pytest
from ase.build import molecule

from mscflow.builder import precursor
from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
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


def test_an_open_shell_is_led_from_an_excited_to_the_lowest_solution():
    from pyscf.scf.addons import mom_occ

    from mscflow.levels import scf

    cation = Cluster.from_ase(molecule("H2O")).replace(charge=1, multiplicity=2)
    ground = scf.ground_state(cation, LEVEL)
    assert ground.stages[-1].startswith("stability: stable")
    excited = scf.mean_field(cation, LEVEL)
    occupations = ground.mf.mo_occ.copy()
    occupations[1, 3], occupations[1, 4] = 0.0, 1.0  # a hole one orbital below the highest
    chosen = mom_occ(scf.mean_field(cation, LEVEL), ground.mf.mo_coeff, occupations)
    chosen.kernel(dm0=chosen.make_rdm1(ground.mf.mo_coeff, occupations))
    for name in scf.ORBITALS:
        setattr(excited, name, getattr(chosen, name))
    assert excited.e_tot > ground.mf.e_tot + 0.05
    cycles, lines = scf._stabilise(excited, 1e-8, cation)
    assert excited.e_tot == pytest.approx(ground.mf.e_tot, abs=1e-6)
    assert cycles > 0
    assert "lower by" in lines[-1]
