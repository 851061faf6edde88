"""Fit a MACE network to labelled files with mace-torch's own training code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from ase.io import write

from mscflow.errors import CalculationError, InputError
from mscflow.levels.potentials.registry import require_known_file
from mscflow.train.labels import label_file, load
from mscflow.train.recipe import Network, Recipe
from mscflow.train.same_recipe import keep_recipe, require_same_recipe
from mscflow.train.starts import Start, starts
from mscflow.train.wider import widen
from mscflow.whole_file import whole

VALID_EVERY = 12
"""Every twelfth trajectory that is not held out (of fewer the last) is not trained on: the log of the fit
reports its loss by epoch. It decides nothing: the rate decays by a fixed factor, and the last epochs make the
model."""

FIT = (
    "import runpy, sys; from mscflow.executors.worker import follow_parent; "
    "from mscflow.train.scalar_layers import install; "
    "follow_parent(int(sys.argv.pop(1))); install(); "
    "runpy.run_module('mace.cli.run_train', run_name='__main__', alter_sys=True)"
)
"""mace-torch's training with our layers; its process ends with the one whose number is its first argument."""


@dataclass(frozen=True)
class Split:
    """Frames by purpose.

    Parameters
    ----------
    train
        Frames the fit learns from.
    valid
        Frames whose loss the log of the fit reports.
    test
        Frames of start structures the fit never sees.
    """

    train: list[Atoms]
    valid: list[Atoms]
    test: list[Atoms]


def split(recipe: Recipe, directories: Sequence[Path]) -> Split:
    """Divide the labelled frames by start structure: frames of one trajectory stay together.

    Parameters
    ----------
    recipe
        The recipe.
    directories
        Labels, and frames of the rounds of exploration.

    Raises
    ------
    InputError
        If there is only one trajectory to see.
    """
    every = starts(recipe)
    seen = [start for start in every if not start.held_out]
    if len(seen) < 2:
        raise InputError(f"{recipe.name}: one trajectory is not enough, one more is needed for validation")
    n = min(VALID_EVERY, len(seen))
    valid = seen[n - 1 :: n]
    train = [start for start in seen if start not in valid]
    test = [start for start in every if start.held_out]
    return Split(*(_frames(part, directories) for part in (train, valid, test)))


def _frames(chosen: Sequence[Start], directories: Sequence[Path]) -> list[Atoms]:
    files = [label_file(directory, start) for start in chosen for directory in directories]
    return [frame for file in files if file.exists() for frame in load(file)]


def fit(recipe: Recipe, labels: Sequence[Path], directory: Path, n_round: int = 0) -> Path:
    """Train the network; a stopped run, and the next round, go on from the last checkpoint.

    Parameters
    ----------
    recipe
        Network and seed.
    labels
        Directories of labelled files, complete.
    directory
        Where checkpoints, log and models go.
    n_round
        Rounds of exploration before this fit.

    Returns
    -------
    Path
        The trained model.

    Raises
    ------
    InputError
        If another recipe began the fit in `directory`, or the model it starts from cannot be used, or not be
        made wider.
    CalculationError
        If mace-torch's training ends with an error; the log is named.
    """
    directory = directory.resolve()  # mace-torch runs inside it
    foundation = foundation_file(recipe.network)
    require_same_recipe(recipe, foundation, directory)
    directory.mkdir(parents=True, exist_ok=True)
    keep_recipe(recipe, foundation, directory)
    finished = directory / f"round-{n_round}.model"
    if finished.exists():
        return finished
    suffix = "_stagetwo" if _n_epochs(recipe, n_round) > recipe.network.stage_two else ""
    model = directory / f"{recipe.name}{suffix}.model"
    model.unlink(missing_ok=True)
    frames = split(recipe, labels)
    for part, atoms in (("train", frames.train), ("valid", frames.valid)):
        write(directory / f"{part}.extxyz", [_bare(a) for a in atoms], format="extxyz")
    _set_stage_two(directory / "checkpoints", recipe.network.stage_two_lr)
    log = directory / "fit.log"
    with log.open("a") as stream:
        code = subprocess.run(  # noqa: S603 - our own interpreter and arguments, no shell
            [sys.executable, "-c", FIT, str(os.getpid()), *_arguments(recipe, directory, n_round)],
            cwd=directory,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code or not model.exists():
        raise CalculationError(f"the fit of {recipe.name} ended with code {code}: see {log}")
    if recipe.network.averaged > 1:
        average_weights(model, _checkpoints(recipe, directory)[-recipe.network.averaged :])
    return model.rename(finished)


def _checkpoints(recipe: Recipe, directory: Path) -> list[Path]:
    """Return the checkpoints of the fit of a name and seed by epoch."""
    files = (directory / "checkpoints").glob(f"{recipe.name}_run-{recipe.seed}_epoch-*.pt")
    return sorted(files, key=lambda file: int(file.stem.removesuffix("_swa").rpartition("-")[2]))


def average_weights(model: Path, checkpoints: Sequence[Path]) -> None:
    """Give a model the mean of the weights of checkpoints.

    Where labels are rare, what one epoch describes badly another one describes well; a mean generalises
    better (Izmailov et al., UAI 2018, arXiv:1803.05407).

    Parameters
    ----------
    model
        File of the model, our own; it is overwritten.
    checkpoints
        Checkpoints of mace-torch's training.
    """
    import torch

    network = torch.load(model, map_location="cpu", weights_only=False)
    states = [torch.load(file, map_location="cpu", weights_only=True)["model"] for file in checkpoints]
    mean = {
        key: (sum(state[key] for state in states) / len(states)).to(first.dtype)
        for key, first in states[0].items()
    }
    network.load_state_dict(mean)
    torch.save(network, model)


def _set_stage_two(checkpoints: Path, lr: float) -> None:
    """Give the optimizer's state the learning rate of stage two.

    mace-torch 0.3.16 restores the state as it was; one of a fit that ended before stage two has no such rate,
    and there is a KeyError when that begins. A checkpoint that was cut when the fit was killed is put
    aside: it goes on from the one before.
    """
    import torch

    for file in checkpoints.glob("*.pt"):
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, EOFError, pickle.UnpicklingError):
            file.replace(file.with_suffix(".unreadable"))
            continue
        groups = state["optimizer"]["param_groups"]
        if any(group.get("swa_lr") != lr for group in groups):
            for group in groups:
                group["swa_lr"] = lr
            with whole(file) as partial:
                torch.save(state, partial)


