"""How the lowest excitation of indium phosphide moves with the size of the core.

Pieces with formates; of ten arrangements of these the lowest after a relaxation with the shipped potential:
where ligands bind moves energies and gaps by half an electron-volt. TDA-ris and orbital gaps. A larger core
has to absorb at a longer wavelength.

    OMP_NUM_THREADS=2 python benchmarks/excitation_trend.py [CORE ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.tasks.excite import excite
from mscflow.tasks.relax import relax
from mscflow.train.minima import is_damaged

CORES = ("In4P", "In7P2", "In10P4")
LEVEL = "pbe/def2-svp[grid=1]"

N_ARRANGEMENTS = 10
"""Arrangements of the ligands, one for each seed, of which the lowest is taken."""


def lowest(core: str) -> Cluster:
    """Return the lowest of the relaxed arrangements that keep their bonds."""
    starts = [fragment(core, "formate", seed=seed) for seed in range(N_ARRANGEMENTS)]
    found = [relax(start, "mace:msc-small", fmax=0.05) for start in starts]
    intact = [
        relaxed
        for start, relaxed in zip(starts, found, strict=True)
        if not is_damaged(start, relaxed.cluster)
    ]
    return min(intact, key=lambda relaxed: relaxed.energy).cluster


def main() -> None:
    """Print one row per core."""
    print(f"| {LEVEL} | atoms | TDA-ris / eV | nm | orbital gap / eV | SCF and states / s |")
    print("|---|---|---|---|---|---|")
    for core in sys.argv[1:] or CORES:
        cluster = lowest(core)
        with tempfile.TemporaryDirectory() as folder:
            field = Path(folder) / "scf.npz"
            found = excite(cluster, LEVEL, nstates=3, method="tda-ris", state_file=field)
            gap = excite(cluster, LEVEL, nstates=1, method="gap", state_file=field).states[0]
        first = found.states[0]
        print(
            f"| {cluster.name} | {len(cluster)} | {first.energy:.2f} | {first.wavelength:.0f} "
            f"| {gap.energy:.2f} | {found.wall_time_s:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
