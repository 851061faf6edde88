"""Relaxations: ours against ASE's optimizers, atomate2's Maker and quacc's recipe, all in one run.

The same model file, the same start (the builder's geometry), fmax 0.02 eV/Å. The peers get mace-torch's ASE
calculator in double precision, as mscflow gives it to anybody, and their own defaults for everything else but
the limit of steps, 1500, so that a peer that needs many shows; one that has not converged by then would take
longer. Prints calls, wall time, time per call, final energy relative to ours, and the ratio of wall times.

    python benchmarks/relax.py                        # In4P(O2CH)9: some minutes
    python benchmarks/relax.py In4P In26P13 In37P20   # an hour or more: the peers are slow
    python benchmarks/relax.py --max-steps 500 In37P20
    python benchmarks/relax.py --peers LBFGS,atomate2 In26P13
    python benchmarks/relax.py --model my.model In4P  # a trusted file instead of msc-small
    python benchmarks/relax.py --quacc q/bin/python In4P

quacc's recipe for machine-learned potentials reaches models through fairchem, matcalc or rootstock, not a
MACE file; the row is what that recipe runs, ``Runner(atoms, calculator).run_opt`` with its defaults (BFGS),
in its own environment, ``python -m venv q && q/bin/pip install quacc mace-torch`` (imports and loading
the model are not counted); without ``--quacc`` the row is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase.optimize import BFGS, FIRE, LBFGS

from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.levels import MACE
from mscflow.levels.potentials.registry import require_known_file
from mscflow.tasks.relax import relax

FMAX = 0.02

Row = tuple[int, float, float, bool]
"""Force calls, wall time / s, final energy / eV, whether it converged."""

Relax = Callable[[Cluster, MACE, int], Row]
"""Relaxes a cluster at a level in at most so many steps."""

QUACC = """
import json, sys, time
from ase.io import read
from mace.calculators import MACECalculator
from quacc.runners.ase import Runner
atoms = read(sys.argv[1])
calculator = MACECalculator(model_paths=sys.argv[2], device="cpu", default_dtype="float64")
started = time.perf_counter()
run = Runner(atoms, calculator).run_opt(fmax=float(sys.argv[3]), max_steps=int(sys.argv[4]))
wall = time.perf_counter() - started
final = run.atoms.atoms if hasattr(run.atoms, "atoms") else run.atoms
largest = (final.get_forces() ** 2).sum(axis=1).max() ** 0.5
print(json.dumps([run.nsteps + 1, wall, final.get_potential_energy(), bool(largest < float(sys.argv[3]))]))
"""


def ours(cluster: Cluster, level: MACE, max_steps: int) -> Row:
    result = relax(cluster, level, fmax=FMAX, max_steps=max_steps)
    return result.n_force_calls, result.wall_time_s, result.energy, result.converged


def ase(optimizer: type) -> Relax:
    def run(cluster: Cluster, level: MACE, max_steps: int) -> Row:
        started = time.perf_counter()
        atoms = cluster.to_ase()
        atoms.calc = level.calculator(cluster)
        driver = optimizer(atoms, logfile=None)
        converged = driver.run(fmax=FMAX, steps=max_steps)
        wall = time.perf_counter() - started
        return driver.nsteps + 1, wall, float(atoms.get_potential_energy()), bool(converged)

    return run


def atomate2(cluster: Cluster, level: MACE, max_steps: int) -> Row:
    from atomate2.forcefields.jobs import ForceFieldRelaxMaker
    from jobflow import run_locally

    path = require_known_file(level.model, level.trusted_sha256)
    maker = ForceFieldRelaxMaker(
        force_field_name="MACE",
        relax_cell=False,
        steps=max_steps,
        relax_kwargs={"fmax": FMAX},
        calculator_kwargs={"model": str(path.resolve()), "default_dtype": "float64"},
    )
    job = maker.make(cluster.to_pymatgen())
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        output = run_locally(job, log=False, root_dir=directory)[job.uuid][1].output
    wall = time.perf_counter() - started
    steps = output.output.n_steps
    largest = float(np.linalg.norm(output.output.forces, axis=1).max())
    return steps, wall, float(output.output.energy), largest < FMAX


def quacc(python: str) -> Relax:
    def run(cluster: Cluster, level: MACE, max_steps: int) -> Row:
        path = require_known_file(level.model, level.trusted_sha256)
        with tempfile.TemporaryDirectory() as directory:
            start = Path(directory) / "start.xyz"
            cluster.to_ase().write(start, format="xyz")
            command = [python, "-c", QUACC, str(start), str(path.resolve()), str(FMAX), str(max_steps)]
            done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"quacc failed: {done.stderr.strip().splitlines()[-1]}")
        calls, wall, energy, converged = json.loads(done.stdout.strip().splitlines()[-1])
        return calls, wall, energy, converged

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clusters", nargs="*", default=["In4P"])
    parser.add_argument("--model", default="msc-small")
    parser.add_argument("--peers", default="LBFGS,BFGS,FIRE,atomate2,quacc")
    parser.add_argument("--max-steps", type=int, default=1500)
    parser.add_argument("--quacc", help="Python of an environment with quacc and mace-torch")
    arguments = parser.parse_args()
    level = MACE(model=arguments.model).trusting()
    peers: dict[str, Relax] = {
        "LBFGS": ase(LBFGS), "BFGS": ase(BFGS), "FIRE": ase(FIRE), "atomate2": atomate2,
    }  # fmt: skip
    if arguments.quacc:
        peers["quacc"] = quacc(arguments.quacc)
    wanted = [name for name in arguments.peers.split(",") if name in peers]
    relax(build("ZnL2"), level, fmax=1.0)  # imports and loading of the model are nobody's share
    for name in arguments.clusters:
        cluster = build(name, ligand="formate")
        print(f"{cluster.name}, {len(cluster)} atoms, {level.text}, fmax {FMAX} eV/Å")
        titles = ("calls", 6), ("wall / s", 9), ("s/call", 7), ("E − ours / meV/atom", 20), ("ratio", 6)
        print(" " * 12 + " ".join(f"{title:>{width}s}" for title, width in titles))
        mine = ours(cluster, level, arguments.max_steps)
        show("mscflow", mine, mine, len(cluster))
        for peer in wanted:
            show(peer, peers[peer](cluster, level, arguments.max_steps), mine, len(cluster))


def show(name: str, row: Row, mine: Row, n_atoms: int) -> None:
    calls, wall, energy, converged = row
    difference = 1000 * (energy - mine[2]) / n_atoms
    end = "" if converged else "   not converged"
    numbers = f"{calls:6d} {wall:9.2f} {wall / calls:7.4f} {difference:20.2f} {wall / mine[1]:6.1f}"
    print(f"  {name:10s} {numbers}{end}", flush=True)


if __name__ == "__main__":
    main()
