"""Minimisation by L-BFGS in which the unknown part of the curvature is a model Hessian, not a number.

Ligand shells are soft motions of stiff bonds. A model of the stiff part (`mscflow.optimize.model_hessian`)
leaves the quasi-Newton updates the little that chemistry does not tell (a preconditioner; Packwood et al., J.
Chem. Phys. 2016, 144, 164109). Steps are limited by a trust radius that follows how well the quadratic model
predicted the energy; there is no line search, so that every force call is a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.linalg.blas import dtrsv
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse.linalg import splu

from mscflow.errors import CalculationError
from mscflow.optimize.model_hessian import model_hessian
from mscflow.optimize.surface import Surface

Curvature: TypeAlias = Callable[[np.ndarray], Any]
Solve: TypeAlias = Callable[[np.ndarray], np.ndarray]

MEMORY = 10
"""Steps remembered. Curvatures change on the way: with 60 relaxations take 20 to 35 % more calls."""

ROOM = 4 * MEMORY
"""Steps that there is room for: what is remembered moves to the front when the room is full."""

FIRST_RADIUS, SMALLEST_RADIUS, LARGEST_RADIUS = 0.1, 0.005, 0.2
"""Largest displacement of an atom in a step / Å: in the first step, at least, at most."""

STALE = 0.5
"""Displacement of an atom after which the model Hessian is made anew / Å."""

SETTLED = 10
"""Force calls that a model Hessian serves at least: making it more often saves no calls."""

LEAST_CURVATURE = 1e-3
"""Steps along which the curvature was less teach nothing about a minimum / eV/Å²."""

ENERGY_NOISE = 2e-4
"""Energy differences below this are not judged / eV."""


class Memory:
    """Steps s, changes of the gradient y, and z = M⁻¹ y for the model Hessian M, oldest first.

    Parameters
    ----------
    n
        Number of coordinates.
    """

    def __init__(self, n: int) -> None:
        self._vectors = np.empty((3, ROOM, n))
        self._products = np.zeros((ROOM, ROOM))  # s_i·y_j for i ≤ j
        self._held = slice(0, 0)

    @classmethod
    def of(cls, vectors: np.ndarray, products: np.ndarray) -> Memory:
        """Return the memory with the last of the given content; see `vectors` and `products`."""
        memory = cls(vectors.shape[2])
        vectors, products = vectors[:, -MEMORY:], products[-MEMORY:, -MEMORY:]
        memory._begin(vectors, products)
        return memory

    @property
    def vectors(self) -> np.ndarray:
        """All s, y and z, shape (3, n_steps, n)."""
        return self._vectors[:, self._held]

    @property
    def products(self) -> np.ndarray:
        """Products s_i·y_j for i ≤ j, else 0, shape (n_steps, n_steps)."""
        return self._products[self._held, self._held]

    def add(self, s: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
        """Remember a step, and forget the oldest where the memory is full."""
        if self._held.stop == ROOM:
            self._begin(self.vectors[:, 1:].copy(), self.products[1:, 1:].copy())
        last = self._held.stop
        self._held = slice(max(self._held.start, last + 1 - MEMORY), last + 1)
        self._vectors[:, last] = s, y, z
        self._products[self._held, last] = self.vectors[0] @ y

    def _begin(self, vectors: np.ndarray, products: np.ndarray) -> None:
        """Put all that is remembered at the front; below the diagonal there is nothing but zeros."""
        self._held = slice(0, vectors.shape[1])
        self._products[:] = 0.0
        self._vectors[:, self._held], self._products[self._held, self._held] = vectors, products

    def renew(self, solve: Callable[[np.ndarray], np.ndarray]) -> None:
        """Make z anew for another model Hessian.

        Parameters
        ----------
        solve
            Returns M⁻¹ times the columns of a matrix.
        """
        if self._held.stop:
            self.vectors[2] = solve(self.vectors[1].T).T

    def apply(self, gradient: np.ndarray, solved: np.ndarray) -> np.ndarray:
        """Return the inverse Hessian times the gradient.

        The compact form of the BFGS inverse (Byrd, Nocedal & Schnabel, Math. Program. 1994, 63, 129, eq. 3.1)
        with M⁻¹ as the initial one.

        Parameters
        ----------
        gradient
            The vector g / eV/Å.
        solved
            M⁻¹ g / Å.
        """
        if not self._held.stop:
            return solved
        s, y, z = self.vectors
        upper = self.products
        along = dtrsv(upper, s @ gradient)
        from_z = along @ z
        turned = dtrsv(upper, upper.diagonal() * along + y @ from_z - z @ gradient, trans=1)
        return solved + turned @ s - from_z


@dataclass
class State:
    """A minimisation between two force calls.

    Parameters
    ----------
    positions
        Best coordinates so far / Å, shape (n_atoms, 3).
    energy
        Their energy / eV.
    forces
        Their forces / eV/Å, shape (n_atoms, 3).
    max_force
        Largest force on a free atom / eV/Å.
    modelled_at
        Coordinates at which the model Hessian was made / Å.
    solved
        M⁻¹ times the gradient of the free atoms / Å.
    radius
        Trust radius / Å.
    memory
        Steps remembered.
    energies, max_forces
        Energy / eV and largest force on a free atom / eV/Å of every force call.
    modelled_call
        Number of force calls when the model Hessian was made.
    """

    positions: np.ndarray
    energy: float
    forces: np.ndarray
    max_force: float
    modelled_at: np.ndarray
    solved: np.ndarray
    radius: float
    memory: Memory
    energies: list[float] = field(default_factory=list)
    max_forces: list[float] = field(default_factory=list)
    modelled_call: int = 0

    @property
    def n_calls(self) -> int:
        """Number of force calls so far."""
        return len(self.energies)


class Trial(NamedTuple):
    """A step that is not yet evaluated.

    Parameters
    ----------
    positions
        Where energy and forces are wanted / Å, shape (n_atoms, 3).
    gradient
        Gradient of the free coordinates where the step begins / eV/Å.
    move
        Displacement of the free coordinates / Å.
    expected
        Change of the energy that the quadratic model predicts / eV.
    fraction
        Part of the full step that the trust radius allows.
    longest
        Largest displacement of an atom / Å.
    """

    positions: np.ndarray
    gradient: np.ndarray
    move: np.ndarray
    expected: float
    fraction: float
    longest: float


class Steps:
    """Chooses steps of the atoms that are free, and learns from what is found there.

    Parameters
    ----------
    numbers
        Atomic numbers, shape (n_atoms,).
    fixed
        Indices of atoms that do not move.
    curvature
        Makes the model Hessian M from coordinates: positive definite, sparse or dense; see
        `mscflow.optimize.model_hessian`, the default.
    """

    def __init__(
        self, numbers: np.ndarray, fixed: Sequence[int] = (), curvature: Curvature | None = None
    ) -> None:
        self.curvature = curvature or (lambda positions: model_hessian(positions, numbers))
        free = np.delete(np.arange(len(numbers)), np.asarray(fixed, dtype=int))
        self._coordinates = (3 * free[:, None] + np.arange(3)).ravel()
        self.free = free if len(fixed) else slice(None)
        self._solver: tuple[np.ndarray, Solve] | None = None

    def begin(self, positions: np.ndarray, energy: float, forces: np.ndarray) -> State:
        """Return the state at positions whose energy / eV and forces / eV/Å are known."""
        state = State(
            positions=positions.copy(),
            energy=energy,
            forces=forces,
            max_force=np.inf,
            modelled_at=positions.copy(),
            solved=np.empty(0),
            radius=FIRST_RADIUS,
            memory=Memory(len(self._coordinates)),
        )
        state.max_force = self._note(state, energy, forces)
        state.solved = self._solve(state, -self._free(forces))
        return state

    def propose(self, state: State) -> Trial:
        """Return the next positions to evaluate."""
        gradient = -self._free(state.forces)
        move = -state.memory.apply(gradient, state.solved)
        slope = float(gradient @ move)
        if slope >= 0:
            state.memory = Memory(len(move))
            move = -state.solved
            slope = float(gradient @ move)
        longest = _longest(move.reshape(-1, 3))
        fraction = min(1.0, state.radius / longest)
        move *= fraction
        positions = state.positions.copy()
        positions[self.free] += move.reshape(-1, 3)
        expected = slope * fraction * (1 - 0.5 * fraction)
        return Trial(positions, gradient, move, expected, fraction, fraction * longest)

    def learn(self, state: State, trial: Trial, energy: float, forces: np.ndarray) -> None:
        """Change the state by what was found at the proposed positions: energy / eV and forces / eV/Å."""
        max_force = self._note(state, energy, forces)
        gradient = -self._free(forces)
        solved = self._solve(state, gradient)
        move, change = trial.move, gradient - trial.gradient
        if change @ move > LEAST_CURVATURE * (move @ move):
            state.memory.add(move, change, solved - state.solved)
        judged = abs(trial.expected) > ENERGY_NOISE
        quality = (energy - state.energy) / trial.expected if judged else 1.0
        state.radius = _next_radius(state.radius, quality, trial.fraction, trial.longest)
        if energy > state.energy + ENERGY_NOISE:
            return
        state.positions, state.energy, state.forces = trial.positions, energy, forces
        state.max_force, state.solved = max_force, solved
        settled = state.n_calls - state.modelled_call >= SETTLED
        if settled and _longest(state.positions - state.modelled_at) > STALE:
            self._renew(state)

    def _note(self, state: State, energy: float, forces: np.ndarray) -> float:
        """Add a force call to those of the minimisation; return its largest force on a free atom / eV/Å."""
        largest = _longest(forces[self.free])
        if not math.isfinite(energy) or not math.isfinite(largest):
            raise CalculationError(
                f"energy {energy} eV and largest force {largest} eV/Å in force call {state.n_calls + 1}: "
                "check the start structure"
            )
        state.energies.append(energy)
        state.max_forces.append(largest)
        return largest

    def _renew(self, state: State) -> None:
        state.modelled_at, state.modelled_call = state.positions.copy(), state.n_calls
        state.solved = self._solve(state, -self._free(state.forces))
        state.memory.renew(lambda vectors: self._solve(state, vectors))

    def _solve(self, state: State, vectors: np.ndarray) -> np.ndarray:
        """Return M⁻¹ times vectors; the factors of M are kept as long as the state uses the same M."""
        if self._solver is None or self._solver[0] is not state.modelled_at:
            hessian = self.curvature(state.modelled_at)
            if len(self._coordinates) < hessian.shape[0]:
                hessian = hessian[self._coordinates][:, self._coordinates]
            self._solver = state.modelled_at, _factored(hessian)
        return self._solver[1](vectors)

    def _free(self, vectors: np.ndarray) -> np.ndarray:
        return vectors[self.free].ravel()


class Minimiser(Steps):
    """Minimises an energy over the coordinates of the atoms that are free.

    Parameters
    ----------
    surface
        Energy and forces.
    numbers, fixed, curvature
        See `Steps`.
    """

    def __init__(
        self,
        surface: Surface,
        numbers: np.ndarray,
        fixed: Sequence[int] = (),
        curvature: Curvature | None = None,
    ) -> None:
        super().__init__(numbers, fixed, curvature)
        self.surface = surface

    def start(self, positions: np.ndarray) -> State:
        """Return the state after the first force call."""
        return self.begin(positions, *self.surface(positions))

    def evaluate_again(self, state: State, surface: Surface) -> None:
        """Go on with another surface, e.g. the same in higher precision, keeping what was learnt."""
        self.surface = surface
        state.energy, state.forces = surface(state.positions)
        state.max_force = self._note(state, state.energy, state.forces)
        state.solved = self._solve(state, -self._free(state.forces))

    def step(self, state: State) -> None:
        """Do one force call and change the state; the positions stay where they are if the energy rose.

        A place where the level fails, a field that does not converge, say, is left for a shorter step.

        Raises
        ------
        CalculationError
            If the level fails within the smallest radius as well.
        """
        trial = self.propose(state)
        try:
            energy, forces = self.surface(trial.positions)
        except CalculationError:
            if min(state.radius, trial.longest) <= SMALLEST_RADIUS:
                raise
            state.radius = max(0.25 * trial.longest, SMALLEST_RADIUS)
            return
        self.learn(state, trial, energy, forces)


def _factored(hessian: Any) -> Solve:
    """Return the function that applies the inverse of a positive definite matrix, sparse or dense."""
    if isinstance(hessian, np.ndarray):
        factor, failed = dpotrf(hessian.T, clean=0)
        if failed:
            raise np.linalg.LinAlgError("the model Hessian is not positive definite")

        def back(vectors: np.ndarray) -> np.ndarray:
            if vectors.ndim > 1:
                return np.asarray(dpotrs(factor, vectors)[0])
            return np.asarray(dtrsv(factor, dtrsv(factor, vectors, trans=1)))

        return back
    options = {"SymmetricMode": True}
    lu = splu(hessian.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    solve: Solve = lu.solve
    return solve


def _longest(vectors: np.ndarray) -> float:
    """Return the largest length of vectors, shape (m, 3)."""
    return math.sqrt((vectors * vectors @ np.ones(3)).max())


def _next_radius(radius: float, quality: float, fraction: float, longest: float) -> float:
    """Return the trust radius after a step whose energy changed by `quality` of what was expected."""
    if quality < 0.25:
        radius = 0.5 * min(radius, longest)
    elif quality > 0.6 and fraction < 1.0:
        radius *= 1.6
    return min(max(radius, SMALLEST_RADIUS), LARGEST_RADIUS)
