"""States of minimisations on disk, so that an interrupted one goes on as if nothing had happened."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mscflow.errors import InputError
from mscflow.optimize.lbfgs import Memory, State
from mscflow.whole_file import whole

UNREADABLE = (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile)
"""What is raised where a file is no archive of arrays, or one without those that are looked for."""

MORE = "more_"
"""Prefix of arrays that belong to the caller."""


def save(
    path: Path,
    state: State,
    stage: int,
    anchor: np.ndarray | None,
    fingerprint: str,
    more: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a state to a file; the file is whole at any time.

    Parameters
    ----------
    path
        File to write or replace.
    state
        The state.
    stage
        Number of the surface in use, where a minimisation uses several one after the other.
    anchor
        See `mscflow.optimize.surface.Surface`.
    fingerprint
        Identifies the minimisation that may go on from here.
    more
        Other arrays to keep; see `load_more`.
    """
    arrays = {name: value for name, value in vars(state).items() if name != "memory"}
    arrays.update(vectors=state.memory.vectors, products=state.memory.products)
    arrays.update(stage=stage, fingerprint=fingerprint)
    if anchor is not None:
        arrays["anchor"] = anchor
    arrays.update({MORE + name: array for name, array in (more or {}).items()})
    write_arrays(path, arrays)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write an ``.npz`` file that is whole at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)
        stream.flush()
        os.fsync(stream.fileno())


def load(path: Path, fingerprint: str) -> tuple[State, int, np.ndarray | None]:
    """Return state, stage and anchor from a file.

    Raises
    ------
    InputError
        If the file is not a state, or one of another minimisation.
    """
    try:
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files if not name.startswith(MORE)}
            memory = Memory.of(arrays.pop("vectors"), arrays.pop("products"))
    except UNREADABLE as err:
        raise InputError(f"{path} is not a state of a relaxation: delete it, or name another file") from err
    if str(arrays.pop("fingerprint", "")) != fingerprint:
        raise InputError(
            f"{path} belongs to another relaxation (structure, level, Hessian or fixed atoms "
            "differ): delete it, or name another file"
        )
    stage, anchor = int(arrays.pop("stage")), arrays.pop("anchor", None)
    energy, energies = float(arrays.pop("energy")), arrays.pop("energies").tolist()
    max_forces = arrays.pop("max_forces").tolist()
    if "max_force" not in arrays:  # files before 2026-12
        arrays["max_force"] = max_forces[energies.index(energy)]
    state = State(
        memory=memory,
        energy=energy,
        max_force=float(arrays.pop("max_force")),
        radius=float(arrays.pop("radius")),
        modelled_call=int(arrays.pop("modelled_call", 0)),
        energies=energies,
        max_forces=max_forces,
        **arrays,
    )
    return state, stage, anchor


def load_more(path: Path) -> dict[str, np.ndarray]:
    """Return the other arrays of a state file that `load` has accepted."""
    with np.load(path) as archive:
        return {name.removeprefix(MORE): archive[name] for name in archive.files if name.startswith(MORE)}
