"""A molecule in toluene: our C-PCM and SMD against PySCF's own, in one run.

Both take the same field, which has converged without solvent, and its density to begin with: what differs is
the solvent's part of an energy and a gradient. Each has a process of its own, whose peak memory is shown.
With SMD, energies differ for elements beyond krypton, which PySCF takes for others (`levels/dft/solvent.py`).

    python benchmarks/solvent.py ZnL2 In2P
"""

from __future__ import annotations

import argparse
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from pyscf.solvent import smd

from mscflow.builder import build
from mscflow.builder.fragments import fragment
from mscflow.levels import PySCF
from mscflow.levels.dft.gradient import gradient
from mscflow.levels.dft.scf import ground_state
from mscflow.levels.dft.solvent import solvent
from mscflow.levels.pyscf import SOLVENTS

NAME = "toluene"
MODELS = ("c-pcm", "smd")
FRAGMENTS = ("In2P", "Cd4Se")

Row = tuple[int, int, float, float, float, float, np.ndarray]
"""Surface points, cycles, wall times of energy and gradient / s, peak memory / GiB, energy / Eh, gradient."""


def measure(name: str, model: str, is_ours: bool) -> Row:
    """Return what one of the two needs and finds."""
    cluster = fragment(name, "formate") if name in FRAGMENTS else build(name, "formate")
    level = PySCF(grid=1, solvent=NAME, solvation=model)
    gas = ground_state(cluster, PySCF(grid=1)).mf
    if is_ours:
        wet = gas.PCM(solvent(gas.mol, level, memory_gib=8.0))
    elif model == "smd":
        wet = gas.SMD()
        wet.with_solvent = smd.SMD(gas.mol, NAME)
    else:
        wet = gas.PCM()
        wet.with_solvent.eps = SOLVENTS[NAME]
    times = [time.perf_counter()]
    wet.kernel(dm0=gas.make_rdm1())
    times.append(time.perf_counter())
    slope = gradient(wet)
    times.append(time.perf_counter())
    around = wet.with_solvent
    n_points = len(around.points if is_ours else around.surface["grid_coords"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return n_points, wet.cycles, *np.diff(times), peak, wet.e_tot, slope


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help="clusters, or In2P and Cd4Se")
    names = parser.parse_args().names
    columns = "ours: cycles, energy, gradient / s; GiB | PySCF | PySCF / ours | difference / Eh, Eh/bohr"
    print(f"| case | points | {columns} |")
    print("|---|---|---|---|---|---|")
    for name in names:
        for model in MODELS:
            with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
                ours, theirs = (pool.submit(measure, name, model, one).result() for one in (True, False))
            cells = [f"{n} c, {e:.1f}, {g:.1f}; {gib:.1f}" for _, n, e, g, gib, *_ in (ours, theirs)]
            ratio = sum(theirs[2:4]) / sum(ours[2:4])
            slope = np.abs(ours[6] - theirs[6]).max()
            print(
                f"| {name}, {model} | {ours[0]} | {cells[0]} | {cells[1]} | {ratio:.1f} "
                f"| {ours[5] - theirs[5]:+.0e}, {slope:.0e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
