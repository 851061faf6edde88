"""The trainer: labels, fit and exploration on a system small enough for a test, restartable at each stage."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from ase.calculators.calculator import Calculator
from ase.calculators.idealgas import IdealGas
from networks_for_tests import save_network
from scipy.spatial.distance import cdist

from mscflow.builder import build
from mscflow.builder.fragments import fragment
from mscflow.errors import CalculationError, InputError
from mscflow.levels import MACE, XTB
from mscflow.levels.potentials.domain import NO_DOMAIN, Domain, domain_file
from mscflow.levels.potentials.registry import file_checksum, shipped_models
from mscflow.tasks.relax import relax
from mscflow.topology import topology
from mscflow.train.card import card, record
from mscflow.train.displacements import spring_hessian, squeezed_copies, thermal_copies
from mscflow.train.evaluate import Evaluation, evaluate
from mscflow.train.explore import _explore_one, compared, explore, explored
from mscflow.train.fit import Split, fit, foundation_file, split
from mscflow.train.labels import _require_source, label, labelled_by, load, reacted, sample
from mscflow.train.minima import (
    StructureErrors,
    _lowest_of_both,
    exchange_errors,
    is_damaged,
    shaken,
    structure_errors,
)
from mscflow.train.offsets import shifted
from mscflow.train.pipeline import _finished, load_recipe, train
from mscflow.train.recipe import Exploration, Network, Recipe, Sampling, System
from mscflow.train.starts import Start, starts
from mscflow.train.validate import FrameErrors, frame_errors, training_domain
from mscflow.train.workers import workers

RECIPE_FILE = Path(__file__).parents[2] / "inputs" / "train_msc_small.yaml"
RECIPE = Recipe(
    name="tiny",
    systems=(System(cluster="ZnL2", trajectories=13),),
    sampling=Sampling(
        relax_steps=4, relax_dense=2, relax_every=2, copies=2, squeezed=2, strains=(0.97, 1.03)
    ),
    exploration=Exploration(rounds=1, trajectories=2, relax_steps=10, md_steps=10, every=5, epochs=1),
    network=Network(channels=4, max_ell=1, correlation=2, epochs=3, stage_two=2, batch_size=4),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("train")
    label(RECIPE, place / "labels", n_workers=2)
    model = fit(RECIPE, [place / "labels"], place / "fit")
    return place, model


def test_labels_are_the_teachers(trained):
    place, _ = trained
    start = starts(RECIPE)[0]
    frame = load(place / "labels" / f"{start.key}.extxyz")[-1]
    atoms = frame.copy()
    atoms.calc = XTB().calculator(start.cluster)
    assert atoms.get_potential_energy() == pytest.approx(frame.info["REF_energy"], abs=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), frame.arrays["REF_forces"], atol=5e-4)


def test_frames_of_another_teacher_are_labelled_anew_where_they_are(tmp_path):
    sampling = Sampling(relax_steps=2, relax_dense=1, copies=1, squeezed=0, strains=())
    systems = (System(cluster="ZnL2", trajectories=1),)
    first = Recipe(name="two-teachers", systems=systems, sampling=sampling)
    [path] = label(first, tmp_path)
    before, written = load(path), path.stat().st_mtime_ns
    label(first, tmp_path)
    assert path.stat().st_mtime_ns == written
    label(first.model_copy(update={"teacher": "gfn1-xtb"}), tmp_path)
    after = load(path)
    assert len(after) == len(before)
    np.testing.assert_array_equal(after[-1].positions, before[-1].positions)
    atoms = after[-1].copy()
    atoms.calc = XTB(method="GFN1-xTB").calculator(starts(first)[0].cluster)
    np.testing.assert_allclose(atoms.get_forces(), after[-1].arrays["REF_forces"], atol=5e-4)


def test_a_fit_to_labels_of_another_teacher_is_refused(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    kept = System(cluster="ZnL2", ligand="acetate", trajectories=1, held_out=True)
    recipe = RECIPE.model_copy(update={"teacher": "gfn1-xtb", "systems": (*RECIPE.systems, kept)})
    with pytest.raises(InputError, match="another teacher than gfn1-xtb: move it away"):
        train(recipe, tmp_path / "run")


def test_a_fit_that_another_recipe_began_is_refused(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    wider = RECIPE.model_copy(update={"network": RECIPE.network.model_copy(update={"channels": 8})})
    with pytest.raises(InputError, match=r"fit was fitted with another recipe \(network\.channels 4, now 8"):
        fit(wider, [tmp_path / "run" / "labels"], tmp_path / "run" / "fit")
    kept = System(cluster="ZnL2", ligand="acetate", trajectories=1, held_out=True)
    with pytest.raises(InputError, match="another recipe .number of systems 1, now 2.: move it away"):
        train(RECIPE.model_copy(update={"systems": (*RECIPE.systems, kept)}), tmp_path / "run")
    assert len(list((tmp_path / "run" / "labels").iterdir())) == 13
    more = RECIPE.exploration.model_copy(update={"rounds": 3})
    assert fit(RECIPE.model_copy(update={"exploration": more}), [], tmp_path / "run" / "fit").exists()


def test_labels_of_another_structure_or_sampling_are_refused(tmp_path):
    def recipe(molecule, **settings):
        sampling = Sampling(relax_steps=1, relax_dense=1, copies=0, squeezed=0, strains=(), **settings)
        return Recipe(name="tiny", systems=(System(molecule=molecule, trajectories=1),), sampling=sampling)

    [path] = label(recipe("CCO"), tmp_path)
    assert path.name == "00-CCO-shell0-000.extxyz"
    with pytest.raises(InputError, match="shell0-000.extxyz was made from another structure"):
        label(recipe("CC=O"), tmp_path)
    with pytest.raises(InputError, match="was made with another sampling"):
        label(recipe("CCO", rattle=(0.1,)), tmp_path)
    assert label(recipe("CCO"), tmp_path) == [path]
    source = load(path)[0].info["source"]
    path.write_text(path.read_text().replace(source, source.replace("x", "")))  # as earlier versions wrote it
    assert label(recipe("CCO"), tmp_path) == [path]
    source = load(path)[0].info["source"]
    with pytest.raises(InputError, match="was made with another sampling"):
        label(recipe("CCO", rattle=(0.1,)), tmp_path)
    path.write_text(path.read_text().replace(f' source="{source}"', ""))  # as earlier versions wrote it
    assert label(recipe("CCO", rattle=(0.1,)), tmp_path) == [path]


def test_a_trajectory_without_frames_has_a_teacher_and_a_source(capsys, tmp_path):
    def recipe(teacher="gfn2-xtb", **settings):
        sampling = Sampling(relax_steps=1, copies=0, squeezed=0, max_force=1e-9, **settings)
        systems = (System(molecule="O", trajectories=1),)
        return Recipe(name="tiny", teacher=teacher, systems=systems, sampling=sampling)

    [path] = label(recipe(), tmp_path)
    assert capsys.readouterr().err == "[1/1] 00-O-shell0-000: 0 frames\n"
    assert load(path) == []
    assert labelled_by(recipe(), path)
    with pytest.raises(InputError, match="was made with another sampling"):
        label(recipe(strains=(1.1,)), tmp_path)
    other = recipe("gfn1-xtb")
    assert not labelled_by(other, path)
    label(other, tmp_path)
    assert labelled_by(other, path)
    path.write_text("")  # as earlier versions wrote it
    label(recipe(), tmp_path)
    assert path.read_text() == ""


def test_what_looks_like_a_number_is_read_as_it_was_written(tmp_path):
    systems = (System(molecule="F", trajectories=1),)
    recipe = Recipe(name="tiny", systems=systems, sampling=Sampling(relax_steps=1, copies=0, squeezed=0))
    [path] = label(recipe, tmp_path)
    assert {frame.info["config_type"] for frame in load(path)} == {systems[0].family} == {"molecule-F"}
    source = load(path)[0].info["source"]
    for form in ("123e45678901 345678901234", "x123e45678901 x345678901234"):
        path.write_text(path.read_text().replace(source, form))
        _require_source(path, "x123e45678901 x345678901234")
        with pytest.raises(InputError, match=r"was made (with another sampling|from another structure)"):
            _require_source(path, "x123e45678901 x345678901235")
        source = form


def test_after_an_error_nothing_more_is_begun():
    with pytest.raises(ValueError, match="invalid literal"), workers(1) as pool:  # noqa: PT012
        futures = [pool.submit(int, "one"), *(pool.submit(time.sleep, 0.2) for _ in range(20))]
        futures[0].result()
    while not futures[-1].done():
        time.sleep(0.05)
    assert futures[-1].cancelled()


def test_an_exchange_that_is_none_is_refused():
    systems = (System(cluster="Cd10Se4", exchange="Cd2+", trajectories=1),)
    with pytest.raises(InputError, match=r"no exchange of Cd2\+ at surface sites"):
        starts(RECIPE.model_copy(update={"systems": systems}))


def test_a_cheap_level_may_move_what_a_dear_one_labels():
    start = starts(RECIPE)[0]
    sampling = Sampling(relax_steps=2, relax_dense=1, copies=1, squeezed=0, strains=())
    mover, teacher = XTB(), XTB(method="GFN1-xTB")
    frames = sample(start, sampling, teacher.calculator(start.cluster), mover.calculator(start.cluster))
    moved = sample(start, sampling, mover.calculator(start.cluster))
    np.testing.assert_array_equal(frames[0].positions, moved[0].positions)
    atoms = frames[-1].copy()
    atoms.calc = teacher.calculator(start.cluster)
    np.testing.assert_allclose(atoms.get_forces(), frames[-1].arrays["REF_forces"], atol=5e-4)


class Collapse(Calculator):
    """Pulls all atoms to one point."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms, *args):
        super().calculate(atoms, *args)
        away = atoms.positions - atoms.positions.mean(axis=0)
        self.results = {"energy": 5 * (away**2).sum(), "forces": -10 * away}


