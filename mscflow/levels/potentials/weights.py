"""Load the network of a MACE file, and read from it what it can represent."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mscflow.errors import InputError

ENERGY_MODELS = {
    "MACE": "MACE",
    "ScaleShiftMACE": "MACE",
    "EnergyDipolesMACE": "EnergyDipoleMACE",
    "PolarMACE": "PolarMACE",
}
"""Classes of mace-torch that give an energy, and what its calculator calls them."""

CHARGE, SPIN = "total_charge", "total_spin"
"""mace-torch's names of the inputs; the second is the multiplicity 2S + 1."""

Range = tuple[int, int]


class ModelFacts(BaseModel):
    """What a network can represent.

    Attributes
    ----------
    model_type
        Kind of network, in the words of mace-torch's calculator.
    elements
        Elements it knows.
    heads
        Its output heads.
    reads_charge, reads_spin
        Whether total charge and spin multiplicity are inputs.
    charges, multiplicities
        Smallest and largest value that the network has an embedding for; None: no limit.
    """

    model_config = ConfigDict(frozen=True)

    model_type: str
    elements: tuple[str, ...]
    heads: tuple[str, ...]
    reads_charge: bool
    reads_spin: bool
    charges: Range | None = None
    multiplicities: Range | None = None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what torch and mace-torch say while they load."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@lru_cache(maxsize=4)
def load_network(path: Path, _checksum: str, dtype: str) -> Any:
    """Load a file whose checksum was verified; once per process, content and precision.

    Returns
    -------
    torch.nn.Module
        The network, without gradients of its weights.

    Raises
    ------
    InputError
        If the file is no MACE model, or one without energy.
    """
    os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with quiet():
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            network = torch.load(path, map_location=device, weights_only=False)
        except ModuleNotFoundError as err:
            raise InputError(f"model file {path} needs the package {err.name!r}, which is missing") from err
        except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError, OSError) as err:
            raise InputError(f"{path} is no model of mace-torch: {err}") from err
    kind = type(network).__name__
    if kind not in ENERGY_MODELS:
        raise InputError(f"{path} holds a {kind}: an energy model is needed ({', '.join(ENERGY_MODELS)})")
    if kind == "PolarMACE" and find_spec("graph_longrange") is None:
        raise InputError(f"{path} holds a PolarMACE, which needs the package graph_longrange: install it")
    network = network.to(getattr(torch, dtype))
    for parameter in network.parameters():
        parameter.requires_grad = False
    return network


def facts(network: Any) -> ModelFacts:
    """Return what a network can represent."""
    from ase.data import chemical_symbols

    model_type = ENERGY_MODELS[type(network).__name__]
    specs: Mapping[str, Mapping[str, Any]] = getattr(network, "embedding_specs", None) or {}
    polar = model_type == "PolarMACE"  # charge and spin are constraints on its density
    return ModelFacts(
        model_type=model_type,
        elements=tuple(chemical_symbols[int(z)] for z in network.atomic_numbers),
        heads=tuple(getattr(network, "heads", None) or ("Default",)),
        reads_charge=polar or CHARGE in specs,
        reads_spin=polar or SPIN in specs,
        charges=_range(specs.get(CHARGE)),
        multiplicities=_range(specs.get(SPIN)),
    )


def _range(spec: Mapping[str, Any] | None) -> Range | None:
    """Return the values that a table of embeddings has a row for."""
    if spec is None or spec["type"] != "categorical":
        return None
    lowest = -int(spec.get("offset", 0))
    return lowest, lowest + int(spec["num_classes"]) - 1
