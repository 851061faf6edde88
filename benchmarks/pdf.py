"""Pair distribution functions: ours against DebyeCalculator's, both in one run.

The same settings for both; DebyeCalculator counts every pair once, so that its G(r) is doubled here. Prints
the largest difference in per cent of the highest peak, wall times and their ratio. It is no dependency of
ours: ``pip install debyecalculator`` first.

    OMP_NUM_THREADS=2 python benchmarks/pdf.py        # a minute
"""

from __future__ import annotations

import time

import numpy as np
from debyecalculator import DebyeCalculator

from mscflow import build, pdf
from mscflow.analysis.scattering import U_ISO

CLUSTERS = (
    ("In26P13", "formate"),
    ("Cd35Se20", ("formate", "ammonia")),
    ("Cd21Se20", ("formate", "ammonia")),
    ("In37P20", "phenylacetate"),
)
RANGE = {"rmin": 1.0, "rmax": 20.0, "rstep": 0.01}
Q = {"qmin": 0.7, "qmax": 25.0, "qdamp": 0.04}
B_ISO = 8 * np.pi**2 * U_ISO


def main() -> None:
    theirs = DebyeCalculator(**RANGE, **Q, qstep=0.05, biso=B_ISO, rthres=0.0, device="cpu")
    first = build("InL3")
    pdf(first), theirs.gr((list(first.symbols), first.positions))  # imports and tables of factors
    print("| cluster | atoms | largest difference / % of the peak | ours / s | DebyeCalculator / s | ratio |")
    print("|---|---|---|---|---|---|")
    for name, ligands in CLUSTERS:
        cluster = build(name, ligands)
        started = time.perf_counter()
        ours = pdf(cluster, **RANGE, **Q)
        wall = time.perf_counter() - started
        started = time.perf_counter()
        r, g = theirs.gr((list(cluster.symbols), cluster.positions))
        their_wall = time.perf_counter() - started
        difference = np.abs(ours.g - 2 * np.interp(ours.r, np.ravel(r), np.ravel(g))).max() / ours.g.max()
        print(
            f"| {cluster.name} | {len(cluster)} | {100 * difference:.2f} | {wall:.2f} | {their_wall:.2f} "
            f"| {their_wall / wall:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
