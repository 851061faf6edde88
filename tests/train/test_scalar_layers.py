"""Our layers for the training of MACE: the numbers of mace-torch, and its derivatives by every parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mace import data  # first: it lets e3nn load its constants
from mace.modules import RealAgnosticInteractionBlock, RealAgnosticResidualInteractionBlock, ScaleShiftMACE
from mace.modules.symmetric_contraction import Contraction
from mace.tools.torch_geometric.dataloader import DataLoader
from mace.tools.utils import AtomicNumberTable
from networks_for_tests import Irreps, network

from mscflow.builder import build
from mscflow.builder.molecules import molecule
from mscflow.levels.potentials.registry import shipped_models
from mscflow.train import scalar_layers

PATCHED = (RealAgnosticInteractionBlock, RealAgnosticResidualInteractionBlock, Contraction)


@pytest.fixture
def install(monkeypatch) -> Callable[[], None]:
    """Put our functions in place until the test ends."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    for patched in PATCHED:
        monkeypatch.setattr(patched, "forward", patched.forward)
    yield scalar_layers.install
    torch.set_default_dtype(before)


def untrained(first: type, channels: str, max_ell: int, correlation: int) -> ScaleShiftMACE:
    return network(
        [1, 6, 8, 49],
        interaction_cls_first=first,
        hidden_irreps=Irreps(channels),
        max_ell=max_ell,
        correlation=correlation,
    )


def shipped() -> ScaleShiftMACE:
    return torch.load(shipped_models()["msc-small"].path, weights_only=False).double()


def batch(model: ScaleShiftMACE, *clusters: Any, cell: np.ndarray | None = None) -> dict[str, Any]:
    """Return a batch as the training makes it, with wrong forces as labels."""
    table = AtomicNumberTable([int(z) for z in model.atomic_numbers])
    keys = data.KeySpecification(arrays_keys={"forces": "REF_forces"})
    rows = []
    for cluster in clusters:
        atoms = cluster.to_ase()
        if cell is not None:
            atoms.set_cell(cell)
            atoms.pbc = True
        atoms.arrays["REF_forces"] = np.random.default_rng(0).normal(size=atoms.positions.shape)
        configuration = data.config_from_atoms(atoms, key_specification=keys)
        rows.append(data.AtomicData.from_config(configuration, table, cutoff=float(model.r_max)))
    return next(iter(DataLoader(rows, batch_size=len(rows)))).to_dict()


def answers(model: ScaleShiftMACE, given: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return energies, forces and the derivatives of a loss by every parameter."""
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model.zero_grad()
    out = model(given, training=True)
    ((out["forces"] - given["forces"]) ** 2).sum().add(out["energy"].sum()).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"energy": out["energy"].detach(), "forces": out["forces"].detach(), **found}


def close(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    size = {name: float(value.abs().max()) + 1e-12 for name, value in one.items()}
    return one.keys() == two.keys() and all(
        float((one[name] - two[name]).abs().max()) < 1e-10 * size[name] for name in one
    )


@pytest.mark.parametrize(
    "make",
    [
        shipped,
        lambda: untrained(RealAgnosticResidualInteractionBlock, "8x0e", 3, 3),
        lambda: untrained(RealAgnosticInteractionBlock, "8x0e", 1, 2),
        lambda: untrained(RealAgnosticInteractionBlock, "8x0e", 2, 1),
    ],
    ids=["msc-small", "residual, degree 3", "order 2", "order 1"],
)
def test_energies_forces_and_gradients_are_those_of_mace_torch(make, install):
    model = make()
    alone = molecule("O")
    positions = alone.positions.copy()
    positions[2, 0] += 20.0
    far = alone.replace(positions=positions)  # an atom without neighbours
    given = batch(model, build("InL3", "formate"), alone, far)
    theirs = answers(model, given)
    install()
    assert close(theirs, answers(model, given))
    assert scalar_layers._last_grid[0][0] is given["edge_index"]  # it was ours
    given = batch(model, build("InL3", "acetate"))
    assert not close(theirs, answers(model, given))


def test_other_networks_and_cells_are_left_to_mace_torch(install):
    model = untrained(RealAgnosticResidualInteractionBlock, "4x0e+4x1o", 2, 3)
    scalars = untrained(RealAgnosticResidualInteractionBlock, "4x0e", 2, 3)
    given = batch(model, build("InL3", "formate"))
    small_cell = batch(scalars, molecule("O"), cell=np.diag([3.1, 3.2, 3.3]))
    theirs = answers(model, given), answers(scalars, small_cell)
    install()
    assert close(theirs[0], answers(model, given))
    assert close(theirs[1], answers(scalars, small_cell))


def test_the_model_that_is_saved_is_mace_torchs_own(install, tmp_path):
    model = untrained(RealAgnosticInteractionBlock, "8x0e", 2, 3)
    given = batch(model, build("InL3", "formate"))
    theirs = answers(model, given)
    names = set(vars(model.interactions[0]))
    install()
    answers(model, given)
    assert set(vars(model.interactions[0])) == names
    torch.save(model, tmp_path / "a.model")
    assert close(theirs, answers(torch.load(tmp_path / "a.model", weights_only=False), given))
