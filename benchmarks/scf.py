"""Ground states: ours against stock PySCF, both in one run.

Same functional, basis, fitting basis, final grid and threshold; stock starts from ``minao``, has no stages
and takes at most 50 cycles, its default. Every case is computed at the builder's geometry and at one
distorted by 0.1 Å. Prints cycles, wall times, their ratio and the difference of the energies; rows are kept
in a file, so that a long run goes on.

    python benchmarks/scf.py --list             # the cases
    python benchmarks/scf.py InL3 ZnL2          # four rows, some five minutes
    python benchmarks/scf.py --rows benchmarks/data/scf.jsonl   # all of them; hours if no row is kept
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from mscflow.builder import build
from mscflow.builder.fragments import fragment
from mscflow.cluster import Cluster
from mscflow.levels import PySCF
from mscflow.levels.dft.molecule import molecule
from mscflow.levels.dft.scf import ground_state
from mscflow.reactions.exchange import exchange

LEVEL = PySCF(grid=3)
DISTORTION = 0.1
"""Standard deviation of every coordinate of a distorted geometry / Å."""

FAILED = -1
"""Number of cycles of a field that did not converge."""

IONS = ("Zn2+", "Ga3+", "Cd2+", "Cu+", "Ag+", "Mn2+", "Co2+")


def exchanged(ion: str) -> Cluster:
    """Return In4P(O2CH)9 with an ion in place of its first cation."""
    return exchange(build("In4P"), ion)[0].species[2][0]


CASES: dict[str, Callable[[], Cluster]] = {
    **{name: partial(build, name) for name in ("ZnL2", "CdL2", "InL3", "In4P")},
    **{name: partial(fragment, name, "formate") for name in ("In2P", "Cd4Se")},
    **{f"In4P-{ion}": partial(exchanged, ion) for ion in IONS},
}


def distorted(cluster: Cluster) -> Cluster:
    """Return a cluster with noise in its coordinates."""
    noise = np.random.default_rng(1).normal(scale=DISTORTION, size=cluster.positions.shape)
    return cluster.replace(positions=cluster.positions + noise)


def ours(cluster: Cluster) -> tuple[float, int, float]:
    started = time.perf_counter()
    state = ground_state(cluster, LEVEL)
    return float(state.mf.e_tot), state.cycles, time.perf_counter() - started


def stock(cluster: Cluster) -> tuple[float, int, float]:
    from pyscf import dft

    started = time.perf_counter()
    mol = molecule(cluster, LEVEL)
    kind = dft.UKS if cluster.multiplicity > 1 else dft.RKS
    mf = kind(mol, xc=LEVEL.xc).density_fit(auxbasis=LEVEL.auxiliary_basis, only_dfj=True)
    mf.grids.level, mf.conv_tol = LEVEL.grid, LEVEL.conv_tol
    mf.kernel(dump_chk=False)
    return float(mf.e_tot), int(mf.cycles) if mf.converged else FAILED, time.perf_counter() - started


def row(cluster: Cluster, rows: Path | None) -> dict[str, tuple[float, int, float]]:
    """Return both results for a geometry, from the file of rows where it has them."""
    for line in rows.read_text().splitlines() if rows and rows.exists() else []:
        if (kept := json.loads(line))["hash"] == cluster.hash:
            return kept
    found = {"ours": ours(cluster), "stock": stock(cluster)}
    if rows:
        with rows.open("a") as file:
            file.write(json.dumps({"hash": cluster.hash, **found}) + "\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all of them if none is named")
    parser.add_argument("--rows", type=Path, help="file in which rows are kept")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(CASES))
        return
    if unknown := [name for name in arguments.cases if name not in CASES]:
        parser.error(f"{', '.join(unknown)}: no such case; --list shows them")
    print(f"{LEVEL.text}, grid {LEVEL.grid}, conv_tol {LEVEL.conv_tol:g} Eh\n")
    print("| case | geometry | ours | stock | stock / ours | difference / Eh |\n|---|---|---|---|---|---|")
    ratios = []
    for name in arguments.cases or CASES:
        cluster = CASES[name]()
        for geometry, member in (("builder's", cluster), ("distorted", distorted(cluster))):
            found = row(member, arguments.rows)
            (energy, cycles, wall), (their_energy, their_cycles, their_wall) = found["ours"], found["stock"]
            ratios.append(their_wall / wall)
            if their_cycles == FAILED:
                theirs, end = f"not converged, {their_wall:.1f} s", f"> {ratios[-1]:.2f} | "
            else:
                theirs = f"{their_cycles} c, {their_wall:.1f} s"
                end = f"{ratios[-1]:.2f} | {energy - their_energy:+.0e}"
            print(f"| {name} | {geometry} | {cycles} c, {wall:.1f} s | {theirs} | {end} |", flush=True)
    print(f"\nMedian of stock / ours: {median(ratios):.2f} of {len(ratios)} rows.")


if __name__ == "__main__":
    main()
