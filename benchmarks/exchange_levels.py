"""Exchange energies of In4P(O2CH)9 at the potential, tight binding and PBE, side by side.

Every species is relaxed at the level of its column, from the reactant relaxed with tight binding and pair
potentials; PBE computes single points on the structures of the level before it. One reaction an ion: the
first site and leaving ligand.

    OMP_NUM_THREADS=2 python benchmarks/exchange_levels.py        # about a quarter of an hour
"""

from __future__ import annotations

from mscflow import build, exchange, refine, relax
from mscflow.reactions.reaction import distinct_species
from mscflow.tasks.relax import Relaxation
from mscflow.train.minima import is_damaged

IONS = ("Zn2+", "Cd2+", "Ga3+")
LEVELS = ("mace:msc-small", "gfn1-xtb", "gfn2-xtb", "gfn2-xtb+pairs")
DFT = "pbe-d3bj/def2-svp"
FMAX = 0.05


def main() -> None:
    """Print the table."""
    cluster = relax(build("In4P"), LEVELS[-1], fmax=FMAX).cluster
    reactions = [exchange(cluster, ion)[0] for ion in IONS]
    species = distinct_species(reactions)
    columns: dict[str, tuple[dict[str, float], set[str]]] = {}
    found: dict[str, Relaxation] = {}
    for level in LEVELS:
        found = {key: relax(member, level, fmax=FMAX) for key, member in species.items()}
        damaged = {key for key, result in found.items() if is_damaged(species[key], result.cluster)}
        columns[level] = {key: result.energy for key, result in found.items()}, damaged
        print(f"{level}: done", flush=True)
    energies = {key: refine(result.cluster, DFT).energy for key, result in found.items()}
    columns[f"{DFT} on {LEVELS[-1]}"] = energies, columns[LEVELS[-1]][1]
    print(f"\n| reaction | {' | '.join(columns)} |\n{'|---' * (len(columns) + 1)}|")
    for reaction in reactions:
        members = {member.hash for member, _ in reaction.species}
        cells = [
            f"{reaction.energy(of_species):+.2f}{' *' if damaged & members else ''}"
            for of_species, damaged in columns.values()
        ]
        print(f"| {reaction.label} | {' | '.join(cells)} |")
    print("\nΔE / eV. * a species lost a bond or a ligand: the energy belongs to another reaction.")


if __name__ == "__main__":
    main()
