"""The card relaxes clusters of the catalogue: what stays is counted, what fails is said."""

from mscflow.builder import CATALOGUE
from mscflow.errors import CalculationError
from mscflow.levels import MACE
from mscflow.train import whole_clusters
from mscflow.train.evaluate import _kept
from mscflow.train.whole_clusters import catalogue_structures, whole_cluster


def of(names, monkeypatch):
    monkeypatch.setattr(whole_clusters, "CATALOGUE", {name: CATALOGUE[name] for name in names})
    return [whole_cluster(built, MACE(), fmax=0.5, max_steps=40) for built in catalogue_structures(MACE())]


def test_bonds_of_the_core_are_counted_with_small_and_with_own_ligands(monkeypatch):
    found = of(["In4P", "Cd13Se13", "InL3", "MnL2"], monkeypatch)  # complexes have no core
    assert [(c.name, c.ligands) for c in found] == [
        ("In4P", "formate"),
        ("Cd13Se13", "ammonia"),
        ("Cd13Se13", "n-butylamine"),
    ]
    assert [c.n_bonds for c in found] == [4, 37, 37]
    assert all(c.relaxation.n_kept == c.n_bonds and c.relaxation.kept for c in found)


def test_a_relaxation_that_fails_is_said(monkeypatch):
    def collapse(*_, **__):
        raise CalculationError(f"{MACE()} lets it collapse")

    monkeypatch.setattr(whole_clusters, "relax", collapse)
    (found,) = of(["In4P"], monkeypatch)
    assert found.relaxation is None
    assert found.failure == "the model lets it collapse"  # the model's own path is nobody's business


def test_parts_of_a_card_are_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(whole_clusters, "CATALOGUE", {"In4P": CATALOGUE["In4P"]})
    (built,) = catalogue_structures(MACE())
    part = tmp_path / "cluster.json"
    found = _kept(part, whole_cluster, built, MACE(), 0.5)
    assert found == whole_cluster(built, MACE(), fmax=0.5)
    assert list(tmp_path.iterdir()) == [part]
    part.write_text(part.read_text().replace('"In4P"', '"as it was kept"'))
    assert _kept(part, whole_cluster, built, MACE(), 0.5).name == "as it was kept"
