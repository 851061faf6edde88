"""Compare GFN1-xTB and GFN2-xTB with PBE-D3(BJ)/def2-SVP on small pieces: which is the better teacher.

Each piece is relaxed with both tight-binding methods; the forces of all three levels are compared midway
between the two minima, so that neither is at an advantage.

    OMP_NUM_THREADS=2 python benchmarks/teachers.py [--json FILE]      # about a quarter of an hour
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms

from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.levels import Level, PySCF, parse_level
from mscflow.tasks.relax import relax
from mscflow.topology import topology

REFERENCE = PySCF(xc="pbe", basis="def2-svp", dispersion="d3bj", grid=1)
CANDIDATES = ("gfn1-xtb", "gfn2-xtb")
FMAX = 0.1

PIECES: tuple[tuple[str, str, dict[str, int]], ...] = (
    ("In", "formate", {}), ("In", "chloride", {"ammonia": 1}), ("In", "chloride", {"PH3": 1}),
    ("In", "[S-:1]C", {}), ("Ga", "chloride", {"ammonia": 1}), ("Ga", "formate", {}),
    ("Cd", "formate", {}), ("Cd", "formate", {"ammonia": 2}), ("Cd", "chloride", {"PH3": 2}),
    ("Cd", "[Se-:1]C", {}), ("Cd", "[S-:1]C", {}), ("Zn", "formate", {}), ("Zn", "formate", {"ammonia": 2}),
    ("Zn", "chloride", {"PH3": 2}), ("Zn", "[S-:1]C", {}), ("Cu", "formate", {"PH3": 1}),
    ("Cu", "chloride", {"ammonia": 1}), ("Ag", "formate", {"PH3": 1}), ("Ag", "chloride", {"ammonia": 1}),
    ("In3P", "chloride", {}), ("In3As", "chloride", {}), ("Ga3P", "chloride", {}), ("In4P", "chloride", {}),
    ("Cd2Se", "chloride", {}), ("Cd2Se", "formate", {}), ("Cd2S", "formate", {}), ("Cd2S", "chloride", {}),
    ("Zn2S", "formate", {}), ("Zn2Se", "chloride", {}), ("Cd4Se", "chloride", {}), ("Zn4S", "chloride", {}),

)  # fmt: skip
"""Core, anionic ligand, neutral ligands."""


def midway(piece: Cluster) -> Cluster:
    """Return the geometry between the minima of the two candidates, superposed."""
    minima = [relax(piece, level, fmax=FMAX, max_steps=300).cluster.positions for level in CANDIDATES]
    from ase.build import minimize_rotation_and_translation

    first, second = (Atoms(piece.symbols, positions=positions) for positions in minima)
    minimize_rotation_and_translation(first, second)
    return piece.replace(positions=(first.positions + second.positions) / 2)


def forces(cluster: Cluster, level: Level) -> np.ndarray:
    """Return the forces / eV/Å."""
    atoms = cluster.to_ase()
    atoms.calc = level.calculator(cluster)
    return atoms.get_forces()


def along_core_bonds(cluster: Cluster, error: np.ndarray) -> list[float]:
    """Return the error along each metal–anion bond / eV/Å: positive where the method pulls it apart."""
    graph = topology(cluster)
    found = []
    for anion in graph.core_anions:
        for metal in graph.graph[anion]:
            vector = cluster.positions[metal] - cluster.positions[anion]
            found.append(float((error[metal] - error[anion]) @ vector / np.linalg.norm(vector)) / 2)
    return found


def main() -> None:
    """Print one row per piece, the means and the medians."""
    rows = []
    print("| piece | atoms | GFN1 force MAE | GFN2 force MAE | GFN1 along core bonds | GFN2 | time / s |")
    print("|---|---|---|---|---|---|---|")
    for formula, ligand, neutral in PIECES:
        started = time.perf_counter()
        piece = midway(fragment(formula, ligand, neutral))
        reference = forces(piece, REFERENCE)
        errors = [forces(piece, parse_level(level)) - reference for level in CANDIDATES]
        mae = [1000 * float(np.abs(error).mean()) for error in errors]
        bonds = [1000 * float(np.mean(along_core_bonds(piece, error) or [np.nan])) for error in errors]
        rows.append({"piece": piece.name, "mae": mae, "bonds": bonds})
        print(
            f"| {piece.name} | {len(piece)} | {mae[0]:.0f} | {mae[1]:.0f} | {bonds[0]:+.0f} "
            f"| {bonds[1]:+.0f} | {time.perf_counter() - started:.0f} |",
            flush=True,
        )
    for what, average in (("mean", np.nanmean), ("median", np.nanmedian)):
        mae, bonds = (average([row[key] for row in rows], axis=0) for key in ("mae", "bonds"))
        print(
            f"| {what} of {len(rows)} | | {mae[0]:.0f} | {mae[1]:.0f} | {bonds[0]:+.0f} | {bonds[1]:+.0f} | |"
        )
    print(f"\nmeV/Å against {REFERENCE.text}")
    if "--json" in sys.argv:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