class Hole(XTB):
    """A level at which everything collapses."""

    def calculator(self, _cluster):
        return Collapse()


def test_a_mover_that_falls_into_a_hole_leaves_the_frames_before_it():
    start = starts(RECIPE)[0]
    sampling = Sampling(relax_steps=60, relax_dense=1, relax_every=100, squeezed=0)
    frames = sample(start, sampling, IdealGas(), Collapse())
    assert len(frames) == 1
    assert not reacted(start.cluster, frames[0].positions)


def test_a_mover_that_fails_leaves_the_frames_before_it():
    class Fails(IdealGas):
        def calculate(self, atoms=None, properties=None, system_changes=()):
            super().calculate(atoms, properties, system_changes)
            self.results["forces"] = np.random.default_rng(0).normal(size=(len(atoms), 3))
            self.n_calls = getattr(self, "n_calls", 0) + 1
            if self.n_calls > 3:
                raise CalculationError("the field does not converge")

    sampling = Sampling(relax_steps=60, relax_dense=60, squeezed=0)
    assert len(sample(starts(RECIPE)[0], sampling, IdealGas(), Fails())) == 3


def test_the_model_has_learned_something(trained):
    place, model = trained
    potential = MACE(model=str(model)).trusting()
    frames = split(RECIPE, [place / "labels"])
    errors = frame_errors(frames.valid, potential)["all"]
    assert errors.force_mae < errors.force_mean


