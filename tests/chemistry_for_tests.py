"""A small campaign of MACE and PySCF jobs, for tests of executors."""

from __future__ import annotations

from jobflow import Flow

from mscflow.builder import precursor
from mscflow.executors import Site
from mscflow.jobs import RefineMaker, RelaxMaker, named

IONS = ("Zn2+", "Cd2+", "Ga3+")
POOL = {"cores": 2, "memory_gib": 3, "walltime": "00:10:00"}
SITE = Site.model_validate(
    {
        "scheduler": "slurm",
        "pools": {"small": POOL, "large": POOL},
        "jobs": {"refine": "large", "default": "small"},
        "address": "127.0.0.1",
    }
)
"""MACE relaxations in one pool, density functional theory in another."""


def chemistry(n: int = 1) -> Flow:
    """Relax and refine three complexes, `n` times."""
    jobs = []
    for ion in n * IONS:
        start = precursor(ion, "formate")
        relaxed = named(RelaxMaker(fmax=0.1), start)
        refined = named(RefineMaker(level="pbe/def2-svp[grid=0]"), start, relaxed.output.cluster)
        jobs += [relaxed, refined]
    return Flow(jobs)
