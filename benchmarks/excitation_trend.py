"""How the lowest excitation of indium phosphide moves with the size of the core.

Pieces with formates, relaxed with the shipped potential; TDA-ris and orbital gaps. A larger core has to
absorb at a longer wavelength.

    OMP_NUM_THREADS=2 python benchmarks/excitation_trend.py [CORE ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from mscflow.builder.fragments import fragment
from mscflow.tasks.excite import excite
from mscflow.tasks.relax import relax
from mscflow.train.validate import is_damaged

CORES = ("In4P", "In7P2", "In10P4")
LEVEL = "pbe/def2-svp[grid=1]"


def main() -> None:
    """Print one row per core."""
    print(f"| {LEVEL} | atoms | bonds kept | TDA-ris / eV | nm | orbital gap / eV | all / s |")
    print("|---|---|---|---|---|---|---|")
    for core in sys.argv[1:] or CORES:
        start = fragment(core, "formate")
        relaxed = relax(start, "mace:msc-small", fmax=0.05)
        with tempfile.TemporaryDirectory() as folder:
            field = Path(folder) / "scf.npz"
            found = excite(relaxed.cluster, LEVEL, nstates=3, method="tda-ris", state_file=field)
            gap = excite(relaxed.cluster, LEVEL, nstates=1, method="gap", state_file=field).states[0]
        first = found.states[0]
        kept = "no" if is_damaged(start, relaxed.cluster) else "yes"
        print(
            f"| {start.name} | {len(start)} | {kept} | {first.energy:.2f} "
            f"| {first.wavelength:.0f} | {gap.energy:.2f} | {found.wall_time_s:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
