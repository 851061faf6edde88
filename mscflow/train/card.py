"""The model card: what a model was trained on, its errors, and what it must not be used for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from ase import Atoms

from mscflow.levels.registry import ModelRecord, file_checksum
from mscflow.train.fit import Split
from mscflow.train.recipe import Recipe
from mscflow.train.validate import ExchangeErrors, FrameErrors, StructureErrors


def record(
    recipe: Recipe,
    model: Path,
    frames: dict[str, FrameErrors],
    structures: list[StructureErrors],
    exchanges: list[ExchangeErrors],
    elements: tuple[str, ...],
) -> ModelRecord:
    """Return the registry record of a trained model; errors carry quantity and unit in their keys."""
    errors = {
        "held_out_force_mae_meV_per_A": frames["all"].force_mae,
        "held_out_energy_mae_meV_per_atom": frames["all"].energy_mae,
        "core_bond_max_A": max(s.core_bond[0] for s in structures),
        "cation_separation_mean_A": float(np.mean([s.separation for s in structures])),
        "exchange_energy_mae_eV": float(np.mean([abs(e.model - e.teacher) for e in exchanges])),
    }
    return ModelRecord(
        name=recipe.name,
        file=model.name,
        sha256=file_checksum(model),
        elements=elements,
        teacher=recipe.teacher,
        reads_charge=False,
        licence="MIT",
        errors={key: round(value, 4) for key, value in errors.items()},
    )


def card(
    recipe: Recipe,
    frames: Split,
    errors: dict[str, FrameErrors],
    structures: list[StructureErrors],
    exchanges: list[ExchangeErrors],
    registered: ModelRecord,
) -> str:
    """Return the card as Markdown."""
    network = recipe.network
    lines = [
        f"# {recipe.name}",
        "",
        f"A MACE potential for small ligand-capped indium phosphide clusters, trained on {recipe.teacher}.",
        f"Elements: {' '.join(registered.elements)}. Licence: {registered.licence}. "
        f"SHA-256: `{registered.sha256}`.",
        "",
        "## Training",
        "",
        f"{network.channels} channels, L = {network.max_l}, body order {network.correlation + 1}, cutoff "
        f"{network.r_max} Å, two layers; {network.epochs} epochs and {recipe.exploration.epochs} after each "
        f"of {recipe.exploration.rounds} rounds of exploration, float32; mace-torch's training code. "
        f"Reproduce: `mscflow train inputs/train_{recipe.name.replace('-', '_')}.yaml --dir runs/train`.",
        "",
        "| set | frames | families |",
        "|---|---|---|",
        *(
            f"| {name} | {len(atoms)} | {_families(atoms)} |"
            for name, atoms in (("train", frames.train), ("valid", frames.valid), ("held out", frames.test))
        ),
        "",
        "Held out are whole ligand arrangements with all their trajectories (every fifth arrangement of a "
        "family), not frames of arrangements that were trained on. Every frame is rattled, partly relaxed, "
        "stretched or taken from molecular dynamics at 300–900 K.",
        "",
        f"## Errors against {recipe.teacher}, held-out frames",
        "",
        "| family | frames | force MAE / meV/Å | mean force / meV/Å | energy MAE / meV/atom |",
        "|---|---|---|---|---|",
        *(
            f"| {family} | {e.n_frames} | {e.force_mae:.0f} | {e.force_mean:.0f} | {e.energy_mae:.1f} |"
            for family, e in errors.items()
        ),
        "",
        "## Relaxed structures (from the teacher's minimum, fmax 0.05 eV/Å)",
        "",
        "| structure | core bonds: largest, mean deviation / Å | cation separations: mean deviation / Å "
        "| intact |",
        "|---|---|---|---|",
        *(
            f"| {s.name} | {s.core_bond[0]:.3f}, {s.core_bond[1]:.3f} | {s.separation:.3f} "
            f"| {'yes' if s.kept else 'no'} |"
            for s in structures
        ),
        "",
        "## Exchange energies of In4P(O2CH)9, every species relaxed at its own level to 0.05 eV/Å",
        "",
        f"| reaction | model / eV | {recipe.teacher} / eV | difference / eV | intact |",
        "|---|---|---|---|---|",
        *(
            f"| {e.label} | {e.model:+.3f} | {e.teacher:+.3f} | {e.model - e.teacher:+.3f} "
            f"| {'yes' if e.kept else 'no'} |"
            for e in exchanges
        ),
        "",
        "Not intact: a species lost a core bond or a ligand at one of the levels; the energies then belong "
        "to different reactions and their difference is no error of the fit alone.",
        "",
        "## Not for",
        "",
        "- Other elements, charged or open-shell species: it reads neither charge nor spin.",
        "- Ligands other than formate, clusters larger than In4P, and anything with more than one exchanged "
        "cation: it has seen none; energies and structures there are extrapolations.",
        "- Conclusions finer than its errors above, or than those of its teacher: GFN2-xTB is itself an "
        "approximation (In–P bonds 2.56–2.61 Å, where experiment and PBE give 2.52–2.56 Å).",
        "- Dissociated ligands and reactions inside ligands.",
        "",
    ]
    return "\n".join(lines)


def _families(frames: list[Atoms]) -> str:
    counts = Counter(frame.info["config_type"] for frame in frames)
    return ", ".join(f"{family} {n}" for family, n in sorted(counts.items()))


def write_record(registered: ModelRecord, path: Path) -> None:
    """Write the registry record beside the model."""
    path.write_text(json.dumps(registered.model_dump(mode="json"), indent=2) + "\n")
