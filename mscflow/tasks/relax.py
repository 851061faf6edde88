"""Relax a cluster at any level of theory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from pydantic import Field

from mscflow.clock import Clock, out_of_time
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.levels import MACE, Level, PySCF, parse_level
from mscflow.levels.potentials.domain import NO_DOMAIN
from mscflow.optimize.course import Course
from mscflow.optimize.lbfgs import Minimiser, State
from mscflow.optimize.rigid import InternalSurface
from mscflow.optimize.state_file import load, load_more, save
from mscflow.optimize.surface import Surface
from mscflow.processor import one_thread
from mscflow.tasks.document import TaskDocument, input_hash
from mscflow.topology import Role, Topology, topology

OPTIMIZER = "L-BFGS on a model Hessian"

SEARCH_FMAX = 0.01
"""Largest force down to which surfaces of lower precision are used / eV/Å."""

SAVE_INTERVAL_S = 10.0
"""Time between two states on disk / s."""

Fixed = str | Sequence[int] | None
"""Atoms that do not move: indices, ``"core"``, or None."""

N_NAMED = 5
"""Atoms named in a warning."""


class Relaxation(TaskDocument):
    """A relaxed structure.

    Attributes
    ----------
    energy
        Energy of the last structure / eV.
    converged
        Whether the largest force fell below `fmax`.
    n_force_calls
        Number of energy and gradient evaluations, those of lower precision included.
    max_force
        Largest force on a free atom in the last structure / eV/Å.
    fmax
        Threshold asked for / eV/Å.
    energies
        Energy of each force call / eV.
    max_forces
        Largest force on a free atom at each force call / eV/Å.
    optimizer
        How the steps were chosen.
    fixed
        Indices of atoms that did not move.
    extrapolation
        How far the surroundings of each atom are from what the level was made on: above 1 is outside, 1e6
        (`mscflow.levels.potentials.domain.NO_DOMAIN`) an element of which the training had too few atoms.
        Empty where the level has no such measure.
    trajectory
        A few geometries on the way, the first and the last included / Å, shape (n_frames, n_atoms, 3), where
        they were asked for.
    """

    energy: float
    converged: bool
    n_force_calls: int
    max_force: float
    fmax: float
    energies: list[float] = Field(default_factory=list)
    max_forces: list[float] = Field(default_factory=list)
    optimizer: str = OPTIMIZER
    fixed: list[int] = Field(default_factory=list)
    extrapolation: list[float] = Field(default_factory=list)
    trajectory: list[list[list[float]]] = Field(default_factory=list, repr=False)


def relax(
    cluster: Cluster,
    level: str | Level = "mace:msc-small",
    fmax: float = 0.02,
    max_steps: int = 1000,
    fixed: Fixed = None,
    state_file: str | Path | None = None,
    n_frames: int = 0,
) -> Relaxation:
    """Relax a cluster with L-BFGS on a model Hessian; see `mscflow.optimize`.

    Parameters
    ----------
    cluster
        Start structure.
    level
        Level of theory, or its text form.
    fmax
        Convergence threshold for the largest force on a free atom / eV/Å.
    max_steps
        Steps after which the relaxation ends unconverged (with a warning).
    fixed
        Indices of atoms that do not move, or ``"core"`` for core anions and core cations.
    state_file
        Where the state is kept while the relaxation runs and when it ends; where the file exists the
        relaxation goes on from it, and ends as one that was never interrupted.
    n_frames
        Geometries on the way that the result keeps at most; of a relaxation that goes on with more of them,
        those passed before stay as rare as they were kept.

    Returns
    -------
    Relaxation
        Energy / eV, structure and course of the relaxation.

    Raises
    ------
    InputError
        If a number is out of range, the level cannot represent the cluster, or the state file belongs to
        another relaxation.
    CalculationError
        If energy or forces are not finite.
    OutOfTimeError
        If there is a state file and the process will be ended soon; see `mscflow.clock`.
    """
    check_numbers(fmax, max_steps)
    level = parse_level(level)
    started = time.perf_counter()
    path = None if state_file is None else Path(state_file)
    frozen = fixed_atoms(cluster, fixed)
    return finish(cluster, level, frozen, fmax, max_steps, started, path=path, n_frames=n_frames)


def relaxation_input(
    cluster: Cluster, level: Level, fmax: float, max_steps: int, frozen: Sequence[int]
) -> str:
    """Return the `input_hash` of a relaxation."""
    settings = {"fixed": list(frozen)} if frozen else {}
    return input_hash("relax", cluster, level, fmax=fmax, max_steps=max_steps, **settings)


def check_numbers(fmax: float, max_steps: int) -> None:
    """Refuse a threshold or a limit of steps that makes no sense."""
    if not fmax > 0:
        raise InputError(f"fmax must be positive (eV/Å), not {fmax}")
    if max_steps < 1:
        raise InputError(f"max_steps must be at least 1, not {max_steps}")


def finish(
    cluster: Cluster,
    level: Level,
    frozen: list[int],
    fmax: float,
    max_steps: int,
    started: float,
    begun: State | None = None,
    path: Path | None = None,
    n_frames: int = 0,
) -> Relaxation:
    """Minimise to the end and describe what was found; for the parameters see `relax`.

    Parameters
    ----------
    frozen
        Indices of atoms that do not move.
    started
        Reading of ``time.perf_counter`` when the work on the cluster began.
    begun
        State of a minimisation on the first surface of the level, to go on from.
    path
        The state file.
    n_frames
        Geometries to keep.
    """
    warnings = level.require(cluster)
    try:
        surfaces = level.surfaces(cluster)
        if isinstance(level, PySCF) and not frozen:  # its grid pulls the molecule as a whole
            surfaces = [InternalSurface(surface) for surface in surfaces]
        # beside PyTorch's threads, NumPy's make the minimiser's small products take many times as long
        with one_thread() if isinstance(level, MACE) else nullcontext():
            state, minimiser, course = _minimise(
                surfaces, cluster, level, frozen, fmax, max_steps, begun, path, n_frames
            )
    except CalculationError as err:
        raise CalculationError(f"{level}, {cluster.name or cluster.formula}: {err}") from err
    converged = state.max_force < fmax
    if not converged:
        warnings.append(
            f"not converged: {state.max_force:.3f} eV/Å after {max_steps} steps, asked for {fmax}"
        )
    try:
        relaxed = cluster.replace(positions=state.positions)
    except InputError as err:
        raise CalculationError(
            f"{level} lets {cluster.name or cluster.formula} collapse ({err}): check it with another level"
        ) from err
    warnings += bond_warnings(cluster, relaxed)
    extrapolation = level.extrapolation(relaxed, minimiser.surface)
    warnings += outside(relaxed, level, extrapolation)
    return Relaxation(
        input_hash=relaxation_input(cluster, level, fmax, max_steps, frozen),
        cluster=relaxed,
        level=level,
        level_text=level.text,
        level_hash=level.hash,
        level_description=level.description,
        energy=state.energy,
        converged=converged,
        n_force_calls=state.n_calls,
        max_force=state.max_force,
        fmax=fmax,
        energies=state.energies,
        max_forces=state.max_forces,
        fixed=frozen,
        extrapolation=[] if extrapolation is None else np.round(extrapolation, 2).tolist(),
        trajectory=[frame.round(3).tolist() for frame in course.frames(state.positions)],
        wall_time_s=time.perf_counter() - started,
        warnings=warnings,
    )


def fixed_atoms(cluster: Cluster, fixed: Fixed) -> list[int]:
    """Return the indices of atoms that do not move, ascending.

    Raises
    ------
    InputError
        If an index is out of range, no atom would be free, or there is no core to fix.
    """
    if fixed is None:
        return []
    if isinstance(fixed, str):
        if fixed != "core":
            raise InputError(f"fixed must be atom indices or 'core', not {fixed!r}")
        roles = topology(cluster).roles
        fixed = [i for i, role in enumerate(roles) if role in (Role.CORE_ANION, Role.CORE_CATION)]
        if not fixed:
            raise InputError(f"{cluster.name or cluster.formula} has no core to fix: give atom indices")
    wrong = [i for i in fixed if i not in range(len(cluster))]
    if wrong:
        raise InputError(f"fixed atom {wrong[0]} does not exist: indices are 0 to {len(cluster) - 1}")
    if len(set(fixed)) == len(cluster):
        raise InputError(f"all {len(cluster)} atoms are fixed: at least one must be free to move")
    return sorted({int(i) for i in fixed})


def _minimise(
    surfaces: list[Surface],
    cluster: Cluster,
    level: Level,
    frozen: list[int],
    fmax: float,
    max_steps: int,
    begun: State | None,
    path: Path | None,
    n_frames: int,
) -> tuple[State, Minimiser, Course]:
    """Minimise on the surfaces of a level one after the other; the minimiser ends on the last of them."""
    fingerprint = input_hash("state", cluster, level, fixed=frozen) if path is not None else ""
    minimiser = Minimiser(surfaces[0], cluster.numbers, frozen)
    if path is not None and path.exists():
        state, stage, anchor = load(path, fingerprint)
        minimiser.surface = surfaces[stage]
        minimiser.surface.anchor = anchor
        course = Course.of(load_more(path), n_frames)
    else:
        state, stage = begun or minimiser.start(cluster.positions), 0
        course = Course(n_frames)
    if not course.kept:
        course.add(cluster.positions)

    def keep() -> None:
        if path is not None:
            save(path, state, stage, minimiser.surface.anchor, fingerprint, course.arrays())

    saved, clock = time.monotonic(), Clock()
    last = len(surfaces) - 1
    while state.n_calls <= max_steps:
        if state.max_force >= (fmax if stage == last else max(fmax, SEARCH_FMAX)):
            minimiser.step(state)
            course.add(state.positions)
        elif stage < last:
            stage += 1
            minimiser.evaluate_again(state, surfaces[stage])
        else:
            break
        if path is not None and time.monotonic() - saved > SAVE_INTERVAL_S:
            keep()
            saved = time.monotonic()
        if path is not None and clock.is_over():
            keep()
            raise out_of_time(f"relaxation of {cluster.name or cluster.formula} with {level}", path)
    keep()
    if stage < last:
        minimiser.evaluate_again(state, surfaces[last])
    return state, minimiser, course


def outside(cluster: Cluster, level: Level, extrapolation: np.ndarray | None) -> list[str]:
    """Return a warning that names the atoms whose surroundings the level was not made on."""
    if extrapolation is None or not (extrapolation > 1).any():
        return []
    worst = np.argsort(-extrapolation)[: int((extrapolation > 1).sum())]
    named = ", ".join(f"{cluster.symbols[i]}{i}" for i in worst[:N_NAMED])
    more = ", ..." if len(worst) > N_NAMED else ""
    rare = sorted({cluster.symbols[i] for i in worst if extrapolation[i] >= NO_DOMAIN})
    reasons = [f"too few training atoms of {', '.join(rare)} to judge by"] if rare else []
    measured = extrapolation[(extrapolation > 1) & (extrapolation < NO_DOMAIN)]
    reasons += [f"up to {measured.max():.1f} times the limit"] if len(measured) else []
    return [
        f"{len(worst)} of {len(cluster)} atoms are outside of what {level} was trained on ({named}{more}; "
        f"{', '.join(reasons)}): check with another level"
    ]


def bond_warnings(before: Cluster, after: Cluster) -> list[str]:
    """Return warnings for all that happened to bonds: damage, and bonds that the core did not have."""
    old, new = topology(before), topology(after)
    return [*_damage(old, new), *new_core_bonds(old, new)]


def new_core_bonds(old: Topology, new: Topology) -> list[str]:
    """Return a warning that names bonds of core anions which only the new core has: faces may close."""
    found = sorted(new.core_bonds - old.core_bonds, key=sorted)
    if not found:
        return []
    after, pairs = new.cluster, np.array([sorted(edge) for edge in found])
    lengths = np.linalg.norm(np.subtract(*after.positions[pairs.T]), axis=1)
    named = ", ".join(f"{after.symbols[i]}{i}–{after.symbols[j]}{j}" for i, j in pairs[:N_NAMED])
    more = ", ..." if len(pairs) > N_NAMED else ""
    span = " to ".join(dict.fromkeys(f"{length:.2f}" for length in (lengths.min(), lengths.max())))
    return [f"core bonds formed: {named}{more} ({span} Å)"]


def bond_changes(before: Cluster, after: Cluster) -> list[str]:
    """Return warnings for broken core bonds and lost ligands; changed binding modes are no damage."""
    return _damage(topology(before), topology(after))


def _damage(old: Topology, new: Topology) -> list[str]:
    broken = sorted(sorted(edge) for edge in old.core_bonds if not new.graph.has_edge(*edge))
    named = ["–".join(f"{old.cluster.symbols[i]}{i}" for i in edge) for edge in broken]
    warnings = [f"core bonds broken: {', '.join(named)}"] if named else []
    lost = (new.free_pieces - old.free_pieces).intersection(old.pieces)
    if lost:
        warnings.append(f"{len(lost)} ligand(s) left the cluster")
    if old.pieces != new.pieces:
        warnings.append("ligands reacted: bonds inside ligands were formed or broken")
    return warnings
