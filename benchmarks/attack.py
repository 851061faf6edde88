"""Whether a level lets the phosphide of In4P(O2CH)9 take an oxygen from a formate: forces where that begins.

Each tight-binding method descends from the builder's geometries; at the first ones with an oxygen nearer to
phosphorus than 2.6 and 2.2 Å all levels say how they push the two apart (positive) or pull them together. The
end of each descent has a row of its own.

    OMP_NUM_THREADS=2 python benchmarks/attack.py        # some minutes for each row with forces
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ase.optimize import LBFGS

from mscflow import build
from mscflow.cluster import Cluster
from mscflow.levels import Level, PySCF, parse_level
from mscflow.tasks.relax import bond_changes

DESCENTS: dict[str, Sequence[int]] = {
    "gfn1-xtb": range(3),
    "gfn2-xtb": range(3),
    "gfn2-xtb+pairs": range(6),
}
"""Level that descends, seeds of the builder."""

DISTANCES = (2.6, 2.2)
REFERENCE = PySCF(xc="pbe", basis="def2-svp", dispersion="d3bj", grid=1)
LEVELS: tuple[Level, ...] = (
    *(parse_level(text) for text in ("gfn1-xtb", "gfn2-xtb", "gfn2-xtb+pairs")),
    REFERENCE,
)


def descent(level: Level, start: Cluster) -> Iterator[tuple[Cluster, str]]:
    """Yield the first geometries with an oxygen nearer than each of `DISTANCES`; the last with what it is."""
    atoms = start.to_ase()
    atoms.calc = level.calculator(start)
    first, wanted, found = atoms.get_potential_energy(), list(DISTANCES), start
    for _ in LBFGS(atoms, logfile=None, maxstep=0.05).irun(fmax=0.05, steps=1000):
        found = start.replace(positions=atoms.get_positions())
        if wanted and nearest_oxygen(found)[1] < wanted[0]:
            wanted.pop(0)
            yield found, ""
    change = atoms.get_potential_energy() - first
    yield found, f"end, {change:+.1f} eV: {'; '.join(bond_changes(start, found)) or 'all bonds'}"


def nearest_oxygen(cluster: Cluster) -> tuple[int, float]:
    """Return the oxygen nearest to phosphorus, and its distance / Å."""
    phosphorus = cluster.symbols.index("P")
    oxygens = [i for i, symbol in enumerate(cluster.symbols) if symbol == "O"]
    distances = np.linalg.norm(cluster.positions[oxygens] - cluster.positions[phosphorus], axis=1)
    return oxygens[int(distances.argmin())], float(distances.min())


def push(cluster: Cluster, level: Level) -> float:
    """Return half the difference of the forces on oxygen and phosphorus along their line / eV/Å."""
    atoms = cluster.to_ase()
    atoms.calc = level.calculator(cluster)
    oxygen, phosphorus = nearest_oxygen(cluster)[0], cluster.symbols.index("P")
    line = cluster.positions[oxygen] - cluster.positions[phosphorus]
    forces = atoms.get_forces()
    return float((forces[oxygen] - forces[phosphorus]) @ line / np.linalg.norm(line)) / 2


def main() -> None:
    """Print one row per geometry."""
    print("| descent | P–O / Å | " + " | ".join(level.text for level in LEVELS) + " |")
    print("|---|---|" + "---|" * len(LEVELS))
    for text, seed in ((text, seed) for text, seeds in DESCENTS.items() for seed in seeds):
        for cluster, end in descent(parse_level(text), build("In4P", seed=seed)):
            cells = end or " | ".join(f"{push(cluster, level):+.2f}" for level in LEVELS)
            print(f"| {text}, seed {seed} | {nearest_oxygen(cluster)[1]:.2f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
