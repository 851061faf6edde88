"""A MACE network of twice as many channels that gives the same answers, to go on from.

Every channel becomes two that begin alike and share what they send on in unequal parts, so that the fit makes
them different (Net2Net: Chen, Goodfellow and Shlens, ICLR 2016, arXiv:1511.05641).
"""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

from mscflow.errors import InputError
from mscflow.levels.potentials.mace_tables import UnsupportedModelError, require_supported
from mscflow.levels.potentials.registry import file_checksum
from mscflow.levels.potentials.weights import load_network
from mscflow.whole_file import whole

FITTED = "float32"
"""Precision of the weights in a fit."""

UNEQUAL = 0.3
"""Part of a weight by which the shares of two channels differ at random."""


def widen(model: Path, wider: Path, seed: int) -> Path:
    """Write the wider network of a model.

    Parameters
    ----------
    model
        File of a network with scalar features, of which the bytes are known.
    wider
        Where the new one goes.
    seed
        Seed of the unequal shares.

    Raises
    ------
    InputError
        See `load_narrow`.
    """
    import torch
    from mace.tools.scripts_utils import extract_config_mace_model

    network = load_narrow(model)
    settings = extract_config_mace_model(network)
    n_channels = settings["hidden_irreps"].dim
    settings["hidden_irreps"] = (2 * settings["hidden_irreps"]).simplify()
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, FITTED))
    try:
        twice = type(network)(**settings)
    finally:
        torch.set_default_dtype(before)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, new in twice.named_parameters():
            owner, _, _ = name.rpartition(".")
            n_paths = len(getattr(network.get_submodule(owner), "instructions", ()))
            weight = _out(network.get_parameter(name), new, n_channels, owner)
            new.copy_(_into(weight, new, n_channels, n_paths, random).reshape(new.shape))
    with whole(wider) as partial:
        torch.save(twice, partial)
    return wider


def load_narrow(model: Path) -> Any:
    """Return the network of a model that can be made wider.

    Raises
    ------
    InputError
        If the file is no model, its features are not scalars, or it reads charge or spin.
    """
    network = deepcopy(load_network(model, file_checksum(model), FITTED)).cpu()
    try:
        require_supported(network)
    except UnsupportedModelError as error:
        raise InputError(f"{model}: only a network with scalar features can be widened: {error}") from error
    return network


def _out(weight: Any, new: Any, n_channels: int, owner: str) -> Any:
    """Return weights with twice the channels that go out, the last axis; a readout's go in."""
    import torch

    if new.numel() == weight.numel() or owner.startswith("readouts"):
        return weight
    weight = weight.reshape(-1, n_channels)
    return torch.cat([weight, weight], dim=1)


def _into(weight: Any, new: Any, n_channels: int, n_paths: int, random: Any) -> Any:
    """Return weights with twice the channels that come in, the second axis after the paths of e3nn.

    Its layers divide by the root of the number of channels.
    """
    import torch

    if new.numel() == weight.numel():
        return weight
    weight = weight.reshape(n_paths, n_channels, -1)
    unequal = UNEQUAL * torch.randn(weight.shape, generator=random, dtype=weight.dtype)
    return torch.cat([weight * (1 + unequal), weight * (1 - unequal)], dim=1) / math.sqrt(2)
