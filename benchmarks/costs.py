"""What one energy with forces costs at each level on this machine, for clusters of 41 to 924 atoms.

OMP_NUM_THREADS=2 python benchmarks/costs.py        # some ten minutes
"""

from __future__ import annotations

import time

from mscflow import build
from mscflow.cluster import Cluster
from mscflow.levels import Level, parse_level
from mscflow.levels.base import duration

CLUSTERS = (("In4P", "formate"), ("In26P13", "formate"), ("In37P20", "formate"), ("In37P20", "phenylacetate"))
LARGEST = {"mace:msc-small": 1000, "gfn2-xtb": 261, "pbe-d3bj/def2-svp": 41}
"""Level, and up to how many atoms it is run here."""


def seconds(level: Level, cluster: Cluster) -> float:
    """Return the wall time of one energy with forces, the second one where the first has to prepare."""
    surface = level.surfaces(cluster)[0]
    surface(cluster.positions)
    started = time.perf_counter()
    surface(cluster.positions + 1e-3)
    return time.perf_counter() - started


def main() -> None:
    """Print one row per level and cluster."""
    print("| level | cluster | atoms | measured | estimate | memory by estimate / GiB |")
    print("|---|---|---|---|---|---|")
    for name, ligand in CLUSTERS:
        cluster = build(name, ligand)
        for text, largest in LARGEST.items():
            level = parse_level(text)
            cost = level.estimate(cluster)
            measured = duration(seconds(level, cluster)) if len(cluster) <= largest else "–"
            print(
                f"| {text} | {cluster.name} | {len(cluster)} | {measured} "
                f"| {duration(cost.time_s)} | {cost.memory_gib:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
