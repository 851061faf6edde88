"""DFT results equal plain PySCF's for the same settings, and say what they needed."""

from __future__ import annotations

import gc
import weakref
from functools import cache

import numpy as np
import pytest
from ase.build import molecule
from ase.units import Hartree
from pyscf import dft, gto
from scipy.spatial.transform import Rotation

from mscflow.builder import precursor
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.files import write
from mscflow.levels import PySCF, parse_level
from mscflow.levels.dft.scf import forces, ground_state
from mscflow.tasks.excite import excite
from mscflow.tasks.refine import refine
from mscflow.tasks.relax import relax

ZINC = precursor("Zn2+")
WATER = Cluster.from_ase(molecule("H2O"))


ours = cache(ground_state)


@cache
def plain(cluster: Cluster, level: PySCF, guess: str = "minao"):
    """Stock PySCF at the same settings."""
    mol = gto.M(
        atom=list(zip(cluster.symbols, cluster.positions.tolist(), strict=True)),
        basis=level.basis,
        ecp={s: level.basis for s in set(cluster.symbols) if s in ("In", "Cd")},
        charge=cluster.charge,
        spin=cluster.multiplicity - 1,
        verbose=0,
    )
    kind = dft.UKS if cluster.multiplicity > 1 else dft.RKS
    mf = kind(mol, xc=level.xc).density_fit(auxbasis=level.auxiliary_basis, only_dfj=not level.is_hybrid)
    mf.grids.level = level.grid
    mf.conv_tol = 1e-9
    mf.init_guess = guess
    cycles = []
    mf.callback = lambda environment: cycles.append(environment["cycle"])
    mf.kernel()
    assert mf.converged
    return mf, len(cycles)


@pytest.mark.parametrize(
    ("cluster", "level"),
    [
        (ZINC, PySCF()),
        (WATER, PySCF(xc="pbe0", basis="def2-tzvp")),
        (WATER.replace(charge=1, multiplicity=2), PySCF()),
        (precursor("In3+"), PySCF(grid=1)),
        (WATER, PySCF(xc="hse06")),
        (WATER, PySCF(xc="camb3lyp")),
    ],
    ids=["Zn(O2CH)2", "water PBE0", "water cation", "In(O2CH)3", "water HSE06", "water CAM-B3LYP"],
)
def test_energies_equal_plain_pyscf(cluster, level):
    state = ours(cluster, level)
    reference, _ = plain(cluster, level)
    assert state.energy / Hartree == pytest.approx(reference.e_tot, abs=1e-7)
    mine = np.ravel(state.mf.mo_energy)
    assert np.allclose(mine, np.ravel(reference.mo_energy), atol=2e-4)


def test_forces_equal_plain_pyscf():
    level = PySCF()
    reference, _ = plain(ZINC, level)
    gradient = reference.nuc_grad_method().kernel()
    mine = forces(ours(ZINC, level))
    assert np.abs(mine * 0.529177210903 / Hartree + gradient).max() < 1e-5


def test_ions_mixed_with_atoms_are_a_better_start_than_atoms():
    cluster = precursor("In3+")
    level = PySCF(grid=1)
    state = ours(cluster, level)
    _, stock = plain(cluster, level)
    assert state.guess == "ions, ligands and atoms"
    # Only cycles on the final grid are dear; all of ours together are hardly more than PySCF's.
    final = int(state.stages[-1].split(": ")[1].split()[0])
    assert final < stock


def test_high_spin_manganese_is_a_sextet(tmp_path):
    result = refine(precursor("Mn2+"), PySCF(grid=1), state_file=tmp_path / "mn.npz")
    assert result.cluster.multiplicity == 6
    state = ground_state(result.cluster, PySCF(grid=1), keep=tmp_path / "mn.scf.npz")
    assert state.mf.spin_square()[0] == pytest.approx(8.75, abs=0.05)


def test_dispersion_is_the_two_body_d3bj_of_pyscf():
    result = refine(ZINC, PySCF(dispersion="d3bj", grid=1))
    mf = plain(ZINC, PySCF(grid=1))[0]
    expected = mf.get_dispersion("d3bj2b") * Hartree
    assert result.dispersion_energy == pytest.approx(expected, abs=1e-6)
    assert result.energy == pytest.approx(mf.e_tot * Hartree + expected, abs=5e-5)
    assert result.dispersion_energy < 0


def test_geometry_steps_lower_the_energy_and_reuse_the_density():
    result = refine(ZINC, PySCF(grid=1), n_steps=2)
    assert result.n_steps == 2
    assert result.energies[-1] < result.energies[0]
    assert result.scf[1].guess == "previous geometry"
    assert result.max_force is not None
    assert "geometry not converged" in result.warnings[0]


