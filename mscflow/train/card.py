"""The model card: what a model was trained on, its errors, and what it must not be used for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from mscflow.levels.potentials.registry import ModelRecord, file_checksum, find_model
from mscflow.levels.potentials.weights import facts, load_network
from mscflow.train.evaluate import Evaluation
from mscflow.train.fit import Split
from mscflow.train.minima import N_STARTS, SHAKE, ExchangeErrors, StructureErrors
from mscflow.train.recipe import Network, Recipe
from mscflow.train.validate import WITHOUT_PAIRS
from mscflow.train.whole_clusters import WholeCluster


def record(recipe: Recipe, model: Path, found: Evaluation, frames: Split) -> ModelRecord:
    """Return the registry record of a trained model; errors carry quantity and unit in their keys."""
    differences = [abs(d) for e in found.exchanges if e.kept and (d := e.difference) is not None]
    kept = [s for s in found.structures if s.kept]
    errors = {
        "held_out_force_mae_meV_per_A": found.frames["all"].force_mae,
        "held_out_energy_mae_meV_per_atom": found.frames["all"].energy_mae,
        "structures_damaged": float(len(found.structures) - len(kept)),
    }
    if WITHOUT_PAIRS in found.frames:
        errors["held_out_force_mae_without_pairs_meV_per_A"] = found.frames[WITHOUT_PAIRS].force_mae
    if kept:
        errors["core_bond_mean_A"] = float(np.mean([s.core_bond[1] for s in kept if s.core_bond]))
        errors["cation_separation_mean_A"] = float(np.mean([s.separation for s in kept]))
    if differences:
        errors["exchange_energy_mae_eV"] = float(np.mean(differences))
    checksum = file_checksum(model)
    network = facts(load_network(model, checksum, "float64"))
    return ModelRecord(
        name=recipe.name,
        file=model.name,
        sha256=checksum,
        elements=tuple(sorted({symbol for frame in frames.train for symbol in frame.get_chemical_symbols()})),
        teacher=recipe.teacher,
        reads_charge=network.reads_charge and network.reads_spin,
        licence=_licence(recipe.network),
        errors={key: round(value, 4) for key, value in errors.items()},
    )


def card(recipe: Recipe, frames: Split, found: Evaluation, registered: ModelRecord) -> str:
    """Return the card as Markdown."""
    network, exploration = recipe.network, recipe.exploration
    explored = (
        f" and {exploration.epochs} after each of {exploration.rounds} rounds of exploration"
        if exploration.rounds
        else ""
    )
    lines = [
        f"# {recipe.name}",
        "",
        f"A MACE potential for ligand-capped semiconductor clusters, trained on {recipe.teacher}.",
        f"Elements: {' '.join(registered.elements)}. Licence: {registered.licence}. "
        f"SHA-256: `{registered.sha256}`.",
        "",
        "## Training",
        "",
        f"{_shape(network)}; {network.epochs} epochs{explored}, float32; mace-torch's training code. "
        "Reproduce: `mscflow train RECIPE`; the recipe lies in `inputs/`.",
        "",
        "| set | frames | families |",
        "|---|---|---|",
        *(
            f"| {name} | {len(atoms)} | {_families(atoms)} |"
            for name, atoms in (("train", frames.train), ("valid", frames.valid), ("held out", frames.test))
        ),
        "",
        f"Frames lie on relaxations by {recipe.sampling.mover or 'the teacher'} from the builder's geometry, "
        "are thermal copies "
        f"({', '.join(f'{t:g}' for t in recipe.sampling.temperatures)} K), scaled or squeezed copies of what "
        "these reached, or lie on relaxations and molecular dynamics of an earlier fit. Frames in which "
        "ligands have reacted are left out (squeezed copies and the edges of holes excepted). Held out are "
        "whole families and whole ligand arrangements (every fifth of a family) with all their trajectories, "
        "not frames of arrangements that were trained on. The log of the fit reports the loss on the "
        "validation set, which decides nothing: neither the rate nor the last epoch.",
        "",
        f"## Errors against {recipe.teacher}, held-out frames",
        "",
        "| family | frames | force MAE / meV/Å | mean force / meV/Å | energy MAE / meV/atom |",
        "|---|---|---|---|---|",
        *(
            f"| {family} | {e.n_frames} | {e.force_mae:.0f} | {e.force_mean:.0f} | {e.energy_mae:.1f} |"
            for family, e in found.frames.items()
        ),
        "",
        "## Relaxed held-out structures (from the teacher's minima, fmax 0.02 eV/Å)",
        "",
        f"Of {found.n_compared} structures these stay intact when the teacher itself relaxes them. Its "
        f"minima are those of the builder's geometry and of {N_STARTS - 1} copies, shaken by {SHAKE} Å.",
        "",
        "| structure | minima | core bonds: largest, mean deviation / Å "
        "| cation separations: mean deviation / Å | intact |",
        "|---|---|---|---|---|",
        *map(_structure_row, found.structures),
        "",
        "## Exchange energies of In4P(O2CH)9, lowest minima at each level, fmax 0.05 eV/Å",
        "",
        "Both levels search for every species, and relax what the other one found lowest. "
        f"The arrangement of its ligands is {'' if found.exchanges_held_out else 'not '}held out.",
        "",
        f"| reaction | model / eV | {recipe.teacher} / eV | difference / eV | intact |",
        "|---|---|---|---|---|",
        *map(_exchange_row, found.exchanges),
        "",
        "Not intact: a species lost a core bond or a ligand at one of the levels; the energies then belong "
        "to different reactions, their difference is no error of the fit alone and not part of the mean.",
        "",
        *_clusters(recipe, found.clusters),
        "## Not for",
        "",
        f"- Other elements, charged or open-shell species: {_charges(registered)}.",
        "- Conclusions finer than its errors above, or than those of its teacher, which is itself an "
        "approximation: `benchmarks/teachers.py` compares it with PBE-D3(BJ)/def2-SVP.",
        "- Dissociated ligands, reactions inside ligands, and metal–metal bonds.",
        "- Structures for which a relaxation warns of atoms outside of the training domain.",
        "",
    ]
    return "\n".join(lines)


def _licence(network: Network) -> str:
    """Return the licence of the weights: where they began as another model's, that of these."""
    return "MIT" if network.foundation is None else find_model(network.foundation).licence or "unknown"


