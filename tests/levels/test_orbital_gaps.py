"""TDA without its integrals gives differences of orbital energies."""

import numpy as np
import pytest
from ase.build import molecule

from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.levels import PySCF, parse_level
from mscflow.levels.dft.orbital_gaps import begin_with_smallest_gaps, orbital_gaps
from mscflow.levels.dft.scf import ground_state
from mscflow.tasks.excite import excite

LEVEL = PySCF(grid=0)


@pytest.mark.parametrize("nstates", [5, 20, 30])
def test_states_are_pairs_of_orbitals(nstates):
    mf = ground_state(build("ZnL2"), LEVEL).mf
    solver = orbital_gaps(mf)
    begin_with_smallest_gaps(solver)
    solver.nstates, solver.verbose = nstates, 0
    solver.kernel()
    full = mf.mo_occ > 0
    gaps = mf.mo_energy[None, ~full] - mf.mo_energy[full, None]
    lowest = [np.unravel_index(i, gaps.shape) for i in np.argsort(gaps, axis=None)[:nstates]]
    dipoles = np.array(
        [mf.mo_coeff[:, full].T @ part @ mf.mo_coeff[:, ~full] for part in mf.mol.intor("int1e_r")]
    )
    strengths = [4 / 3 * gaps[pair] * (dipoles[:, *pair] ** 2).sum() for pair in lowest]
    np.testing.assert_allclose(solver.e, [gaps[pair] for pair in lowest], atol=1e-5)
    np.testing.assert_allclose(solver.oscillator_strength(), strengths, atol=1e-4)


def test_many_pairs_of_like_gaps_do_not_hide_the_smallest():
    """Nine water molecules: 81 pairs lie within 0.03 eV of those of HOMO and LUMO."""
    water = molecule("H2O")
    places = [8.0 * np.array([n % 3, n // 3, 0]) for n in range(9)]
    sheet = Cluster([*water.symbols] * 9, np.concatenate([water.positions + place for place in places]))
    ground = ground_state(sheet, LEVEL)
    (state,) = excite(sheet, LEVEL, nstates=1, method="gap").states
    homo, lumo = ground.frontier
    assert state.energy == pytest.approx(lumo - homo, abs=1e-4)
    assert state.transition == "HOMO → LUMO (1.00)"


@pytest.mark.parametrize("level", [LEVEL, parse_level("pbe/gth-szv-molopt-sr")], ids=["def2", "periodic"])
def test_a_gap_is_an_estimate_for_any_level(level, tmp_path):
    water = Cluster.from_ase(molecule("H2O"))
    found = excite(water, level, nstates=4, method="gap", state_file=tmp_path / "state.npz")
    energies = [state.energy for state in found.states]
    assert energies == sorted(energies)
    assert found.states[0].transition.startswith("HOMO → LUMO")
    assert "estimate" in found.method
    assert found.spectrum().lambda_max > 0
    homo, lumo = ground_state(water, level, grid=0).frontier
    assert energies[0] == pytest.approx(lumo - homo, abs=1e-4)
