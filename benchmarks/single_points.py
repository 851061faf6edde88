"""One energy with gradient by density functional theory: time and memory, beside the estimate.

    OMP_NUM_THREADS=2 python benchmarks/single_points.py Cd16Se13Cl6.xyz --level pbe/def2-svp
    OMP_NUM_THREADS=2 python benchmarks/single_points.py In26P13 --level pbe/gth-dzvp-molopt-sr   # an hour

Structures are files or names of the catalogue (with formates, relaxed with msc-small first).
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from ase.units import Hartree

import mscflow
from mscflow.cluster import Cluster
from mscflow.levels import parse_level
from mscflow.levels.base import duration
from mscflow.levels.dft.scf import forces, ground_state
from mscflow.levels.memory import GIB
from mscflow.tasks.refine import require_dft
from mscflow.tasks.relax import relax


def structure(text: str) -> Cluster:
    """Return the cluster of a file or of the catalogue."""
    if Path(text).exists():
        return mscflow.read(text)
    return relax(mscflow.build(text, "formate"), fmax=0.05).cluster


def main() -> None:
    """Print what each structure needed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("structures", nargs="+")
    parser.add_argument("--level", default="pbe/def2-svp")
    arguments = parser.parse_args()
    level = require_dft(parse_level(arguments.level))
    for text in arguments.structures:
        cluster = structure(text)
        estimate = level.estimate(cluster)
        print(f"\n{cluster.name or cluster.formula}, {len(cluster)} atoms, {level.text}, {estimate.route}")
        print(
            f"estimate: {estimate.n_basis} functions, {estimate.memory_gib:.1f} GiB, "
            f"{duration(estimate.time_s)}",
            flush=True,
        )
        started = time.perf_counter()
        state = ground_state(cluster, level)
        solved = time.perf_counter()
        largest = np.linalg.norm(forces(state), axis=1).max()
        ended = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
        print("\n".join([*state.stages, f"route: {state.route or estimate.route}"]))
        print(
            f"measured: energy {state.energy / Hartree:.6f} Eh in {duration(solved - started)} "
            f"({state.cycles} cycles), gradient in {duration(ended - solved)} (largest force {largest:.2f} "
            f"eV/Å), peak memory so far {peak:.1f} GiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
