"""Whether the shipped model keeps In26P13(O2CH)39 together for 20 ps at 300 K, and conserves energy.

The cluster is relaxed and moved by Langevin dynamics (1 fs, friction 0.01/fs). Every picosecond a line tells
the mean temperature, the bonds of the core that are longer than 1.35 times their relaxed length, and atoms of
ligands that have left. Then it goes on without thermostat for 2 ps: a drift of the total energy would be
the share of the forces that is no gradient.

    OMP_NUM_THREADS=2 python benchmarks/dynamics.py             # half an hour
    python benchmarks/dynamics.py --model my.model --ps 2 In4P
"""

from __future__ import annotations

import argparse

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet

from mscflow import build, relax
from mscflow.analysis.trajectories import averaged_separations
from mscflow.cluster import Cluster
from mscflow.levels import MACE
from mscflow.optimize.surface import Surface
from mscflow.topology import Role, topology

TEMPERATURE = 300.0
FRICTION = 0.01 / units.fs
STRETCHED = 1.35
PER_FRAME = 50
"""Steps between two frames of the averages."""


class OnSurface(Calculator):
    """One of our surfaces as an ASE calculator."""

    implemented_properties = ("energy", "forces")

    def __init__(self, surface: Surface) -> None:
        super().__init__()
        self._surface = surface

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        """Compute energy and forces."""
        super().calculate(atoms, properties, system_changes)
        energy, forces = self._surface(self.atoms.positions)
        self.results = {"energy": energy, "forces": forces}


def lengths(positions: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[bonds[:, 0]] - positions[bonds[:, 1]], axis=1)


def n_free(cluster: Cluster, atoms: Atoms) -> int:
    graph = topology(cluster.replace(positions=atoms.positions))
    return sum(role == Role.FREE for role in graph.roles)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cluster", nargs="?", default="In26P13")
    parser.add_argument("--model", default="msc-small")
    parser.add_argument("--ps", type=int, default=20)
    arguments = parser.parse_args()
    level = MACE(model=arguments.model, dtype="float32").trusting()
    relaxed = relax(build(arguments.cluster, "formate"), level, fmax=0.05).cluster
    bonds = np.array(sorted(map(sorted, topology(relaxed).core_bonds)))
    at_rest = lengths(relaxed.positions, bonds)
    print(f"{relaxed.name}, {len(relaxed)} atoms, {level.text}")
    print(f"{len(bonds)} core bonds of {at_rest.mean():.3f} Å")

    atoms = relaxed.to_ase()
    atoms.calc = OnSurface(level.surfaces(relaxed)[0])
    rng = np.random.default_rng(0)
    thermalize_momenta(atoms, temperature_K=TEMPERATURE, rng=rng)
    dynamics = Langevin(atoms, units.fs, temperature_K=TEMPERATURE, friction=FRICTION, fixcm=False, rng=rng)
    frames: list[np.ndarray] = []
    dynamics.attach(lambda: frames.append(atoms.get_positions()), interval=PER_FRAME)
    print("| ps | T / K | energy / eV | stretched bonds | mean core bond / Å | free atoms |")
    print("|---|---|---|---|---|---|")
    for ps in range(1, arguments.ps + 1):
        temperatures = [atoms.get_temperature() for _ in dynamics.irun(1000)]
        now = lengths(atoms.positions, bonds)
        stretched = int((now > STRETCHED * at_rest).sum())
        state = f"{np.mean(temperatures):.0f} | {atoms.get_potential_energy():.2f}"
        print(f"| {ps} | {state} | {stretched} | {now.mean():.3f} | {n_free(relaxed, atoms)} |", flush=True)
    pairs = averaged_separations(relaxed, frames)
    nearest = pairs.nsmallest(5, "min")
    print(f"\nNearest cations over {len(frames)} frames:\n{nearest.to_string(float_format='%.2f')}")

    free = VelocityVerlet(atoms, units.fs)
    totals = [atoms.get_total_energy() for _ in free.irun(2000)]
    slope = np.polyfit(np.arange(len(totals)) / 1000, totals, 1)[0]
    print(
        f"\nWithout thermostat: total energy drifts by {1000 * slope / len(atoms):+.3f} meV an atom and ps, "
        f"fluctuates by {1000 * np.std(totals) / len(atoms):.3f} meV an atom"
    )


if __name__ == "__main__":
    main()
