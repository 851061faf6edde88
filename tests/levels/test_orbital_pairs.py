"""Differences of orbital energies are TDA without its integrals."""

import numpy as np
import pytest
from ase.build import molecule

from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.levels import PySCF, parse_level
from mscflow.levels.orbital_pairs import OrbitalPairs
from mscflow.levels.scf import ground_state
from mscflow.tasks.excite import excite

LEVEL = PySCF(grid=0)


def test_pairs_are_states_of_tda_without_integrals():
    mf = ground_state(build("ZnL2"), LEVEL).mf
    pairs, solver = OrbitalPairs(mf), mf.TDA()
    pairs.nstates = solver.nstates = 5
    solver.verbose = 0
    diagonal = solver.gen_vind(mf)[1]
    solver.gen_vind = lambda *_: (lambda vectors: diagonal * np.asarray(vectors), diagonal)
    solver.kernel()
    pairs.kernel()
    np.testing.assert_allclose(pairs.e, solver.e, atol=1e-5)
    np.testing.assert_allclose(pairs.oscillator_strength(), solver.oscillator_strength(), atol=1e-4)


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
