"""Ground states: ours against stock PySCF, both in one run.

Same functional, basis, fitting basis, final grid and threshold; stock starts from ``minao`` and has no
stages. Prints cycles, wall times, their ratio and the difference of the energies.

    python benchmarks/scf.py            # In(O2CH)3 and Zn(O2CH)2, two minutes
    python benchmarks/scf.py In4P       # the quickstart's cluster, some ten minutes
"""

from __future__ import annotations

import sys
import time

from ase.units import Hartree

from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.levels import PySCF
from mscflow.levels.scf import ground_state, mean_field

LEVEL = PySCF(grid=3)


def ours(cluster: Cluster) -> tuple[float, int, float]:
    started = time.perf_counter()
    state = ground_state(cluster, LEVEL)
    return float(state.mf.e_tot), state.cycles, time.perf_counter() - started


def stock(cluster: Cluster) -> tuple[float, int, float]:
    from pyscf import dft

    started = time.perf_counter()
    mol = mean_field(cluster, LEVEL).mol
    mf = dft.RKS(mol, xc=LEVEL.xc).density_fit(auxbasis=LEVEL.auxiliary_basis, only_dfj=True)
    mf.grids.level, mf.conv_tol, mf.max_cycle = LEVEL.grid, LEVEL.conv_tol, 100
    mf.kernel(dump_chk=False)
    return float(mf.e_tot), int(mf.cycles) if mf.converged else -1, time.perf_counter() - started


def main() -> None:
    names = sys.argv[1:] or ["ZnL2", "InL3"]
    print(f"{LEVEL.text}, grid {LEVEL.grid}, conv_tol {LEVEL.conv_tol:g} Eh; cycles -1: not converged")
    print(f"{'cluster':14s} {'ours':>16s} {'stock':>16s} {'ratio':>6s} {'difference / Eh':>16s}")
    for name in names:
        cluster = build(name)
        mine, theirs = ours(cluster), stock(cluster)
        print(
            f"{cluster.name:14s} {mine[1]:4d} c {mine[2]:7.1f} s {theirs[1]:4d} c {theirs[2]:7.1f} s "
            f"{theirs[2] / mine[2]:6.2f} {mine[0] - theirs[0]:16.1e}   ({mine[0] * Hartree:.4f} eV)",
            flush=True,
        )


if __name__ == "__main__":
    main()