@pytest.mark.parametrize("text", ["pbe/def2-svp[grid=0]", "pbe/def2-svp[grid=0,solvent=water]"])
def test_a_geometry_gives_its_memory_back_before_the_next_one_begins(text, monkeypatch):
    """Without the collector of cycles: it runs when it likes."""
    held, alive = [], []

    def watched(*arguments, **options):
        alive.append([part() is not None for part in held])
        state = ground_state(*arguments, **options)
        held[:] = [weakref.ref(part) for part in (state.mf, state.mf._numint, state.mf.with_df.kept)]
        return state

    monkeypatch.setattr("mscflow.levels.dft.scf.ground_state", watched)
    atoms = WATER.to_ase()
    atoms.calc = parse_level(text).calculator(WATER)
    gc.disable()
    try:
        for stretch in (1.0, 1.05):
            atoms.positions = stretch * WATER.positions
            atoms.get_forces()
    finally:
        gc.enable()
    assert alive == [[], [False, False, False]]


def test_a_geometry_that_was_interrupted_is_computed_when_it_is_asked_for_again(monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    level, stretched = PySCF(grid=0), WATER.replace(positions=1.1 * WATER.positions)
    atoms = WATER.to_ase()
    atoms.calc = level.calculator(WATER)
    atoms.get_potential_energy()
    atoms.positions = stretched.positions
    with monkeypatch.context() as patch:
        patch.setattr("mscflow.levels.dft.scf.ground_state", interrupted)
        with pytest.raises(KeyboardInterrupt):
            atoms.get_potential_energy()
    assert atoms.get_potential_energy() == pytest.approx(ours(stretched, level).energy, abs=1e-4)
    assert len(atoms.calc.states) == 2


def test_energy_does_not_depend_on_orientation():
    turned = ZINC.replace(positions=ZINC.positions @ Rotation.random(random_state=4).as_matrix())
    energies = [refine(c, PySCF(grid=2)).energy for c in (ZINC, turned)]
    assert energies[0] == pytest.approx(energies[1], abs=5e-3)


def test_pseudopotentials_on_multigrids():
    level = PySCF(basis="gth-szv-molopt-sr", ke_cutoff=80.0, box_margin=4.0)
    result = refine(WATER, level)
    assert result.route == "multigrid"
    assert -480 < result.energy < -450  # valence electrons only, about -17 Eh
    with pytest.raises(InputError, match="need xc 'pbe'"):
        PySCF(xc="pbe0", basis="gth-szv-molopt-sr").require(WATER)
    with pytest.raises(InputError, match="excitations need a def2 basis"):
        excite(WATER, level)
    with pytest.raises(InputError, match="3d electrons of Zn .* need ke_cutoff=200 at least, not 80"):
        level.require(ZINC)


def test_multigrids_have_the_energy_of_the_molecule_and_forces_that_are_its_slopes():
    """The box and the cutoff of 80 Eh cost 0.03 eV, and forces 0.01 eV/Å."""
    level = PySCF(basis="gth-szv-molopt-sr", ke_cutoff=80.0, box_margin=4.0)
    rng = np.random.default_rng(1)
    bent = WATER.replace(positions=WATER.positions + 0.1 * rng.normal(size=(3, 3)))
    along = rng.normal(size=(3, 3))
    step = 0.005 * along / np.linalg.norm(along)
    state = ground_state(bent, level)
    atoms = list(zip(bent.symbols, bent.positions.tolist(), strict=True))
    alone = dft.RKS(gto.M(atom=atoms, basis=level.basis, pseudo="gth-pbe", verbose=0), xc="pbe").run()
    assert state.energy == pytest.approx(alone.e_tot * Hartree, abs=0.05)
    up, down = (
        ground_state(bent.replace(positions=bent.positions + s * step), level, state.density).energy
        for s in (1, -1)
    )
    assert np.vdot(forces(state), step) / 0.005 == pytest.approx((down - up) / 0.01, abs=0.03)


def test_excitations_equal_plain_tda():
    level = PySCF(grid=1)
    result = excite(ZINC, level, nstates=4)
    reference, _ = plain(ZINC, level)
    solver = reference.TDA()
    solver.nstates, solver.verbose = 4, 0
    solver.kernel()
    assert [s.energy for s in result.states] == pytest.approx(solver.e * Hartree, abs=1e-3)
    strengths = [s.oscillator_strength for s in result.states]
    assert sum(strengths) == pytest.approx(sum(solver.oscillator_strength()), abs=1e-4)
    assert result.states[0].transition.startswith("HOMO")
    assert all(s.wavelength * s.energy == pytest.approx(1239.84, abs=0.01) for s in result.states)


def test_the_coarse_grid_of_the_response_is_harmless():
    coarse = excite(ZINC, PySCF(), nstates=3)
    state = ours(ZINC, PySCF())
    solver = state.mf.TDA()
    solver.nstates, solver.verbose = 3, 0
    solver.kernel()
    assert [s.energy for s in coarse.states] == pytest.approx(solver.e * Hartree, abs=0.01)
    assert "grid level 1" in coarse.method


def diatomic(symbols: str, distance: float) -> Cluster:
    return Cluster(symbols.split(), [[0, 0, 0], [0, 0, distance]])


def test_the_full_response_of_a_pure_functional_has_its_lowest_states():
    """Zinc oxide: a pair of states at 0.65 eV, from π of oxygen to 4s."""
    molecule = diatomic("Zn O", 1.7)
    first, second = excite(molecule, PySCF(grid=1), nstates=2, method="tddft").states
    homo, lumo = ours(molecule, PySCF(grid=1)).frontier
    assert first.energy == pytest.approx(second.energy, abs=1e-3)
    assert lumo - homo < first.energy < 0.8


@pytest.mark.parametrize("method", ["tda", "tddft", "gap"])
def test_excitations_of_a_field_with_an_empty_orbital_below_a_full_one_are_refused(method):
    with pytest.raises(CalculationError, match="C2: the ground state is no minimum of pbe/def2-svp"):
        excite(diatomic("C C", 1.3), PySCF(grid=1), nstates=2, method=method)


def test_a_file_that_is_no_field_is_not_replaced_by_one(tmp_path):
    structure, state, empty = tmp_path / "water.xyz", tmp_path / "relax.npz", tmp_path / "empty.npz"
    write(WATER, structure)
    relax(WATER, "gfn2-xtb", state_file=state)
    for file in (structure, state):
        before = file.read_bytes()
        with pytest.raises(InputError, match="is not a state of excitations: delete it"):
            excite(WATER, PySCF(grid=0), nstates=1, method="gap", state_file=file)
        assert file.read_bytes() == before
    empty.touch()
    assert excite(WATER, PySCF(grid=0), nstates=1, method="gap", state_file=empty).states


@pytest.mark.parametrize("method", ["tda", "tda-ris", "gap"])
def test_fewer_states_than_asked_for_are_named(method):
    """One occupied and nine empty orbitals."""
    found = excite(Cluster.from_ase(molecule("H2")), PySCF(grid=0), nstates=12, method=method)
    assert len(found.states) == 9
    assert any("9 excited states instead of 12" in line for line in found.warnings)
    assert "9 states" in found.method or "9 pairs" in found.method


@pytest.mark.parametrize("text", ["pbe/def2-svp[grid=1]", "pbe0/def2-svp[grid=0,exchange=seminumerical]"])
def test_a_ground_state_from_disk_responds_as_the_one_that_was_solved(text, tmp_path):
    solved, read = (ground_state(WATER, parse_level(text), keep=tmp_path / "state.npz").mf for _ in range(2))
    assert "callback" not in vars(read)  # it was read, not solved again
    (product, diagonal), (again, _) = (mf.TDA().gen_vind(mf) for mf in (solved, read))
    vectors = np.random.default_rng(0).normal(size=(2, diagonal.size))
    np.testing.assert_allclose(again(vectors), product(vectors), atol=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: refine(WATER, "gfn2-xtb"), "a DFT level"),
        (lambda: refine(WATER, "pbe/def2-svp", n_steps=-1), "n_steps"),
        (lambda: refine(WATER, "pbe/def2-svp", fmax=0), "fmax"),
        (lambda: excite(WATER, "pbe/def2-svp", nstates=0), "nstates"),
        (lambda: excite(precursor("Mn2+"), "pbe/def2-svp"), "need a singlet"),
        (lambda: refine(Cluster(("H",), np.zeros((1, 3)), charge=1), "pbe/def2-svp"), "has no electrons"),
        (lambda: refine(Cluster(("U",), np.zeros((1, 3))), "pbe/def2-svp"), "has no functions"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_hessian_of_the_model_saves_steps_and_changes_no_minimum():
    plain, helped = (refine(ZINC, PySCF(grid=1), 60, hessian=h) for h in (None, "mace:msc-small"))
    assert plain.converged
    assert helped.converged
    assert helped.n_steps <= plain.n_steps
    assert helped.energy == pytest.approx(plain.energy, abs=0.01)
    assert helped.input_hash != plain.input_hash


def test_early_steps_are_looser_and_the_energy_is_not():
    stretched = WATER.replace(positions=1.1 * WATER.positions)
    result = refine(stretched, PySCF(grid=1), 30)
    assert result.converged
    assert "to 1e-06 Eh" in result.scf[1].stages[-1]
    assert "to 1e-08 Eh" in result.scf[-1].stages[-1]