def _bare(atoms: Atoms) -> Atoms:
    """Return a copy without calculator, so that only the ``REF_`` labels are written."""
    frame = atoms.copy()
    frame.calc = None
    return frame


def _arguments(recipe: Recipe, directory: Path, n_round: int) -> Sequence[str]:
    network = recipe.network
    options = {
        "name": recipe.name,
        "seed": recipe.seed,
        "work_dir": directory,
        "train_file": directory / "train.extxyz",
        "valid_file": directory / "valid.extxyz",
        "energy_key": "REF_energy",
        "forces_key": "REF_forces",
        "model": "MACE",
        "batch_size": network.batch_size,
        "valid_batch_size": 4 * network.batch_size,
        "loss": network.loss,
        "energy_weight": network.energy_weight,
        "lr": network.lr,
        "scheduler": "ExponentialLR",
        "lr_scheduler_gamma": network.lr_decay,
        "max_num_epochs": _n_epochs(recipe, n_round),
        "start_swa": network.stage_two,
        "ema_decay": network.ema_decay,
        "default_dtype": "float32",
        "device": "cpu",
        "error_table": "PerAtomMAE",
        "swa_lr": network.stage_two_lr,
        "swa_energy_weight": network.stage_two_energy_weight,
        "plot": False,
        **_weights(recipe, directory),
    }
    flags = ["--pair_repulsion", "--swa", "--ema", "--amsgrad", "--restart_latest", "--save_all_checkpoints"]
    return [f"--{key}={value}" for key, value in options.items()] + flags


def _new_network(network: Network) -> dict[str, object]:
    return {
        "E0s": "average",
        "num_channels": network.channels,
        "max_L": network.max_l,
        "max_ell": network.max_ell,
        "correlation": network.correlation,
        "r_max": network.r_max,
        "compute_avg_num_neighbors": False,
        "avg_num_neighbors": network.avg_num_neighbors,
    }


def _weights(recipe: Recipe, directory: Path) -> dict[str, object]:
    """Return the options of a new network, or of one from a model, whose free atoms are fitted anew."""
    foundation = foundation_file(recipe.network)
    if foundation is None:
        return _new_network(recipe.network)
    if recipe.network.wider:
        foundation = widen(foundation, directory / "wider.model", recipe.seed)
    return {"foundation_model": foundation, "E0s": "estimated", "multiheads_finetuning": False}


def foundation_file(network: Network) -> Path | None:
    """Return the file of the model the fit starts from, None if there is none.

    Raises
    ------
    InputError
        If it is not there, or its bytes are not those the recipe or a shipped record states.
    """
    if network.foundation is None:
        return None
    return require_known_file(network.foundation, network.foundation_sha256).resolve()


def _n_epochs(recipe: Recipe, n_round: int) -> int:
    return recipe.network.epochs + n_round * recipe.exploration.epochs
