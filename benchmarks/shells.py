"""Relax the formate models of In26P13 and In37P20 and count what survives: core bonds and ligands.

OMP_NUM_THREADS=2 python benchmarks/shells.py [LEVEL] [STEPS] [NAME ...]
"""

from __future__ import annotations

import sys
import time

import numpy as np

import mscflow
from mscflow.topology import topology


def main() -> None:
    """Print one row per cluster."""
    level = sys.argv[1] if len(sys.argv) > 1 else "mace:msc-small"
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    print(
        "| cluster | level | steps | E − E(start) / eV | max. force / eV/Å | core bonds kept | ligands kept "
        "| core bond length / Å | time / s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in sys.argv[3:] or ("In26P13", "In37P20"):
        start = mscflow.build(name, "formate")
        started = time.perf_counter()
        result = mscflow.relax(start, level, fmax=0.05, max_steps=steps)
        before, after = topology(start), topology(result.cluster)
        kept = before.core_bonds & after.core_bonds
        ligands = {lig.atoms for lig in before.ligands} & {lig.atoms for lig in after.ligands}
        positions = result.cluster.positions
        lengths = [np.linalg.norm(positions[i] - positions[j]) for i, j in map(tuple, kept)]
        print(
            f"| {start.name} | {result.level_text} | {result.n_force_calls} "
            f"| {result.energy - result.energies[0]:.1f} | {result.max_force:.2f} "
            f"| {len(kept)} of {len(before.core_bonds)} | {len(ligands)} of {len(before.ligands)} "
            f"| {min(lengths):.2f}–{max(lengths):.2f} | {time.perf_counter() - started:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
