"""What a relaxation costs beyond its force calls, in per cent of them, at 41 and at 924 atoms.

The calls are those of our evaluation, and, for comparison, mace-torch's of the same model, which take many
times as long. At 924 atoms the first steps, in which the model Hessian is made as often as ever, stand for
all.

Steps (the minimiser with its model Hessian) are counted apart from what surrounds them: checking the input,
preparing the surfaces, comparing bonds, measuring the distance from the training set. Imports and reading the
model are nobody's share. Of small clusters the median of several relaxations is printed, and beside it the
first of the process, in which much is done for the first time.

    python benchmarks/overhead.py
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from mscflow import build
from mscflow.cluster import Cluster
from mscflow.levels import MACE
from mscflow.levels.surface import CalculatorSurface, LeanSurface
from mscflow.optimize.surface import Surface
from mscflow.tasks.relax import relax

CASES = (("In4P", "formate", (1000, 1000), 9), ("In37P20", "phenylacetate", (100, 30), 1))
"""Cluster, ligand, steps at most with our evaluation and with mace-torch's, relaxations."""


class Clock:
    """Adds up the time of the calls of the surface that it is mixed into."""

    spent = first = last = 0.0

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Call the surface."""
        started = time.perf_counter()
        found = super().__call__(positions)
        Clock.last = time.perf_counter()
        Clock.first = Clock.first or started
        Clock.spent += Clock.last - started
        return found


class Ours(Clock, LeanSurface):
    """Our evaluation with a clock."""


class Theirs(Clock, CalculatorSurface):
    """The evaluation of mace-torch with a clock."""


class Clocked(MACE):
    """The shipped model with a clock."""

    def surfaces(self, cluster: Cluster) -> list[Surface]:
        """Return our surfaces with clocks."""
        return [Ours(surface._evaluator) for surface in super().surfaces(cluster)]


class ClockedTheirs(MACE):
    """The shipped model as mace-torch evaluates it, with a clock."""

    def surfaces(self, cluster: Cluster) -> list[Surface]:
        """Return mace-torch's surfaces with clocks, in single precision first, as ours."""
        levels = [self.model_copy(update={"dtype": dtype}) for dtype in ("float32", "float64")]
        return [Theirs(cluster, level.calculator(cluster)) for level in levels]


def main() -> None:
    print(
        "| cluster | atoms | evaluation | calls | force calls / s | steps beyond them / % "
        "| all beyond them / % | first / % |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for column, (evaluation, level) in enumerate((("ours", Clocked()), ("mace-torch", ClockedTheirs()))):
        relax(build("ZnL2"), level, fmax=1.0)
        for name, ligand, max_steps, n_times in CASES:
            cluster = build(name, ligand)
            shares = [measure(cluster, level, max_steps[column]) for _ in range(n_times)]
            n_calls, spent, steps, everything = map(median, zip(*shares, strict=True))
            print(
                f"| {cluster.name} | {len(cluster)} | {evaluation} | {n_calls} | {spent:.2f} "
                f"| {100 * steps:.1f} | {100 * everything:.1f} | {100 * shares[0][-1]:.1f} |",
                flush=True,
            )


def measure(cluster: Cluster, level: MACE, max_steps: int) -> tuple[int, float, float, float]:
    """Return force calls, their time / s, and what steps and everything take beyond it, as parts of it."""
    Clock.spent = Clock.first = 0.0
    found = relax(cluster, level, max_steps=max_steps)
    steps = (Clock.last - Clock.first) / Clock.spent - 1
    return found.n_force_calls, Clock.spent, steps, found.wall_time_s / Clock.spent - 1


if __name__ == "__main__":
    main()
