"""What a relaxation costs beyond its force calls, in per cent of them, at 41 and at 924 atoms.

At 924 atoms the first 100 steps, in which the model Hessian is made as often as ever, stand for all.

Steps (the minimiser with its model Hessian) are counted apart from what surrounds them: checking the input,
preparing the surfaces, comparing bonds, measuring the distance from the training set. Imports and reading the
model are nobody's share.

    python benchmarks/overhead.py
"""

from __future__ import annotations

import time

import numpy as np

from mscflow import build
from mscflow.cluster import Cluster
from mscflow.levels import MACE
from mscflow.levels.surface import LeanSurface
from mscflow.optimize.surface import Surface
from mscflow.tasks.relax import relax

CASES = (("In4P", "formate", 1000), ("In37P20", "phenylacetate", 100))
"""Cluster, ligand, steps at most."""


class Clock(LeanSurface):
    """A surface that adds up the time of its calls."""

    spent = 0.0
    first = last = 0.0

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Call the surface."""
        started = time.perf_counter()
        found = super().__call__(positions)
        Clock.last = time.perf_counter()
        Clock.first = Clock.first or started
        Clock.spent += Clock.last - started
        return found


class Clocked(MACE):
    """The shipped model with a clock."""

    def surfaces(self, cluster: Cluster) -> list[Surface]:
        """Return the surfaces with clocks."""
        return [Clock(surface._evaluator) for surface in super().surfaces(cluster)]


def main() -> None:
    relax(build("ZnL2"), Clocked(), fmax=1.0)
    print("| cluster | atoms | calls | force calls / s | steps beyond them / % | all beyond them / % |")
    print("|---|---|---|---|---|---|")
    for name, ligand, max_steps in CASES:
        cluster = build(name, ligand)
        Clock.spent = Clock.first = 0.0
        found = relax(cluster, Clocked(), max_steps=max_steps)
        steps = (Clock.last - Clock.first) / Clock.spent - 1
        everything = found.wall_time_s / Clock.spent - 1
        print(
            f"| {cluster.name} | {len(cluster)} | {found.n_force_calls} | {Clock.spent:.2f} "
            f"| {100 * steps:.1f} | {100 * everything:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
