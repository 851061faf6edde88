"""Label configurations with the teacher: one file per trajectory, so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.io.extxyz import key_val_str_to_dict

from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.levels import parse_level
from mscflow.topology import topology
from mscflow.train.displacements import squeezed_copies, thermal_copies
from mscflow.train.recipe import Recipe, Sampling
from mscflow.train.starts import Start, starts
from mscflow.train.workers import workers
from mscflow.whole_file import whole

TEACHER = "teacher"
"""Entry of a frame: text and hash of the level that labelled it."""

SOURCE = "source"
"""Entry of a frame: hash of its start structure and seed, and hash of the settings of its trajectory."""

LETTER = "x"
"""In front of each of these hashes: ASE reads as a number what looks like one, such as 123e45678901."""

NO_ANSWER = (CalculationError, InputError)
"""What a level raises for a structure that is too distorted for it."""


def sample(
    start: Start, sampling: Sampling, teacher: Calculator, mover: Calculator | None = None
) -> list[Atoms]:
    """Return labelled frames of one trajectory, by default without those in which ligands reacted.

    Parameters
    ----------
    start
        Structure and seed.
    sampling
        How the trajectory is sampled.
    teacher
        Gives the labels.
    mover
        Moves the atoms of the relaxation; by default the teacher.

    Returns
    -------
    list of Atoms
        Frames with ``info["REF_energy"]`` / eV and ``arrays["REF_forces"]`` / eV/Å.
    """
    frames = _labels(_walk(start, sampling, mover or teacher), start, sampling, teacher)
    if not sampling.keep_reacted:
        frames = [frame for frame in frames if not reacted(start.cluster, frame.positions)]
    return frames + squeezed(start, sampling, teacher, frames) if frames else frames


def squeezed(start: Start, sampling: Sampling, teacher: Calculator, frames: list[Atoms]) -> list[Atoms]:
    """Return labelled copies of the frame of lowest energy in which two parts were pushed together."""
    lowest = min(frames, key=lambda frame: frame.info["REF_energy"])
    cluster = start.cluster.replace(positions=lowest.positions)
    atoms = cluster.to_ase()

    def copies() -> Iterator[Atoms]:
        rng = np.random.default_rng([start.seed, 1])
        n = sampling.squeezed if start.squeezed is None else start.squeezed
        for positions in squeezed_copies(cluster, n, rng):
            atoms.positions = positions
            yield atoms

    return _labels(copies(), start, sampling, teacher)


def _labels(walk: Iterator[Atoms], start: Start, sampling: Sampling, teacher: Calculator) -> list[Atoms]:
    """Return the frames of a walk for which the teacher has an answer that is not too large."""
    frames = []
    for atoms in walk:
        try:
            frames.append(labelled(atoms, start, teacher))
        except NO_ANSWER:
            continue
    return [f for f in frames if np.abs(f.arrays["REF_forces"]).max() < sampling.max_force]


def _walk(start: Start, sampling: Sampling, mover: Calculator) -> Iterator[Atoms]:
    from ase.optimize import FIRE

    rng = np.random.default_rng(start.seed)
    atoms = start.cluster.to_ase()
    atoms.calc = mover
    atoms.positions += rng.normal(scale=rng.choice(sampling.rattle), size=atoms.positions.shape)
    relaxation = FIRE(atoms, logfile=None, maxstep=0.1)
    try:
        for step, _ in enumerate(relaxation.irun(fmax=0.02, steps=sampling.relax_steps)):
            if step < sampling.relax_dense or (step and step % sampling.relax_every == 0):
                yield atoms
        relaxed = start.cluster.replace(positions=atoms.get_positions())
    except NO_ANSWER:  # the mover fails, or has put atoms on top of each other: nothing to copy
        return
    centre = relaxed.positions.mean(axis=0)
    for strain in sampling.strains:
        atoms.positions = centre + strain * (relaxed.positions - centre)
        yield atoms
    order = itertools.islice(itertools.cycle(sampling.temperatures), sampling.copies)
    for positions in thermal_copies(relaxed, list(order), rng):
        atoms.positions = positions
        yield atoms


def labelled(atoms: Atoms, start: Start, teacher: Calculator) -> Atoms:
    """Return a frame with the teacher's labels."""
    frame = Atoms(atoms.symbols, positions=atoms.positions)
    energy = float(teacher.get_potential_energy(atoms))
    frame.info.update(REF_energy=energy, config_type=start.family)
    frame.arrays["REF_forces"] = teacher.get_forces(atoms).copy()
    return frame


def reacted(cluster: Cluster, positions: np.ndarray) -> bool:
    """Return whether at other `positions` / Å two non-metals are bonded that are not in `cluster`.

    A bond that is only stretched has not reacted.
    """
    try:
        moved = cluster.replace(positions=positions)
    except InputError:  # atoms on top of each other
        return True
    before, after = topology(cluster), topology(moved)
    formed = nx.difference(after.graph, before.graph)
    return any(not {i, j} & set(before.metals) for i, j in formed.edges)


