"""A network with twice the channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks_for_tests import save_network

from mscflow.builder import build
from mscflow.errors import InputError
from mscflow.levels import MACE
from mscflow.levels.potentials.registry import shipped_models
from mscflow.train.wider import widen


def answer(model, cluster):
    calculator = MACE(model=str(model), dtype="float64").trusting().calculator(cluster)
    atoms = cluster.to_ase()
    return calculator.get_potential_energy(atoms), calculator.get_forces(atoms)


def test_a_wider_network_gives_the_same_answers_with_channels_that_differ(tmp_path):
    narrow = shipped_models()["msc-small"].path
    wide = widen(narrow, tmp_path / "wide.model", seed=1)
    cluster = build("InL3", "phenylacetate")
    (energy, forces), (wide_energy, wide_forces) = answer(narrow, cluster), answer(wide, cluster)
    assert abs(energy - wide_energy) < 1e-4  # weights are in single precision
    assert np.abs(forces - wide_forces).max() < 1e-4
    network = torch.load(wide, weights_only=False)
    assert str(network.products[0].linear.irreps_out) == "256x0e"
    first, second = network.products[0].linear.weight.detach().view(2, 128, 256)
    assert (first - second).abs().max() > 0.1 * first.abs().max()


def test_the_same_seed_gives_the_same_network(tmp_path):
    narrow = save_network(tmp_path / "a.model")
    one, two, other = (widen(narrow, tmp_path / f"{n}.model", seed) for n, seed in enumerate((1, 1, 2)))
    weights = [
        torch.load(file, weights_only=False).interactions[0].linear.weight for file in (one, two, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_network_that_reads_the_charge_is_not_widened(tmp_path):
    narrow = save_network(tmp_path / "a.model", inputs=("total_charge",))
    with pytest.raises(InputError, match="only a network with scalar features"):
        widen(narrow, tmp_path / "wide.model", seed=1)


def test_a_file_that_is_no_model_is_not_widened(tmp_path):
    (tmp_path / "a.model").write_text("no model")
    with pytest.raises(InputError, match="is no model of mace-torch"):
        widen(tmp_path / "a.model", tmp_path / "wide.model", seed=1)