def test_energies_of_free_atoms_are_fitted_last(trained):
    place, model = trained
    frames = split(RECIPE, [place / "labels"])
    target = place / "shifted.model"
    before = MACE(model=str(model)).trusting()
    shifted(model, target, frames.train, before)
    after = MACE(model=str(target)).trusting()
    errors = [frame_errors(frames.train, potential)["all"] for potential in (before, after)]
    assert errors[1].energy_mae < errors[0].energy_mae
    assert errors[1].force_mae == pytest.approx(errors[0].force_mae, abs=1e-6)


def test_what_the_model_never_saw_is_out_of_its_domain(trained):
    place, model = trained
    potential = MACE(model=str(model)).trusting()
    cluster = build("ZnL2")
    frames = split(RECIPE, [place / "labels"])
    domain = training_domain(frames.train, frames.valid, potential)
    domain.save(domain_file(model))
    at_home = potential.extrapolation(cluster)
    assert at_home.shape == (len(cluster),)
    hydrogens = [symbol == "H" for symbol in cluster.symbols]
    assert (at_home[np.array(cluster.symbols) == "Zn"] == NO_DOMAIN).all() == ("Zn" not in domain.elements)
    away = cluster.positions.copy()
    away[hydrogens] *= 1.4
    stretched = potential.extrapolation(cluster.replace(positions=away))
    assert stretched[hydrogens].min() > 1.0
    assert stretched[hydrogens].min() > at_home[hydrogens].max()
    turned = cluster.replace(positions=cluster.positions[:, [1, 2, 0]])
    np.testing.assert_allclose(potential.extrapolation(turned), at_home, rtol=1e-3)


def test_a_domain_knows_clouds_and_takes_its_limit_from_atoms_left_out(tmp_path):
    rng = np.random.default_rng(0)
    corners = np.array(list(itertools.product((-2.0, 2.0), repeat=3)))
    clouds, others = (np.repeat(corners, n, axis=0) for n in (80, 25))
    clouds, others = (at + rng.normal(scale=0.1, size=at.shape) for at in (clouds, others))
    domain = Domain.fit({"C": clouds, "H": clouds, "He": clouds[:10]}, {"C": others, "H": others[:5]})
    between = np.array([[0.0, 0.0, 0.0], corners[0]])  # the first is the mean of all
    found = domain.relative_distance(["C", "C"], between)
    assert found[0] > 5
    assert found[1] < 1
    assert 0.005 <= (domain.relative_distance(["C"] * 200, others) > 1).mean() <= 0.02
    assert domain.elements["H"].limit == domain.elements["C"].limit
    assert "He" not in domain.elements
    domain.save(tmp_path / "domain.npz")
    again = Domain.load(tmp_path / "domain.npz").relative_distance(["C", "C"], between)
    np.testing.assert_allclose(again, found, rtol=0.02, atol=0.02)


def test_a_domain_of_an_earlier_version_is_read(tmp_path):
    rng = np.random.default_rng(0)
    mean, projection = rng.normal(size=5), rng.normal(size=(5, 3))
    old = {"C.mean": mean, "C.projection": projection, "C.limit": np.array(1.7)}
    np.savez(tmp_path / "old.domain.npz", **old)
    features = rng.normal(size=(4, 5))
    expected = np.sqrt((((features - mean) @ projection) ** 2).mean(axis=1)) / 1.7
    found = Domain.load(tmp_path / "old.domain.npz").relative_distance(["C"] * 4, features)
    np.testing.assert_allclose(found, expected)


