"""TDA-ris against TDA on pieces of indium phosphide, cadmium selenide and their ligands: errors and times.

The error that is left when the mean error of all other pieces is taken off says what TDA-ris is good for.
Both numbers go into `mscflow.tasks.excitation_error`.

    OMP_NUM_THREADS=2 python benchmarks/excitation_calibration.py [pbe|pbe0] [PIECE ...]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ase.units import Hartree

from mscflow.builder.fragments import fragment
from mscflow.levels import PySCF
from mscflow.levels.dft.ris import tda_ris
from mscflow.levels.dft.scf import ground_state
from mscflow.tasks.relax import relax

PIECES = (
    ("In", "formate"), ("Ga", "formate"), ("Cd", "formate"), ("Zn", "formate"), ("In", "[S-:1]C"),
    ("In3P", "chloride"), ("Ga3P", "chloride"), ("In3As", "chloride"), ("In4P", "chloride"),
    ("Cd2Se", "chloride"), ("Cd2S", "chloride"), ("Cd4Se", "chloride"), ("In4P", "formate"),
)  # fmt: skip
"""Core and ligand; relaxed with GFN2-xTB. The last one is for pure functionals: PySCF's TDA of a hybrid would
take hours."""

N_STATES = 3


def lowest(make: Callable[[Any], Any], mf: Any) -> tuple[np.ndarray, float]:
    """Return the lowest excitation energies / eV and the time / s; more are solved for, to miss none."""
    started = time.perf_counter()
    solver = make(mf)
    solver.nstates, solver.conv_tol, solver.verbose = N_STATES + 3, 1e-4, 0
    energies = solver.kernel()[0][:N_STATES] * Hartree
    return energies, time.perf_counter() - started


def main() -> None:
    """Print one row per piece, then the calibration."""
    level = PySCF(xc=sys.argv[1] if len(sys.argv) > 1 else "pbe", grid=1)
    print(f"| {level.text} | atoms | TDA / eV | TDA-ris / eV | TDA / s | TDA-ris / s | ratio |")
    print("|---|---|---|---|---|---|---|")
    errors = []
    for core, ligand in PIECES[: -1 if level.is_hybrid else None]:
        start = fragment(core, ligand)
        if sys.argv[2:] and start.name not in sys.argv[2:]:
            continue
        piece = relax(start, "gfn2-xtb", fmax=0.1).cluster
        mf = ground_state(piece, level, grid=1).mf
        exact, exact_s = lowest(lambda mf: mf.TDA(), mf)
        cheap, cheap_s = lowest(tda_ris, mf)
        errors.append(cheap - exact)
        columns = [", ".join(f"{energy:.2f}" for energy in energies) for energies in (exact, cheap)]
        print(
            f"| {piece.name} | {len(piece)} | {columns[0]} | {columns[1]} | {exact_s:.1f} | {cheap_s:.2f} "
            f"| {exact_s / cheap_s:.0f} |",
            flush=True,
        )
    if len(errors) < 2:
        return
    found = np.array(errors)  # (pieces, states)
    others = (found.sum() - found.sum(axis=1)) / (found.size - N_STATES)
    left = np.abs(found - others[:, None])
    print(f"\nMean error {found.mean():+.3f} eV, mean absolute error {np.abs(found).mean():.3f} eV; with the")
    print(f"mean error of all other pieces taken off {left.mean():.3f} eV, at most {left.max():.3f} eV.")


if __name__ == "__main__":
    main()
