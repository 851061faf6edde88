"""TDA-ris: its matrix elements against PySCF's own density fitting, its energies against PySCF's TDA."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from ase.units import Hartree
from pyscf import df, gto

from mscflow.builder import build
from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.levels import PySCF
from mscflow.levels.dft.ris import Response, auxiliary, tda_ris, tddft_ris
from mscflow.levels.dft.scf import forces, ground_state
from mscflow.tasks.excite import excite

HYBRID = PySCF(xc="pbe0", grid=0)
WATER = Cluster(("O", "H", "H"), [[0, 0, 0], [0, 0.76, 0.59], [0, -0.76, 0.59]], name="water")


@pytest.fixture(scope="module")
def zinc():
    return ground_state(build("ZnL2"), HYBRID).mf


def fitted_jk(mf, shells, x):
    """Coulomb and exchange matrices of a transition density by PySCF, in occupied × virtual orbitals."""
    occupied, virtual = mf.mo_coeff[:, mf.mo_occ > 0], mf.mo_coeff[:, mf.mo_occ == 0]
    fitting = df.DF(mf.mol, auxbasis=auxiliary(mf.mol, shells)._basis)
    density = occupied @ x @ virtual.T
    j, k = fitting.get_jk(density, hermi=0)
    return (occupied.T @ j @ virtual, occupied.T @ k @ virtual, occupied.T @ k.T @ virtual)


def test_products_equal_density_fitting_by_pyscf(zinc, monkeypatch):
    monkeypatch.setattr("mscflow.levels.dft.ris.EXCHANGE_WINDOW", np.inf)
    response = Response(zinc)
    x = np.random.default_rng(0).normal(size=(2, *response.gaps.shape))
    for vector, above, below in zip(x, response.excited(x), response.deexcited(x), strict=True):
        coulomb = 2 * fitted_jk(zinc, "sp", vector)[0]
        _, exchange, swapped = fitted_jk(zinc, "s", vector)
        np.testing.assert_allclose(above, response.gaps * vector + coulomb - 0.25 * exchange, atol=2e-5)
        np.testing.assert_allclose(below, coulomb - 0.25 * swapped, atol=2e-5)


@pytest.mark.parametrize(
    ("xc", "omega", "near", "far"), [("hse06", 0.11, 0.25, 0.0), ("camb3lyp", 0.33, 0.19, 0.65)]
)
def test_exchange_that_depends_on_the_distance_is_fitted_as_a_whole(xc, omega, near, far, monkeypatch):
    """Metric and integrals are those of the whole interaction, not of its parts."""
    monkeypatch.setattr("mscflow.levels.dft.ris.EXCHANGE_WINDOW", np.inf)
    mf = ground_state(WATER, PySCF(xc=xc, grid=0)).mf
    response, aux = Response(mf), auxiliary(mf.mol, "s")
    x = np.random.default_rng(0).normal(size=response.gaps.shape)
    occupied, virtual = mf.mo_coeff[:, mf.mo_occ > 0], mf.mo_coeff[:, mf.mo_occ == 0]
    metric, products = np.zeros((3, 3)), np.zeros((mf.mol.nao, mf.mol.nao, 3))
    for distance, share in ((0.0, near), (omega, far - near)):
        with mf.mol.with_range_coulomb(distance), aux.with_range_coulomb(distance):
            metric += share * aux.intor("int2c2e")
            products += share * df.incore.aux_e2(mf.mol, aux)
    inverse = np.linalg.inv(metric)
    ij = np.einsum("mi,mnP,nj->ijP", occupied, products, occupied)
    ab = np.einsum("ma,mnP,nb->abP", virtual, products, virtual)
    exchange = np.einsum("ijP,PQ,abQ,jb->ia", ij, inverse, ab, x)
    assert response.exchange is not None
    np.testing.assert_allclose(response.exchange.excited(x[None])[0], exchange, atol=2e-5)


def test_the_window_of_exchange_is_harmless(zinc, monkeypatch):
    energies = []
    for window in (40.0, np.inf):
        monkeypatch.setattr("mscflow.levels.dft.ris.EXCHANGE_WINDOW", window)
        solver = tda_ris(zinc)
        solver.nstates, solver.verbose = 6, 0
        energies.append(solver.kernel()[0] * Hartree)
    np.testing.assert_allclose(*energies, atol=0.01)


def test_the_full_response_lies_below_tamm_dancoff(zinc):
    energies = []
    for make in (tda_ris, tddft_ris):
        solver = make(zinc)
        solver.nstates, solver.verbose = 3, 0
        energies.append(solver.kernel()[0])
    assert (energies[1] < energies[0] + 1e-6).all()


def test_energies_are_those_of_tda_within_the_error_they_name():
    cluster, level = fragment("Cd2Se", "chloride"), PySCF(grid=0)
    cheap, exact = (excite(cluster, level, nstates=3, method=method) for method in ("tda-ris", "tda"))
    ours, theirs = (np.array([s.energy for s in result.states]) for result in (cheap, exact))
    known = cheap.calibration
    assert known is not None
    np.testing.assert_allclose(ours, theirs, atol=1.5 * known.largest)
    assert "minimal auxiliary basis" in cheap.method
    assert f"shifted by {known.shift:+.2f} eV" in cheap.method
    assert cheap.input_hash != exact.input_hash
    assert exact.calibration is None


@pytest.mark.parametrize(
    ("cluster", "level", "method", "warning"),
    [
        (WATER, "pbe/def2-svp[grid=0]", "tddft-ris", "error of tddft-ris was not measured"),
        (WATER, "b3lyp/def2-svp[grid=0]", "tda-ris", "not measured at b3lyp/def2-svp"),
        (WATER, "pbe/def2-svp[solvent=toluene,grid=0]", "tda-ris", "grid=0]: energies are not shifted"),
        (
            fragment("Cd", "chloride", {"ammonia": 1}),
            "pbe/def2-svp[grid=0]",
            "tda-ris",
            "not measured with N",
        ),
    ],
    ids=["method", "functional", "solvent", "element"],
)
def test_an_error_that_was_not_measured_is_named(cluster, level, method, warning):
    found = excite(cluster, level, nstates=1, method=method)
    assert any(warning in line for line in found.warnings)


def test_an_unstable_ground_state_is_named():
    with pytest.raises(CalculationError, match=r"In3P\(Cl\)6: the ground state is no minimum"):
        excite(fragment("In3P", "chloride"), "pbe/def2-svp[grid=0]", nstates=9, method="tddft-ris")


@pytest.mark.parametrize("text", ["pbe/def2-svp[grid=0]", "hse06/def2-svp[grid=0]"])
def test_integrals_of_the_ground_state_make_room_for_the_response_and_come_back(text, monkeypatch):
    grounds, before, held = [], [], []

    def kept(*arguments, **options):
        ground = ground_state(*arguments, **options)
        grounds.append(ground)
        before.append(forces(ground))
        boxes, fitting = ground.mf._numint.boxes(ground.mf.mol, ground.mf.grids), ground.mf.with_df
        held.extend(map(weakref.ref, (boxes, fitting._cderi if ground.level.is_hybrid else fitting.kept)))
        return ground

    def solver(mf):
        assert [part() for part in held] == [None, None]
        return tda_ris(mf)

    monkeypatch.setattr("mscflow.levels.dft.scf.ground_state", kept)
    monkeypatch.setattr("mscflow.levels.dft.ris.tda_ris", solver)
    assert excite(WATER, text, nstates=1, method="tda-ris").converged
    np.testing.assert_allclose(forces(grounds[0]), before[0], atol=1e-6)
    assert grounds[0].mf.energy_tot() == pytest.approx(grounds[0].mf.e_tot, abs=1e-6)


def test_what_cannot_be_done_is_refused(monkeypatch):
    with pytest.raises(InputError, match="no radius for La"):
        auxiliary(gto.M(atom="La", basis="def2-svp", ecp="def2-svp", spin=1), "s")
    with pytest.raises(InputError, match="method must be one of tda"):
        excite(WATER, "pbe/def2-svp", method="casscf")
    ground = ground_state(WATER, PySCF(xc="pbe0", grid=0))
    monkeypatch.setenv("MSCFLOW_MEMORY_GIB", "0.001")
    lithium = Cluster(("Li", "H"), [[0, 0, 0], [0, 0, 1.6]])
    with pytest.raises(InputError, match="no radius for Li"):  # before a ground state asks for memory
        excite(lithium, "pbe/def2-svp", method="tda-ris")
    with pytest.raises(InputError, match="GiB may be used"):
        tda_ris(ground.mf)