def test_a_domain_is_whole_or_not_there(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "tiny.domain.npz"
    Domain.fit({"H": rng.normal(size=(60, 30))}, {}).save(path)
    before = path.read_bytes()

    def ends(stream, **_):
        stream.write(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", ends)
    with pytest.raises(KeyboardInterrupt):
        Domain.fit({"H": rng.normal(size=(70, 30))}, {}).save(path)
    assert path.read_bytes() == before


def test_thermal_copies_are_wider_when_hotter_and_follow_the_springs():
    cluster = build("ZnL2")
    assert np.linalg.eigvalsh(spring_hessian(cluster)).min() > 0
    rng = np.random.default_rng(0)
    cold, hot = (np.array(thermal_copies(cluster, [t] * 40, rng)) for t in (1.0, 6.0))
    spread = [float((copies - cluster.positions).std()) for copies in (cold, hot)]
    assert spread[1] / spread[0] == pytest.approx(np.sqrt(6), rel=0.15)
    carbon = cluster.symbols.index("C")
    hydrogen = cluster.symbols.index("H")
    stretch = np.linalg.norm(cold[:, carbon] - cold[:, hydrogen], axis=1).std()
    apart = np.linalg.norm(cold[:, 0] - cold[:, hydrogen], axis=1).std()
    assert stretch < apart  # a C–H bond is stiffer than the distance of its hydrogen from the metal


def test_squeezed_copies_push_whole_parts_together():
    cluster = build("In4P")
    graph = topology(cluster)
    copies = squeezed_copies(cluster, 40, np.random.default_rng(0))
    assert len(copies) == 40
    nearer = 0
    for positions in copies:
        for ligand in graph.ligands:
            inner = [
                np.linalg.norm(p[ligand.atoms[0]] - p[ligand.atoms[-1]])
                for p in (positions, cluster.positions)
            ]
            assert inner[0] == pytest.approx(inner[1], abs=1e-9)
        moved = np.linalg.norm(positions - cluster.positions, axis=1) > 1e-9
        assert moved.sum() <= 2 * max(len(ligand.atoms) for ligand in graph.ligands)
        nearer += bool(moved.any())
    assert nearer > 20
    assert squeezed_copies(build("In4P").select([0], charge=-3), 3, np.random.default_rng(0)) == []


def test_a_second_call_repeats_nothing(trained):
    place, model = trained
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    label(RECIPE, place / "labels")
    assert fit(RECIPE, [place / "labels"], place / "fit") == model
    assert before == {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}


def test_a_model_is_that_of_the_last_fit_and_made_anew_where_it_is_not_there(trained, tmp_path):
    place, fitted = trained
    frames = split(RECIPE, [place / "labels"])
    few = Split(frames.train[::4], frames.valid, [])
    later = tmp_path / "round-1.model"
    network = torch.load(fitted, weights_only=False)
    network.scale_shift.scale *= 1.1
    torch.save(network, later)
    made = [file_checksum(_finished(RECIPE, few, of_round, tmp_path)) for of_round in (later, fitted)]
    assert made[0] != made[1]
    model = _finished(RECIPE, few, fitted, tmp_path)
    written = domain_file(model).stat().st_mtime_ns
    assert _finished(RECIPE, few, fitted, tmp_path) == model
    assert domain_file(model).stat().st_mtime_ns == written
    model.unlink()
    assert file_checksum(_finished(RECIPE, few, fitted, tmp_path)) == made[1]


def test_exploration_adds_frames_and_the_fit_goes_on(trained):
    place, model = trained
    files = explore(RECIPE, model, place / "explore-1", n_round=1)
    assert len(files) == 2
    assert [frame for file in files for frame in load(file)]
    better = fit(RECIPE, [place / "labels", place / "explore-1"], place / "fit", n_round=1)
    assert better != model
    assert better.exists()


def test_another_round_of_exploration_walks_elsewhere(trained):
    _, model = trained
    systems = (System(cluster="ZnL2", trajectories=1),)
    recipe = RECIPE.model_copy(update={"systems": systems})
    [start] = explored(recipe, 1)
    assert explored(recipe, 2) == [start]
    first, second, again = (_explore_one(recipe, start, model, n)[0].positions for n in (1, 2, 1))
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(first, again)


def test_every_family_is_explored_and_not_always_from_the_same_structures():
    systems = tuple(
        System(cluster=name, trajectories=n) for name, n in (("ZnL2", 8), ("CdL2", 3), ("InL3", 1))
    )
    few = Exploration(rounds=2, trajectories=6)
    recipe = RECIPE.model_copy(update={"systems": systems, "exploration": few})
    rounds = [[start.key for start in explored(recipe, n)] for n in (1, 2)]
    assert all(len(set(keys)) == 6 for keys in rounds)
    assert all({key[3:7] for key in keys} == {"ZnL2", "CdL2", "InL3"} for keys in rounds)
    assert set(rounds[0]) != set(rounds[1])
    assert rounds[0] == [start.key for start in explored(recipe, 1)]


@pytest.mark.parametrize("wider", [False, True])
def test_a_fit_starts_from_a_model(trained, wider):
    place, model = trained
    known = {"foundation": str(model), "foundation_sha256": file_checksum(model)}
    network = Network(**known, wider=wider, lr=1e-9, epochs=1, stage_two=2)
    recipe = RECIPE.model_copy(update={"network": network})
    tuned = fit(recipe, [place / "labels"], place / f"tuned, wider {wider}")
    assert file_checksum(tuned) != file_checksum(model)
    narrow, now = (torch.load(file, weights_only=False).node_embedding for file in (model, tuned))
    assert now.linear.weight.numel() == (2 if wider else 1) * narrow.linear.weight.numel()
    forces = []
    for path in (model, tuned):
        atoms = build("ZnL2").to_ase()
        atoms.calc = MACE(model=str(path)).trusting().calculator(build("ZnL2"))
        forces.append(atoms.get_forces())
    np.testing.assert_allclose(*forces, atol=1e-4)


def test_weights_of_the_last_epochs_are_averaged(trained):
    place, _ = trained
    recipe = RECIPE.model_copy(update={"network": RECIPE.network.model_copy(update={"averaged": 2})})
    checkpoints = place / "averaged" / "checkpoints"
    checkpoints.mkdir(parents=True)
    other = next((place / "fit" / "checkpoints").glob("tiny_run-1_epoch-0*.pt"))
    shutil.copy(other, checkpoints / "tiny_run-2_epoch-9.pt")  # of another seed
    model = fit(recipe, [place / "labels"], place / "averaged")
    found = torch.load(model, map_location="cpu", weights_only=False).state_dict()
    files = list(checkpoints.glob("tiny_run-1_*.pt"))
    epochs = {int(file.stem.split("_epoch-")[1].split("_")[0]): file for file in files}
    last = [
        torch.load(epochs[n], map_location="cpu", weights_only=True)["model"] for n in sorted(epochs)[-2:]
    ]
    different = [key for key in last[0] if not torch.equal(last[0][key], last[1][key])]
    assert different
    for key in different:
        torch.testing.assert_close(found[key], (last[0][key] + last[1][key]) / 2)


def test_a_fit_starts_from_known_models_only(trained):
    place, model = trained
    recipe = RECIPE.model_copy(update={"network": Network(foundation=str(model))})
    with pytest.raises(InputError, match="is not known and loading it would run its code"):
        fit(recipe, [place / "labels"], place / "untrusted")
    with pytest.raises(InputError, match="is not known and loading it would run its code"):
        train(recipe, place / "untrusted")
    assert not (place / "untrusted" / "labels").exists()


def test_the_shape_of_a_model_to_start_from_cannot_be_chosen():
    with pytest.raises(ValueError, match="the shape is that of msc-small: leave out channels"):
        Network(foundation="msc-small", channels=16)
    with pytest.raises(ValueError, match="'wider' is than a model to start from: give 'foundation', too"):
        Network(channels=16, wider=True)


def test_a_walk_ends_where_the_model_is_wrong_and_the_edge_is_labelled():
    cluster = build("ZnL2")
    start = Start("squeezed", "ZnL2", cluster, held_out=False, seed=0)
    recipe = RECIPE.model_copy(update={"exploration": Exploration(every=8, max_error=3.0)})
    teacher = XTB().calculator(cluster)
    scales = np.linspace(1.0, 0.8, 25)

    def walk():
        atoms = cluster.to_ase()
        atoms.calc = IdealGas()  # no forces: wrong where the teacher's are large
        for scale in scales:
            atoms.positions = scale * cluster.positions
            yield atoms

    frames = compared(walk(), teacher, start, recipe)
    size = [frame.get_distance(0, 1) / cluster.to_ase().get_distance(0, 1) for frame in frames]
    force = [np.abs(frame.arrays["REF_forces"]).max() for frame in frames]
    first_wrong = max(s for s, f in zip(size, force, strict=True) if f > 3.0)
    last_good = min(s for s, f in zip(size, force, strict=True) if f <= 3.0)
    assert last_good - first_wrong == pytest.approx(scales[0] - scales[1])
    assert min(size) > scales[-1]


def test_formed_bonds_are_a_reaction_and_stretched_ones_are_not():
    cluster = build("In4P")
    carbon, hydrogen = next(
        (i, j)
        for i, j in topology(cluster).graph.edges
        if {cluster.symbols[i], cluster.symbols[j]} == {"C", "H"}
    )
    stretched, attacked = cluster.positions.copy(), cluster.positions.copy()
    stretched[hydrogen] += 0.5 * (stretched[hydrogen] - stretched[carbon])
    oxygen = cluster.symbols.index("O")
    phosphorus = cluster.symbols.index("P")
    direction = attacked[oxygen] - attacked[phosphorus]
    attacked[oxygen] = attacked[phosphorus] + 1.7 * direction / np.linalg.norm(direction)
    assert not reacted(cluster, cluster.positions)
    assert not reacted(cluster, stretched)
    assert reacted(cluster, attacked)


def test_held_out_structures_are_never_trained_on():
    recipe = RECIPE.model_copy(update={"systems": (System(cluster="In4P", shells=5, trajectories=10),)})
    held_out = {start.cluster.hash for start in starts(recipe) if start.held_out}
    seen = {start.cluster.hash for start in starts(recipe) if not start.held_out}
    assert held_out
    assert not held_out & seen
    assert not {start.cluster.hash for start in explored(recipe, 1)} & held_out


def test_molecules_beside_each_other_touch_in_another_place_in_each_arrangement():
    pair = System(molecule="OC=O", beside="CN", shells=3, trajectories=3, squeezed=5)
    found = starts(RECIPE.model_copy(update={"systems": (pair,)}))
    assert {start.family for start in found} == {"OCO-beside-CN"}
    for start in found:
        parts = [list(fragment.atoms) for fragment in topology(start.cluster).fragments]
        assert sorted(len(part) for part in parts) == [5, 7]
        between = cdist(*(start.cluster.positions[part] for part in parts))
        assert 2.4 <= between.min() < 2.6
        assert start.squeezed == 5
    assert len({start.cluster.hash for start in found}) == 3
    with pytest.raises(ValueError, match="give 'molecule', too"):
        System(cluster="ZnL2", beside="CN", trajectories=1)


def test_clusters_may_have_mixed_shells():
    mixed = System(cluster="Cd10Se4", ligand=("formate", "PH3"), trajectories=1)
    (start,) = starts(RECIPE.model_copy(update={"systems": (mixed,)}))
    assert start.family == "Cd10Se4-formate-PH3"
    assert start.cluster.formula == build("Cd10Se4", ("formate", "PH3")).formula
    assert {"P", "O"} < set(start.cluster.symbols)
    with pytest.raises(ValueError, match="'fragment' has 'neutral', too"):
        System(fragment="Cd4Se", ligand=("formate", "PH3"), trajectories=1)


def test_a_molecule_is_crowded_by_others_on_several_sides():
    crowd = System(molecule="CC", beside="C", sides=6, contact=1.8, shells=2, trajectories=2)
    first, second = starts(RECIPE.model_copy(update={"systems": (crowd,)}))
    assert first.family == "CC-beside-6C"
    parts = [list(fragment.atoms) for fragment in topology(first.cluster).fragments]
    assert sorted(len(part) for part in parts) == [5] * 6 + [8]
    middle = max(parts, key=len)
    for part in parts:
        if part != middle:
            assert 1.8 <= cdist(*(first.cluster.positions[p] for p in (middle, part))).min() < 3.0
    assert first.cluster.hash != second.cluster.hash
    with pytest.raises(ValueError, match="give 'beside', too"):
        System(molecule="CC", sides=6, trajectories=2)


def test_a_system_has_its_own_number_of_squeezed_copies():
    pair = System(molecule="OC=O", beside="OC=O", trajectories=1, squeezed=4)
    (start,) = starts(RECIPE.model_copy(update={"systems": (pair,)}))
    teacher = XTB().calculator(start.cluster)
    sampling = Sampling(relax_steps=1, relax_dense=1, copies=0, squeezed=0, strains=(), max_force=1e9)
    frames = sample(start, sampling, teacher)
    assert len(frames) == 1 + 4


def test_chosen_families_only_are_explored():
    systems = (System(cluster="ZnL2", trajectories=2), System(cluster="CdL2", trajectories=2))
    chosen = Exploration(rounds=1, trajectories=2, families=("CdL2-formate",))
    recipe = RECIPE.model_copy(update={"systems": systems, "exploration": chosen})
    assert [start.family for start in explored(recipe, 1)] == ["CdL2-formate"] * 2
    chosen = Exploration(rounds=1, families=("ZnL2-formate", "CdL2"))
    with pytest.raises(InputError, match="no system to train on is of 'CdL2': did you mean 'CdL2-formate'"):
        explored(recipe.model_copy(update={"exploration": chosen}), 1)


def test_a_fit_that_goes_on_takes_the_learning_rate_of_its_recipe(trained):
    place, _ = trained
    fit(RECIPE, [place / "labels"], place / "slower").unlink()
    (place / "slower" / "recipe.json").unlink()  # a fit of which nobody knows how it began
    network = RECIPE.network.model_copy(update={"epochs": 4, "stage_two_lr": 5e-4})
    fit(RECIPE.model_copy(update={"network": network}), [place / "labels"], place / "slower")
    last = max((place / "slower" / "checkpoints").glob("*_swa.pt"), key=lambda file: file.stat().st_mtime)
    state = torch.load(last, weights_only=True)
    assert {group["lr"] for group in state["optimizer"]["param_groups"]} == {5e-4}


def test_a_fit_goes_on_from_the_checkpoint_before_one_that_was_cut(trained, tmp_path):
    place, model = trained
    shutil.copytree(place / "fit", tmp_path / "fit")
    (tmp_path / "fit" / model.name).unlink()
    last = max((tmp_path / "fit" / "checkpoints").glob("*.pt"), key=lambda file: file.stat().st_mtime)
    last.write_bytes(last.read_bytes()[:5000])
    assert fit(RECIPE, [place / "labels"], tmp_path / "fit").exists()
    assert last.with_suffix(".unreadable").exists()


def test_the_recipe_trains_on_every_element_of_the_field():
    recipe = load_recipe(RECIPE_FILE)
    wanted = {"H", "C", "N", "O", "P", "S", "Cl", "Se", "As", "Zn", "Ga", "Cd", "In", "Cu", "Ag"}
    small = [s.model_copy(update={"trajectories": 1, "shells": 1}) for s in recipe.systems if not s.held_out]
    seen = starts(recipe.model_copy(update={"systems": tuple(small)}))
    assert {symbol for start in seen for symbol in start.cluster.symbols} == wanted


def test_the_card_of_the_shipped_model_belongs_to_it():
    record = shipped_models()["msc-small"]
    card = record.path.with_suffix(".md").read_text()
    assert record.sha256 == file_checksum(record.path)
    assert record.sha256 in card
    assert record.teacher in card
    assert f"| {record.errors['held_out_force_mae_meV_per_A']:.0f} |" in card
    assert f"| {record.errors['held_out_force_mae_without_pairs_meV_per_A']:.0f} |" in card
    assert record.errors["structures_damaged"] == 0
    assert record.errors["held_out_force_mae_meV_per_A"] < 85
    assert record.errors["held_out_force_mae_without_pairs_meV_per_A"] < 60
    assert record.errors["core_bond_mean_A"] < 0.05
    rows = card.split("## Relaxed held-out structures")[1].split("\n## ")[0].splitlines()
    bonds = np.array([row.split("|")[3].split(",") for row in rows if row.startswith("| In")], dtype=float)
    assert bonds.shape == (5, 2)
    assert (bonds.max(axis=0) < [0.2, 0.05]).all()  # largest and mean of three minima each
    rows = card.split("## Exchange energies")[1].split("\n## ")[0].splitlines()
    energies = np.array([row.split("|")[2:4] for row in rows if " at In 1" in row], dtype=float)
    assert (energies.argsort(axis=0) == energies.argsort(axis=0)[:, :1]).all()  # ranked as the teacher does
    for title, column, error in (
        ("## Relaxed held-out structures", 4, "cation_separation_mean_A"),
        ("## Exchange energies", 4, "exchange_energy_mae_eV"),
    ):
        rows = [row.split("|") for row in card.split(title)[1].split("\n## ")[0].splitlines()]
        values = [abs(float(row[column])) for row in rows if len(row) > 4 and " yes " in row]
        assert values
        assert record.errors[error] == pytest.approx(np.mean(values), abs=1e-3)


def test_each_level_looks_where_the_other_one_found_its_lowest_minimum():
    start, teacher, model = build("InL3", "formate"), XTB(), MACE()
    ours, theirs = _lowest_of_both(start, model, teacher, fmax=0.02)
    for found, other, level in ((theirs, ours, teacher), (ours, theirs, model)):
        assert found.energy < relax(start, level).energy + 1e-3
        assert found.energy < relax(other.cluster, level).energy + 1e-3
    copies = shaken(start)
    assert copies[0] is start
    assert [copy.hash for copy in copies] == [copy.hash for copy in shaken(start)]
    assert len({copy.hash for copy in copies}) == 3


@pytest.mark.parametrize(
    ("foundation", "inputs", "licence", "reads"),
    [
        (None, (), "MIT", "it reads neither charge nor spin"),
        (
            "msc-small",
            ("total_charge", "total_spin"),
            "MIT",
            "it reads charge and spin, but its fit was told",
        ),
        ("a file", (), "unknown", "it reads neither charge nor spin"),
    ],
)
def test_the_card_has_licence_and_inputs_of_the_network(foundation, inputs, licence, reads, tmp_path):
    model = save_network(tmp_path / "tiny.model", inputs)
    network = Network(foundation=str(model) if foundation == "a file" else foundation)
    recipe = RECIPE.model_copy(update={"network": network})
    found = Evaluation({"all": FrameErrors(1, 1.0, 1.0, 1.0)}, (), 0, (), False, ())
    registered = record(recipe, model, found, Split([], [], []))
    assert (registered.licence, registered.reads_charge) == (licence, bool(inputs))
    text = card(recipe, Split([], [], []), found, registered)
    assert f"Licence: {licence}." in text
    assert reads in text


def test_the_card_compares_structures_that_were_held_out(monkeypatch, tmp_path):
    monkeypatch.setattr("mscflow.train.evaluate.catalogue_structures", lambda _: [])
    recipe = RECIPE.model_copy(update={"systems": (System(cluster="In4P", shells=5, trajectories=5),)})
    [unseen] = [start.cluster.hash[:12] for start in starts(recipe) if start.held_out]
    parts = tmp_path / "card" / f"{MACE().hash[:12]}-{XTB().hash[:12]}"
    parts.mkdir(parents=True)
    structure = StructureErrors("In4P", 3, (0.1, 0.1), 0.1, kept=True)
    (parts / f"minima-{unseen}.json").write_text(json.dumps(asdict(structure)))
    (parts / f"lowest-{unseen}.json").write_text("[]")
    found = evaluate(recipe, MACE(), Split([], [], []), tmp_path, n_workers=1)
    assert found.structures == (structure,)
    assert found.n_compared == 1
    assert found.exchanges_held_out
    assert len(list(parts.iterdir())) == 2


def test_a_structure_that_collapses_is_a_row_of_the_card(monkeypatch):
    monkeypatch.setattr("mscflow.train.minima.EXCHANGE_IONS", ("Ga3+",))
    start = fragment("In2P", "chloride")
    found = structure_errors(start, Hole(), XTB(), fmax=0.5)
    assert not found.kept
    assert found.core_bond is None
    assert "the model lets In2P(Cl)3 collapse" in found.failure
    [reaction] = exchange_errors(start, Hole(), XTB(), fmax=0.5)
    assert not reaction.kept
    assert reaction.model is None
    assert reaction.teacher is not None
    assert "collapse" in reaction.failure
    assert structure_errors(start, XTB(), Hole(), fmax=0.5) is None
    assert exchange_errors(start, XTB(), Hole(), fmax=0.5) == []


def test_the_path_of_a_model_is_no_damage(tmp_path):
    model = shutil.copy(shipped_models()["msc-small"].path, tmp_path / "leftwich.model")
    start = build("ZnL2").replace(charge=1, multiplicity=2)
    found = relax(start, MACE(model=str(model)).trusting(), fmax=0.5)
    assert "leftwich" in found.warnings[0]
    assert not is_damaged(start, found.cluster)
    away = found.cluster.positions.copy()
    away[0] += 9.0
    assert is_damaged(start, found.cluster.replace(positions=away))


def test_families_that_are_held_out_are_never_trained_on():
    families = (
        System(cluster="ZnL2", trajectories=2),
        System(molecule="OC=O", trajectories=1, held_out=True),
    )
    recipe = RECIPE.model_copy(update={"systems": families})
    assert {s.family for s in starts(recipe) if s.held_out} == {"OCO"}


def test_a_trainer_that_is_killed_leaves_no_worker_behind(tmp_path):
    recipe = tmp_path / "recipe.json"
    kept = System(cluster="ZnL2", ligand="acetate", trajectories=1, held_out=True)
    recipe.write_text(RECIPE.model_copy(update={"systems": (*RECIPE.systems, kept)}).model_dump_json())
    command = [sys.executable, "-m", "mscflow", "train", str(recipe), "--dir", str(tmp_path / "run")]
    trainer = psutil.Popen(command)
    while len(workers := trainer.children()) < 3:  # one is multiprocessing's own
        assert trainer.poll() is None
        time.sleep(0.1)
    trainer.kill()
    trainer.wait()
    assert not psutil.wait_procs(workers, timeout=60)[1]


def test_a_trainer_that_is_killed_leaves_no_fit_behind(trained, tmp_path):
    shutil.copytree(trained[0] / "labels", tmp_path / "run" / "labels")
    kept = System(cluster="ZnL2", ligand="acetate", trajectories=1, held_out=True)
    endless = RECIPE.network.model_copy(update={"epochs": 10_000})
    changes = {"systems": (*RECIPE.systems, kept), "network": endless}
    recipe = tmp_path / "recipe.json"
    recipe.write_text(RECIPE.model_copy(update=changes).model_dump_json())
    trainer = psutil.Popen([sys.executable, "-m", "mscflow", "train", str(recipe), "--dir", tmp_path / "run"])
    while not list((tmp_path / "run" / "fit").glob("checkpoints/*.pt")):
        assert trainer.poll() is None
        time.sleep(0.1)
    fits = trainer.children(recursive=True)
    assert fits
    trainer.kill()
    trainer.wait()
    alive = psutil.wait_procs(fits, timeout=20)[1]
    for process in alive:
        process.kill()
    assert not alive


def test_a_recipe_that_keeps_nothing_for_testing_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing is kept for testing"):
        train(RECIPE, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_element_that_is_only_held_out_is_refused_before_the_labels(tmp_path):
    kept = System(cluster="CdL2", trajectories=1, held_out=True)
    with pytest.raises(
        InputError, match="only structures that are held out contain Cd: add a system with it"
    ):
        train(RECIPE.model_copy(update={"systems": (*RECIPE.systems, kept)}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_held_out_structures_without_a_frame_are_said_before_the_fit(trained, tmp_path):
    shutil.copytree(trained[0] / "labels", tmp_path / "labels")
    kept = System(molecule="OC=O", trajectories=1, held_out=True)
    recipe = RECIPE.model_copy(update={"systems": (*RECIPE.systems, kept)})
    (tmp_path / "labels" / f"{starts(recipe)[-1].key}.extxyz").touch()
    recipe = recipe.model_copy(update={"exploration": Exploration()})
    with pytest.raises(CalculationError, match="tiny: no test frame is left: gfn2-xtb has no answer"):
        train(recipe, tmp_path)
    assert not (tmp_path / "fit").exists()


def test_one_trajectory_is_not_enough(tmp_path):
    recipe = RECIPE.model_copy(update={"systems": (System(cluster="ZnL2", trajectories=1),)})
    with pytest.raises(InputError, match="one more is needed"):
        split(recipe, [tmp_path])


def test_bad_recipes_are_one_line(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nsystems: []\nsampling: {}\nexploration: {}\nnetwork: {chanels: 3}\n")
    with pytest.raises(InputError, match=r"recipe\.yaml: network\.chanels"):
        load_recipe(path)
    for setting, message in (
        ("name: ../../x", "name: '../../x' cannot be the name of a model"),
        ("seed: -1", "seed: Input should be greater than or equal to 0"),
        ("systems: [{molecule: C, shells: 5, trajectories: 5}]", "a molecule alone has no arrangements"),
        ("systems: [{fragment: In, neutral: {PH3: 0}, trajectories: 5}]", "neutral.PH3: Input should be gr"),
        (
            "systems: [{molecule: CCO, trajectories: 1}, {molecule: CC=O, trajectories: 1}]",
            "systems 'CCO' and 'CC=O' would both be the family 'CCO'",
        ),
        ("sampling: {relax_every: 0}", "sampling.relax_every: Input should be greater than 0"),
        ("sampling: {rattle: []}", "sampling.rattle: Tuple should have at least 1 item"),
        ("sampling: {copies: -1}", "sampling.copies: Input should be greater than or equal to 0"),
        ("exploration: {every: 0}", "exploration.every: Input should be greater than 0"),
        ("network: {stage_two: 0}", "network.stage_two: Input should be greater than 0"),
    ):
        recipe = {"name": "name: x", "systems": "systems: []"} | {setting.partition(":")[0]: setting}
        path.write_text("\n".join(recipe.values()))
        with pytest.raises(InputError, match=message):
            load_recipe(path)


def test_a_recipe_finds_the_model_it_starts_from_beside_itself(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    file = foundation_file(load_recipe(RECIPE_FILE).network)
    assert file is not None
    assert file.parent == RECIPE_FILE.parent