def _charges(registered: ModelRecord) -> str:
    if registered.reads_charge:
        return "it reads charge and spin, but its fit was told neither"
    return "it reads neither charge nor spin"


def _structure_row(found: StructureErrors) -> str:
    if found.core_bond is None:
        return f"| {found.name} | {found.n_minima} | | | no: {found.failure} |"
    bonds = ", ".join(f"{deviation:.3f}" for deviation in found.core_bond)
    return f"| {found.name} | {found.n_minima} | {bonds} | {found.separation:.3f} | {_yes(found.kept)} |"


def _exchange_row(found: ExchangeErrors) -> str:
    energies = (found.model, found.teacher, found.difference)
    cells = ["" if energy is None else f"{energy:+.3f}" for energy in energies]
    intact = f"no: {found.failure}" if found.failure else _yes(found.kept)
    return f"| {found.label} | {' | '.join(cells)} | {intact} |"


def _clusters(recipe: Recipe, clusters: Sequence[WholeCluster]) -> list[str]:
    if not clusters:
        return []
    trained = {
        (system.cluster, " + ".join(system.ligand_names)) for system in recipe.systems if not system.held_out
    }
    lines = [
        "## Whole clusters, from the builder's geometry to 0.05 eV/Å",
        "",
        "| cluster | ligands | atoms | in training | core bonds kept | new | force calls | intact "
        "| atoms outside |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cluster in clusters:
        in_training = _yes((cluster.name, cluster.ligands) in trained)
        cells = [cluster.name, cluster.ligands, cluster.n_atoms, in_training]
        if (end := cluster.relaxation) is None:
            cells += ["", "", "", f"no: {cluster.failure}", ""]
        else:
            cells += [f"{end.n_kept} of {cluster.n_bonds}", end.n_new, end.n_force_calls, _yes(end.kept)]
            cells.append(end.n_outside)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [
        *lines,
        "",
        "Whether these structures are right is another question: the teacher costs too much to ask it for "
        "the larger ones. Atoms outside are farther from those of the training than 99 of 100 atoms in "
        "trajectories that were left out; none outside is no proof.",
        "",
    ]


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _shape(network: Network) -> str:
    if network.foundation is not None:
        checksum = file_checksum(find_model(network.foundation).path)
        taken = "First weights, each channel twice, " if network.wider else "Shape and first weights "
        return f"{taken}of {Path(network.foundation).name} (SHA-256 `{checksum}`)"
    return (
        f"{network.channels} channels, L = {network.max_l}, body order {network.correlation + 1}, cutoff "
        f"{network.r_max} Å, two layers, ZBL repulsion at short distances"
    )


def _families(frames: list[Atoms]) -> str:
    counts = Counter(frame.info["config_type"] for frame in frames)
    return ", ".join(f"{family} {n}" for family, n in sorted(counts.items()))


def write_record(registered: ModelRecord, path: Path) -> None:
    """Write the registry record beside the model."""
    path.write_text(json.dumps(registered.model_dump(mode="json"), indent=2) + "\n")
