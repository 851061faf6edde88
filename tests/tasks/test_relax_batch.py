"""A batch ends where each cluster ends alone."""

import numpy as np
import pytest

from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.tasks.relax import relax
from mscflow.tasks.relax_batch import LARGEST_BATCH, _parts, relax_batch


@pytest.fixture(scope="module")
def rattled():
    """Clusters near a minimum, from where there is no choice."""
    rng = np.random.default_rng(2)
    minima = [relax(build(name), fmax=0.02).cluster for name in ("ZnL2", "GaL3", "CdL2")]
    return [c.replace(positions=c.positions + rng.normal(scale=0.03, size=c.positions.shape)) for c in minima]


def test_a_batch_ends_where_each_ends_alone(rattled):
    together = relax_batch(rattled, fmax=0.01)
    for cluster, found in zip(rattled, together, strict=True):
        alone = relax(cluster, fmax=0.01)
        assert found.converged
        assert found.energy == pytest.approx(alone.energy, abs=2e-3)
        assert found.input_hash == alone.input_hash
        assert found.n_force_calls == pytest.approx(alone.n_force_calls, rel=0.3)


def test_fixed_atoms_stay_where_they_are(rattled):
    for cluster, found in zip(rattled, relax_batch(rattled, fmax=0.05, fixed=[0]), strict=True):
        np.testing.assert_array_equal(found.cluster.positions[0], cluster.positions[0])
        assert found.fixed == [0]


def test_levels_that_gain_nothing_relax_one_after_the_other():
    clusters = [build("ZnL2"), build("ZnL2", seed=1)]
    energies = [found.energy for found in relax_batch(clusters, "gfn2-xtb", fmax=0.05)]
    assert energies == [relax(cluster, "gfn2-xtb", fmax=0.05).energy for cluster in clusters]


def test_one_that_fails_does_not_stop_the_others():
    stripped = Cluster(("O", "H", "H"), [[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]], 9, 2)
    first, failed, last = relax_batch([build("ZnL2"), stripped, build("CdL2")], "gfn2-xtb", fmax=0.5)
    assert first.converged
    assert last.converged
    assert isinstance(failed, CalculationError)
    assert str(failed).startswith("gfn2-xtb, H2O: tblite: Total number of electrons")


def test_fixed_atoms_that_one_does_not_have_are_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr("mscflow.tasks.relax_batch.LARGEST_BATCH", 1)
    monkeypatch.setattr("mscflow.tasks.relax_batch.finish", lambda *_, **__: pytest.fail("it runs"))
    with pytest.raises(InputError, match="fixed atom 10 does not exist: indices are 0 to 8"):
        relax_batch([build("InL3"), build("ZnL2")], "gfn2-xtb", fixed=[10])


def test_the_limit_of_steps_holds_for_each(rattled):
    found = relax_batch(rattled, fmax=1e-5, max_steps=3)
    assert all(one.n_force_calls <= 5 and not one.converged for one in found)


def test_batches_are_not_too_large_and_keep_the_order():
    clusters = [build("ZnL2", seed=seed) for seed in range(3)] * 30
    parts = _parts(clusters)
    assert [c for part in parts for c in part] == clusters
    assert len(parts) > 1
    assert all(sum(map(len, part)) <= LARGEST_BATCH for part in parts)


def test_an_element_the_model_does_not_know_is_refused_before_anything_runs(rattled):
    with pytest.raises(InputError, match="was not trained on Mn"):
        relax_batch([*rattled, build("MnL2")])
