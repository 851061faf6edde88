"""Label where the model goes by itself: its relaxations and dynamics, until it is badly wrong.

A potential that is only fitted to its teacher's trajectories has never seen where its own errors lead, and
falls into holes there. Here it relaxes and moves structures itself; the teacher labels frames on the way.
Where the forces differ too much the trajectory ends, and the steps since the last good frame are searched for
the edge of the hole: frames deep inside are too distorted to teach anything. All join the training set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator

from mscflow.chemistry import suggest
from mscflow.errors import InputError
from mscflow.levels import MACE, parse_level
from mscflow.train.labels import NO_ANSWER, labelled, parallel, reacted
from mscflow.train.recipe import Exploration, Recipe
from mscflow.train.starts import Start, starts

TIMESTEP_FS = 2.0
SPREAD = {"rounds", "families", "trajectories", "epochs"}
"""Settings of the exploration that do not change what one of its trajectories is."""

HYDROGEN_MASS = 3.0
FRICTION_PER_FS = 0.02


def explore(recipe: Recipe, model: Path, directory: Path, n_round: int, n_workers: int = 1) -> list[Path]:
    """Run and label one round of exploration; trajectories that have a file are kept.

    Parameters
    ----------
    recipe
        Starts, teacher and settings.
    model
        The model that explores.
    directory
        Where ``KEY.extxyz`` files go.
    n_round
        Number of the round, from 1: other rounds take other structures and other walks.
    n_workers
        Processes, one core each.

    Returns
    -------
    list of Path
        One file per trajectory.
    """
    chosen = explored(recipe, n_round)
    settings = recipe.exploration.model_dump_json(exclude=SPREAD, exclude_defaults=True)
    tasks = [(recipe, start, model, n_round) for start in chosen]
    parallel(_explore_one, tasks, directory, n_workers, f"{settings} round {n_round}")
    return [directory / f"{start.key}.extxyz" for start in chosen]


def explored(recipe: Recipe, n_round: int) -> list[Start]:
    """Return the start structures of a round, drawn from those that are not held out.

    The families have their turns one after the other, so that each is reached where there are as many
    trajectories as families; which of its structures come first, and which family, is another in each round.

    Raises
    ------
    InputError
        If one of the families is none that the recipe trains on.
    """
    seen = [start for start in starts(recipe) if not start.held_out]
    known = sorted({start.family for start in seen})
    families = recipe.exploration.families or known
    for name in families:
        if name not in known:
            raise InputError(
                f"{recipe.name}: exploration.families: no system to train on is of {name!r}: "
                f"{suggest(name, known)}"
            )
    seen = [start for start in seen if start.family in families]
    drawn: dict[str, list[Start]] = {}
    for n in np.random.default_rng([recipe.seed, n_round]).permutation(len(seen)):
        drawn.setdefault(seen[n].family, []).append(seen[n])
    turns = itertools.chain.from_iterable(itertools.zip_longest(*drawn.values()))
    return [start for start in turns if start is not None][: recipe.exploration.trajectories]


def _explore_one(recipe: Recipe, start: Start, model: Path, n_round: int) -> list[Atoms]:
    potential = MACE(model=str(model), dtype="float32").trusting()
    teacher = parse_level(recipe.teacher).calculator(start.cluster)
    calculator = potential.calculator(start.cluster)
    return [
        frame
        for walk in (_relaxation, _dynamics)
        for frame in compared(walk(start, recipe.exploration, calculator, n_round), teacher, start, recipe)
        if np.abs(frame.arrays["REF_forces"]).max() < recipe.sampling.max_force
    ]


def compared(walk: Iterator[Atoms], teacher: Calculator, start: Start, recipe: Recipe) -> list[Atoms]:
    """Return frames of a walk of the model with the teacher's labels, until the model is badly wrong.

    Parameters
    ----------
    walk
        Every step, with the calculator of the model.
    teacher
        Labels every n-th step of the recipe and, where the model is badly wrong there, those that bisect the
        steps since the last good one.
    start
        Where the walk started; it ends where ligands react, too, and a frame in which they have reacted
        is kept only where the model is badly wrong.
    recipe
        Which steps, and which error is too large.
    """
    frames = []
    since: list[tuple[np.ndarray, np.ndarray]] = []
    for step, atoms in enumerate(walk):
        since.append((atoms.get_positions(), atoms.get_forces()))
        if step % recipe.exploration.every:
            continue
        frame, error = _compared(start, *since[-1], teacher)
        wrong = error > recipe.exploration.max_error
        over = reacted(start.cluster, atoms.positions)
        if frame is not None and (wrong or not over):
            frames.append(frame)
        if wrong:
            frames += _edge(since, teacher, start, recipe.exploration.max_error)
        if wrong or over:
            break
        since.clear()
    return frames


def _edge(
    since: list[tuple[np.ndarray, np.ndarray]], teacher: Calculator, start: Start, max_error: float
) -> list[Atoms]:
    """Return labelled frames that bisect the steps between a good one and the last, which is wrong."""
    frames = []
    good, bad = -1, len(since) - 1
    while bad - good > 1:
        middle = (good + bad) // 2
        frame, error = _compared(start, *since[middle], teacher)
        frames += [frame] if frame is not None else []
        good, bad = (good, middle) if error > max_error else (middle, bad)
    return frames


def _compared(
    start: Start, positions: np.ndarray, forces: np.ndarray, teacher: Calculator
) -> tuple[Atoms | None, float]:
    """Return the frame with the teacher's labels and the largest error of a force component / eV/Å."""
    frame = start.cluster.to_ase()
    frame.positions = positions
    try:
        frame = labelled(frame, start, teacher)
    except NO_ANSWER:
        return None, np.inf
    return frame, float(np.abs(frame.arrays["REF_forces"] - forces).max())


def _relaxation(start: Start, settings: Exploration, calculator: Calculator, n_round: int) -> Iterator[Atoms]:
    from ase.optimize import LBFGS

    atoms = start.cluster.to_ase()
    atoms.calc = calculator
    rng = np.random.default_rng([start.seed, n_round])
    atoms.positions += rng.normal(scale=settings.rattle, size=atoms.positions.shape)
    steps = LBFGS(atoms, logfile=None, maxstep=0.1).irun(fmax=0.02, steps=settings.relax_steps)
    for _ in steps:
        yield atoms


def _dynamics(start: Start, settings: Exploration, calculator: Calculator, n_round: int) -> Iterator[Atoms]:
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import thermalize_momenta
    from ase.optimize import FIRE

    atoms = start.cluster.to_ase()
    atoms.calc = calculator
    rng = np.random.default_rng([start.seed + 1, n_round])
    FIRE(atoms, logfile=None, maxstep=0.1).run(fmax=0.3, steps=50)
    _heavy_hydrogen(atoms)
    thermalize_momenta(atoms, temperature_K=settings.temperature, rng=rng)
    dynamics = Langevin(
        atoms,
        TIMESTEP_FS * units.fs,
        temperature_K=settings.temperature,
        friction=FRICTION_PER_FS / units.fs,
        fixcm=False,
        rng=rng,
    )
    for _ in dynamics.irun(settings.md_steps):
        yield atoms


def _heavy_hydrogen(atoms: Atoms) -> None:
    """Make hydrogen heavy enough for the time step."""
    masses = [
        HYDROGEN_MASS if s == "H" else m for s, m in zip(atoms.symbols, atoms.get_masses(), strict=True)
    ]
    atoms.set_masses(masses)
