"""Geometries by density functional theory: ours against geomeTRIC with PySCF's own settings, both in one run.

Same start (relaxed with msc-small), functional, basis and final grid. geomeTRIC drives PySCF's loop with its
guess, thresholds and DIIS; the next geometry starts from the orbitals of the last one, as PySCF's scanner
does. Since cycles are counted and not seconds, that loop gets our integrals, which are several times faster
and the same to 1e-7 Eh (``--stock`` for PySCF's own). Every field is kept, so that a long run goes on.

    python benchmarks/refinement.py --rows runs/refinement            # In4P(O2CH)9: some two hours
    python benchmarks/refinement.py --cluster ZnL2 --rows runs/zinc   # a minute

Needs ``pip install geometric``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import Bohr, Hartree
from pyscf import dft, gto, lib
from pyscf.geomopt import geometric_solver

from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.levels import PySCF
from mscflow.levels.dft.coulomb import StoredIntegrals
from mscflow.levels.dft.gradient import gradient
from mscflow.levels.dft.integration import BoxNumInt
from mscflow.levels.dft.molecule import molecule
from mscflow.tasks.document import TaskDocument
from mscflow.tasks.refine import refine
from mscflow.tasks.relax import Relaxation, relax

GMAX = 4.5e-4
"""geomeTRIC's threshold of the largest gradient on an atom / Eh/bohr; the same is asked of ours."""

MAX_STEPS = 150


@dataclass
class Scanner(lib.GradScanner):
    """What geomeTRIC calls at every geometry: energy and gradient with PySCF's loop, kept in a file.

    Parameters
    ----------
    level
        Functional, basis and grid.
    mol
        The molecule.
    path
        File of the geometries computed so far; orbitals are kept beside it.
    is_stock
        Whether PySCF's own integrals are used.
    """

    level: PySCF
    mol: gto.Mole
    path: Path
    is_stock: bool
    verbose: int = 0
    stdout: Any = None
    converged: bool = True
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read what an earlier run has computed."""
        self.base, self.density_file = self, self.path.with_suffix(".npy")
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.kept = {row["key"]: row for row in map(json.loads, lines)}

    def __call__(self, mol: gto.Mole) -> tuple[float, np.ndarray]:
        """Return energy / Eh and gradient / Eh/bohr of a geometry."""
        key = hashlib.sha256(np.round(mol.atom_coords(), 8).tobytes()).hexdigest()
        if key not in self.kept:
            self.kept[key] = {"key": key, **self._compute(mol)}
            with self.path.open("a") as file:
                file.write(json.dumps(self.kept[key]) + "\n")
        row = self.kept[key]
        self.rows.append(row)
        return row["energy"], np.array(row["gradient"])

    def _compute(self, mol: gto.Mole) -> dict[str, Any]:
        mf = dft.RKS(mol, xc=self.level.xc).density_fit(auxbasis=self.level.auxiliary_basis, only_dfj=True)
        mf.grids.level, mf.chkfile, mf.verbose = self.level.grid, None, 0
        if not self.is_stock:
            mf.with_df, mf._numint = StoredIntegrals(mol, self.level.auxiliary_basis), BoxNumInt()
        mf.kernel(dm0=np.load(self.density_file) if self.density_file.exists() else None)
        if not mf.converged:
            raise SystemExit(f"PySCF does not converge at geometry {len(self.rows) + 1}")
        np.save(self.density_file, np.asarray(mf.make_rdm1()))
        found = mf.nuc_grad_method().kernel() if self.is_stock else gradient(mf)
        return {"energy": float(mf.e_tot), "cycles": int(mf.cycles), "gradient": found.tolist()}


def geometric(start: Cluster, level: PySCF, path: Path, is_stock: bool) -> tuple[list[dict[str, Any]], bool]:
    """Return a row per geometry, and whether geomeTRIC's thresholds were all reached."""
    scanner = Scanner(level, molecule(start, level), path, is_stock)
    converged, _ = geometric_solver.kernel(scanner, maxsteps=MAX_STEPS)
    return scanner.rows, converged


def kept(path: Path, compute: Callable[[], TaskDocument]) -> dict[str, Any]:
    """Return the document in a file, which is computed where there is none."""
    if not path.exists():
        path.write_text(compute().model_dump_json())
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def largest(gradient: Any) -> float:
    """Return the norm of the largest gradient on an atom."""
    return float(np.linalg.norm(gradient, axis=1).max())


def main() -> None:
    """Print geometries, cycles and final energies of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="where fields are kept")
    parser.add_argument("--cluster", default="In4P")
    parser.add_argument("--grid", type=int, default=3)
    parser.add_argument("--stock", action="store_true", help="PySCF's own integrals for geomeTRIC")
    arguments = parser.parse_args()
    rows, cluster = arguments.rows, arguments.cluster
    rows.mkdir(parents=True, exist_ok=True)
    what = f"{cluster}-grid{arguments.grid}"
    level = PySCF(grid=arguments.grid)
    fmax = GMAX * Hartree / Bohr

    begun = kept(rows / f"start-{cluster}.json", lambda: relax(build(cluster), fmax=0.05))
    start = Relaxation.model_validate(begun).cluster
    ours = kept(
        rows / f"ours-{what}.json",
        lambda: refine(start, level, n_steps=MAX_STEPS, fmax=fmax, state_file=rows / f"ours-{what}.npz"),
    )
    cycles = sum(made["cycles"] for made in ours["scf"])
    fields = rows / f"geometric-{what}{'-stock' if arguments.stock else ''}.jsonl"
    theirs, converged = geometric(start, level, fields, arguments.stock)
    reached = next((i for i, row in enumerate(theirs, 1) if largest(row["gradient"]) < GMAX), len(theirs))

    print(f"{cluster} at {level.text}, grid {level.grid}, largest force {fmax:.4f} eV/Å\n")
    print("| | geometries | SCF cycles | final energy / eV |\n|---|---|---|---|")
    print(f"| mscflow | {len(ours['scf'])} | {cycles} | {ours['energy']:.4f} |")
    for label, made in (
        ("geomeTRIC, largest force reached", theirs[:reached]),
        (f"geomeTRIC, {'all its thresholds' if converged else 'not converged'}", theirs),
    ):
        count = sum(row["cycles"] for row in made)
        print(f"| {label} | {len(made)} | {count} | {made[-1]['energy'] * Hartree:.4f} |")
        print(f"| ratio to ours | {len(made) / len(ours['scf']):.2f} | {count / cycles:.2f} | |")


if __name__ == "__main__":
    main()
