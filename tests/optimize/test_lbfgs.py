"""The minimiser finds minima in few force calls, and its parts are what they claim to be."""

import numpy as np
import pytest
from ase.optimize import LBFGS

from mscflow.builder import build, precursor
from mscflow.errors import CalculationError, InputError
from mscflow.levels import MACE, XTB
from mscflow.levels.curvature import curvature
from mscflow.levels.surface import CalculatorSurface
from mscflow.optimize.lbfgs import MEMORY, Memory, Minimiser
from mscflow.optimize.state_file import load, save
from mscflow.tasks.relax import relax


def surface(cluster):
    return CalculatorSurface(cluster, XTB().calculator(cluster))


def descend(minimiser, state):
    while state.max_force > 0.01:
        minimiser.step(state)


def failing(level, called, fails):
    """Return a surface that notes its calls and fails in those whose number `fails` picks."""

    def wrapped(positions):
        called.append(positions)
        if fails(len(called)):
            raise CalculationError("no convergence")
        return level(positions)

    return wrapped


def test_the_compact_form_is_the_bfgs_inverse():
    """Against the recursion H ← (1 − ρ s yᵀ) H (1 − ρ y sᵀ) + ρ s sᵀ."""
    rng = np.random.default_rng(0)
    n = 12
    root = rng.normal(size=(n, n))
    stiffness, initial = root @ root.T + np.eye(n), np.diag(rng.uniform(0.5, 2.0, n))
    memory, inverse = Memory(n), initial
    for _ in range(6):
        s = rng.normal(size=n)
        y = stiffness @ s
        memory.add(s, y, initial @ y)
        left = np.eye(n) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    gradient = rng.normal(size=n)
    np.testing.assert_allclose(memory.apply(gradient, initial @ gradient), inverse @ gradient, rtol=1e-8)


def test_a_full_memory_forgets_its_oldest_steps():
    memory = Memory(3)
    for n in range(6 * MEMORY):
        memory.add(np.full(3, n), np.full(3, n + 1), np.full(3, n + 2))
        s, y, _ = memory.vectors
        np.testing.assert_array_equal(s[:, 0], np.arange(max(0, n + 1 - MEMORY), n + 1))
        np.testing.assert_array_equal(memory.products, np.triu(s @ y.T))


def test_it_ends_where_plain_lbfgs_ends_after_fewer_calls():
    start = precursor("In3+")
    rattled = start.positions + np.random.default_rng(4).normal(scale=0.05, size=start.positions.shape)
    minimiser = Minimiser(surface(start), start.numbers)
    state = minimiser.start(rattled)
    descend(minimiser, state)
    atoms = start.to_ase()
    atoms.positions = rattled
    atoms.calc = XTB().calculator(start)
    plain = LBFGS(atoms, logfile=None)
    plain.run(fmax=0.01, steps=500)
    assert state.energy == pytest.approx(atoms.get_potential_energy(), abs=2e-3)
    assert state.n_calls < plain.nsteps


def test_energies_of_accepted_steps_fall():
    start = build("In4P")
    minimiser = Minimiser(surface(start), start.numbers)
    state = minimiser.start(start.positions)
    before = state.energy
    for _ in range(15):
        minimiser.step(state)
        assert state.energy <= before + 1e-3
        before = state.energy
    assert state.energy < state.energies[0] - 1.0


def test_the_course_does_not_depend_on_where_the_molecule_lies():
    start = precursor("In3+")
    energies = []
    for shift in (0.0, 30.0):
        minimiser = Minimiser(surface(start), start.numbers)
        state = minimiser.start(start.positions[:, [1, 2, 0]] + shift)
        for _ in range(5):
            minimiser.step(state)
        energies.append(state.energies)
        drift = state.positions.mean(axis=0) - start.positions[:, [1, 2, 0]].mean(axis=0) - shift
        assert np.abs(drift).max() < 1e-6
    np.testing.assert_allclose(energies[0], energies[1], atol=1e-5)


def test_nonsense_of_the_level_is_an_error():
    start = precursor("Zn2+")
    with pytest.raises(CalculationError, match="force call 1"):
        Minimiser(lambda x: (np.nan, np.zeros_like(x)), start.numbers).start(start.positions)


def test_steps_to_where_the_level_fails_are_made_shorter():
    start, called = precursor("In3+"), []
    level = surface(start)
    rattled = start.positions + np.random.default_rng(4).normal(scale=0.05, size=start.positions.shape)
    surfaces = level, failing(level, called, lambda n: n == 3)
    minimisers = [Minimiser(f, start.numbers) for f in surfaces]
    states = [minimiser.start(rattled) for minimiser in minimisers]
    for minimiser, state in zip(minimisers, states, strict=True):
        descend(minimiser, state)
    assert len(called) == states[1].n_calls + 1
    assert states[1].energy == pytest.approx(states[0].energy, abs=1e-3)
    full, shorter = (np.linalg.norm(called[n] - called[1], axis=1).max() for n in (2, 3))
    assert shorter == pytest.approx(0.25 * full)


def test_a_level_that_fails_everywhere_else_is_an_error():
    start, called = precursor("Zn2+"), []
    minimiser = Minimiser(failing(surface(start), called, lambda n: n > 1), start.numbers)
    state = minimiser.start(start.positions)
    with pytest.raises(CalculationError, match="no convergence"):
        descend(minimiser, state)
    assert len(called) < 6
    np.testing.assert_array_equal(state.positions, start.positions)


def test_a_state_file_restores_the_state(tmp_path):
    start = precursor("Zn2+")
    minimiser = Minimiser(surface(start), start.numbers)
    state = minimiser.start(start.positions)
    for _ in range(3):
        minimiser.step(state)
    path = tmp_path / "new" / "state.npz"
    save(path, state, 1, start.positions, "mine")
    found, stage, anchor = load(path, "mine")
    assert stage == 1
    np.testing.assert_array_equal(anchor, start.positions)
    np.testing.assert_array_equal(found.positions, state.positions)
    np.testing.assert_array_equal(found.memory.vectors, state.memory.vectors)
    np.testing.assert_array_equal(found.memory.products, state.memory.products)
    assert found.energies == state.energies
    assert found.max_force == state.max_force
    with np.load(path) as archive:
        old = {name: archive[name] for name in archive.files if name != "max_force"}
    np.savez(path, **old)
    assert load(path, "mine")[0].max_force == state.max_force
    with pytest.raises(InputError, match="belongs to another relaxation"):
        load(path, "yours")
    path.write_text("no state")
    with pytest.raises(InputError, match="is not a state of a relaxation"):
        load(path, "mine")


def test_the_true_hessian_is_the_best_curvature():
    level = MACE()
    relaxed = relax(build("In4P"), level, fmax=0.02).cluster
    rng = np.random.default_rng(3)
    rattled = relaxed.replace(positions=relaxed.positions + rng.normal(scale=0.01, size=(len(relaxed), 3)))
    calls = []
    for stiffness in (None, curvature(rattled, level)):
        potential = CalculatorSurface(rattled, level.calculator(rattled))
        minimiser = Minimiser(potential, rattled.numbers, curvature=stiffness)
        state = minimiser.start(rattled.positions)
        while state.max_force > 0.02 and state.n_calls < 200:
            minimiser.step(state)
        calls.append(state.n_calls)
    assert calls[1] < 0.8 * calls[0]
