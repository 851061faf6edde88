"""Label where the model goes by itself: its relaxations and dynamics, until it is badly wrong.

A potential that is only fitted to its teacher's trajectories has never seen where its own errors lead, and
falls into holes there. Here it relaxes and moves structures itself; the teacher labels frames on the way and
ends the trajectory where the forces differ too much. Those frames are added to the training set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed, Calculator

from mscflow.levels import MACE, parse_level
from mscflow.levels.registry import file_checksum
from mscflow.train.labels import labelled, parallel
from mscflow.train.recipe import Exploration, Recipe
from mscflow.train.starts import Start, starts

TIMESTEP_FS = 2.0
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
        Number of the round, from 1: other rounds take other structures.
    n_workers
        Processes, one core each.

    Returns
    -------
    list of Path
        One file per trajectory.
    """
    chosen = explored(recipe, n_round)
    parallel(_explore_one, [(recipe, start, model, directory) for start in chosen], directory, n_workers)
    return [directory / f"{start.key}.extxyz" for start in chosen]


def explored(recipe: Recipe, n_round: int) -> list[Start]:
    """Return the start structures of a round: an even selection of those that are not held out."""
    seen = [start for start in starts(recipe) if not start.held_out]
    step = max(1, len(seen) // recipe.exploration.trajectories)
    return seen[(n_round - 1) % step :: step][: recipe.exploration.trajectories]


def _explore_one(recipe: Recipe, start: Start, model: Path, _directory: Path) -> list[Atoms]:
    potential = MACE(model=str(model), trusted_sha256=file_checksum(model), dtype="float32")
    teacher = parse_level(recipe.teacher).calculator(start.cluster)
    calculator = potential.calculator(start.cluster)
    frames: list[Atoms] = []
    for walk in (_relaxation, _dynamics):
        for atoms in walk(start, recipe.exploration, calculator):
            frame, error = _compared(atoms, teacher, start)
            if frame is not None and np.abs(frame.arrays["REF_forces"]).max() < recipe.sampling.max_force:
                frames.append(frame)
            if error > recipe.exploration.max_error:
                break
    return frames


def _compared(atoms: Atoms, teacher: Calculator, start: Start) -> tuple[Atoms | None, float]:
    """Return the frame with the teacher's labels and the largest error of a force component / eV/Å."""
    frame = atoms.copy()
    frame.calc = teacher
    try:
        frame = labelled(frame, start)
    except CalculationFailed:  # the teacher has no answer for a structure so distorted
        return None, np.inf
    return frame, float(np.abs(frame.arrays["REF_forces"] - atoms.get_forces()).max())


def _relaxation(start: Start, settings: Exploration, calculator: Calculator) -> Iterator[Atoms]:
    from ase.optimize import LBFGS

    atoms = start.cluster.to_ase()
    atoms.calc = calculator
    rng = np.random.default_rng(start.seed)
    atoms.positions += rng.normal(scale=settings.rattle, size=atoms.positions.shape)
    steps = LBFGS(atoms, logfile=None, maxstep=0.1).irun(fmax=0.02, steps=settings.relax_steps)
    for step, _ in enumerate(steps):
        if step % settings.every == 0:
            yield atoms


def _dynamics(start: Start, settings: Exploration, calculator: Calculator) -> Iterator[Atoms]:
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
    from ase.optimize import FIRE

    atoms = start.cluster.to_ase()
    atoms.calc = calculator
    rng = np.random.default_rng(start.seed + 1)
    FIRE(atoms, logfile=None, maxstep=0.1).run(fmax=0.3, steps=50)
    _heavy_hydrogen(atoms)
    MaxwellBoltzmannDistribution(atoms, temperature_K=settings.temperature, rng=rng)
    dynamics = Langevin(
        atoms,
        TIMESTEP_FS * units.fs,
        temperature_K=settings.temperature,
        friction=FRICTION_PER_FS / units.fs,
        fixcm=False,
        rng=rng,
    )
    for step, _ in enumerate(dynamics.irun(settings.md_steps), start=1):
        if step % settings.every == 0:
            yield atoms


def _heavy_hydrogen(atoms: Atoms) -> None:
    """Make hydrogen heavy enough for the time step."""
    masses = [
        HYDROGEN_MASS if s == "H" else m for s, m in zip(atoms.symbols, atoms.get_masses(), strict=True)
    ]
    atoms.set_masses(masses)