def label(recipe: Recipe, directory: Path, n_workers: int = 1) -> list[Path]:
    """Label every trajectory of a recipe; files of its teacher are kept, frames of another's labelled anew.

    Parameters
    ----------
    recipe
        What to label.
    directory
        Where ``KEY.extxyz`` files go.
    n_workers
        Processes, one core each.

    Returns
    -------
    list of Path
        One file per start structure, in the order of `starts`.

    Raises
    ------
    InputError
        If a file is there that was made from another structure or with another sampling.
    """
    settings = recipe.sampling.model_dump_json(exclude_defaults=True)
    parallel(_label_one, [(recipe, start) for start in starts(recipe)], directory, n_workers, settings)
    return [label_file(directory, start) for start in starts(recipe)]


def _label_one(recipe: Recipe, start: Start) -> list[Atoms]:
    teacher, mover = (
        parse_level(text).calculator(start.cluster) if text else None
        for text in (recipe.teacher, recipe.sampling.mover)
    )
    return sample(start, recipe.sampling, teacher, mover)


def parallel(
    make: Callable[..., list[Atoms]], tasks: Sequence[tuple], directory: Path, n_workers: int, settings: str
) -> None:
    """Write the frames of each task to the file of its start structure.

    Files that exist are kept; where another teacher labelled them, their frames are labelled anew.

    Parameters
    ----------
    make
        Function that returns the frames of a task.
    tasks
        Its arguments; the first is the recipe, the second the start structure.
    directory
        Where the files go.
    n_workers
        Processes, one core each.
    settings
        What decides a trajectory beside its start structure and the teacher.

    Raises
    ------
    InputError
        If a file is there that was made from another structure or with other settings.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for _, start, *_ in tasks:
        _require_source(label_file(directory, start), _source(start, settings))
    todo = [task for task in tasks if not labelled_by(task[0], label_file(directory, task[1]))]
    with workers(n_workers) as pool:
        futures = {}
        for task in todo:
            start = task[1]
            future = pool.submit(_write, make, task, label_file(directory, start), _source(start, settings))
            futures[future] = start
        for n, future in enumerate(as_completed(futures), start=1):
            done = f"[{n}/{len(todo)}] {futures[future].key}: {future.result()} frames"
            print(done, file=sys.stderr, flush=True)


def _write(make: Callable[..., list[Atoms]], task: tuple, path: Path, source: str) -> int:
    recipe, start = task[:2]
    marks = {TEACHER: _mark(recipe), SOURCE: source}
    if path.exists() and (earlier := load(path)):
        if SOURCE not in _entries(path):
            del marks[SOURCE]  # nobody knows it
        frames = renewed(earlier, recipe, start)
    else:
        frames = make(*task)
    for frame in frames:
        frame.info.update(marks)
    with whole(path) as partial:  # without an answer, the marks of a frame without atoms say whose it is
        write(partial, frames or [Atoms(info=marks)], format="extxyz")
    return len(frames)


def renewed(frames: list[Atoms], recipe: Recipe, start: Start) -> list[Atoms]:
    """Return the same frames with the labels of the recipe's teacher."""
    teacher = parse_level(recipe.teacher).calculator(start.cluster)
    atoms = start.cluster.to_ase()

    def walk() -> Iterator[Atoms]:
        for frame in frames:
            atoms.positions = frame.positions
            yield atoms

    return _labels(walk(), start, recipe.sampling, teacher)


def labelled_by(recipe: Recipe, path: Path) -> bool:
    """Return whether a file is there and the recipe's teacher labelled its first frame, and so all.

    Earlier versions wrote nothing where the teacher had no answer: that is taken for the recipe's.
    """
    entries = _entries(path)
    return path.exists() and (not entries or entries.get(TEACHER) == _mark(recipe))


def _entries(path: Path) -> dict[str, Any]:
    """Return the entries of the first frame of a file; none where there is no file, or no frame in it."""
    first = read(path, index="0:1", format="extxyz") if path.exists() else []
    return first[0].info if first else {}


def _source(start: Start, settings: str) -> str:
    parts = (f"{start.made_from} {start.seed}", settings)
    return " ".join(LETTER + hashlib.sha256(part.encode()).hexdigest()[:12] for part in parts)


def _require_source(path: Path, source: str) -> None:
    """Refuse a file that was made from another structure or with other settings, if it says from which."""
    found = _entries(path).get(SOURCE, source)
    earlier = source.replace(LETTER, "")  # as it was written before, and read: perhaps as numbers
    if any(np.array_equal(found, _as_read(form)) for form in (source, earlier)):
        return
    same_start = str(found).replace(LETTER, "").split()[0] == earlier.split()[0]
    raise InputError(
        f"{path} was made {'with another sampling' if same_start else 'from another structure'} than the "
        f"recipe says: move {path.parent} away, or name another --dir"
    )


def _as_read(source: str) -> Any:
    """Return what ASE makes of an entry when it reads it."""
    return key_val_str_to_dict(f'{SOURCE}="{source}"')[SOURCE]


def _mark(recipe: Recipe) -> str:
    teacher = parse_level(recipe.teacher)
    return f"{teacher.text} {teacher.hash[:12]}"


def label_file(directory: Path, start: Start) -> Path:
    """Return the path of the labelled frames of a start structure."""
    return directory / f"{start.key}.extxyz"


def load(path: Path) -> list[Atoms]:
    """Return the labelled frames of one file, with a calculator that holds the labels."""
    frames = [frame for frame in read(path, index=":", format="extxyz") if len(frame)]
    for frame in frames:
        frame.calc = SinglePointCalculator(
            frame, energy=frame.info["REF_energy"], forces=frame.arrays["REF_forces"]
        )
    return frames
