"""Holes and electrons of excited states."""

from pathlib import Path

import numpy as np
import pytest
from ase.io.cube import read_cube_data
from ase.units import Bohr

from mscflow.builder.fragments import fragment
from mscflow.levels import PySCF
from mscflow.levels.dft.scf import ground_state
from mscflow.levels.dft.transitions import Transitions
from mscflow.tasks.excite import excite

LEVEL = PySCF(grid=0)
ZINC = fragment("Zn", "chloride", {"ammonia": 1})


def test_the_character_of_states_adds_up_and_cubes_hold_one_electron(tmp_path):
    result = excite(ZINC, LEVEL, nstates=2, cubes=tmp_path)
    for state in result.states:
        assert sum(sum(row.values()) for row in state.transfer.values()) == pytest.approx(1, abs=1e-3)
        hole = sum(state.transfer["ligand"].values())
        assert hole > 0.8  # chloride lone pairs
        assert state.character.startswith("ligand → ")
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["S1-electron.cube", "S1-hole.cube", "S2-electron.cube", "S2-hole.cube"]
    transfer = result.states[0].transfer
    electron = sum(row["surface"] for row in transfer.values())
    assert electron > 0.5
    for kind, on_zinc in (("hole", sum(transfer["surface"].values())), ("electron", electron)):
        near_zinc, elsewhere = near_and_elsewhere(tmp_path / f"S1-{kind}.cube")
        assert near_zinc + elsewhere == pytest.approx(1, abs=0.1)
        assert near_zinc == pytest.approx(on_zinc, abs=0.15)


def test_what_was_computed_is_kept_until_the_cubes_are_there(tmp_path):
    cubes = tmp_path / "cubes"
    obstacle = cubes / "S1-hole.cube"
    obstacle.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        excite(ZINC, LEVEL, nstates=1, state_file=tmp_path / "state.npz", cubes=cubes)
    assert (tmp_path / "state.response").exists()
    obstacle.rmdir()
    excite(ZINC, LEVEL, nstates=1, state_file=tmp_path / "state.npz", cubes=cubes)
    assert obstacle.is_file()
    assert not (tmp_path / "state.response").exists()


def near_and_elsewhere(cube: Path) -> tuple[float, float]:
    """Integrals of the square of an orbital: nearest to the first atom, and nearest to another."""
    values, atoms = read_cube_data(cube)
    with cube.open() as file:
        grid = np.array([line.split()[:4] for line in file.readlines()[2:6]], dtype=float)
    origin, steps = grid[0, 1:] * Bohr, grid[1:, 1:] * Bohr
    places = origin + np.moveaxis(np.indices(values.shape), 0, -1) @ steps
    distances = np.linalg.norm(places[..., None, :] - atoms.positions, axis=-1)
    density = values**2 * np.linalg.det(steps / Bohr)
    is_first = distances.argmin(axis=-1) == 0
    return density[is_first].sum(), density[~is_first].sum()


def test_shares_of_one_orbital_pair_are_products_and_its_natural_orbitals_the_pair():
    mf = ground_state(ZINC, LEVEL).mf
    n_occupied = int((mf.mo_occ > 0).sum())
    amplitudes = np.zeros((n_occupied, mf.mol.nao - n_occupied))
    amplitudes[n_occupied - 1, 0] = 0.3
    transitions = Transitions(mf)
    part_of = ["metal" if symbol == "Zn" else "rest" for symbol in ZINC.symbols]
    shares = transitions.shares(amplitudes, part_of)
    holes = {part: sum(row.values()) for part, row in shares.items()}
    electrons = {part: sum(row[part] for row in shares.values()) for part in shares}
    for hole in shares:
        for electron in shares:
            assert shares[hole][electron] == pytest.approx(holes[hole] * electrons[electron])
    weight, hole, electron = transitions.natural_orbitals(amplitudes)
    assert weight == pytest.approx(1)
    np.testing.assert_allclose(np.abs(hole), np.abs(mf.mo_coeff[:, n_occupied - 1]), atol=1e-10)
    np.testing.assert_allclose(np.abs(electron), np.abs(mf.mo_coeff[:, n_occupied]), atol=1e-10)
