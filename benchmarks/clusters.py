"""Build every named cluster with several ligands and print the table of docs/clusters.md.

OMP_NUM_THREADS=1 python benchmarks/clusters.py [NAME ...]
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from mscflow.builder import CATALOGUE, build
from mscflow.builder.capped import shortest_contacts
from mscflow.builder.ligands import Kind, ligand_template
from mscflow.topology import topology

CARBOXYLATES = ("formate", "benzoate", "phenylacetate")


def ligands_of(name: str) -> tuple[str | None, ...]:
    """Carboxylates where the cluster carries them, else the native shell."""
    kinds = {ligand_template(ligand).kind for ligand, _ in CATALOGUE[name].ligands}
    return CARBOXYLATES if Kind.CARBOXYLATE in kinds else (None,)


def main() -> None:
    """Print one row per cluster and ligand."""
    print(
        "| name | cluster | atoms | charge | CPU / s | shortest contact with H, without / Å | coordination |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in sys.argv[1:] or CATALOGUE:
        for ligand in ligands_of(name):
            started = time.process_time()
            cluster = build(name, ligand)
            seconds = time.process_time() - started
            graph = topology(cluster)
            contacts = ", ".join("–" if d > 9 else f"{d:.2f}" for d in shortest_contacts(graph))
            counts = Counter(graph.graph.degree(m) for m in graph.metals)
            coordination = ", ".join(f"{n}× {bonds}" for bonds, n in sorted(counts.items()))
            print(
                f"| {name} | {cluster.name} | {len(cluster)} | {cluster.charge} | {seconds:.1f} | {contacts} "
                f"| {coordination} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
