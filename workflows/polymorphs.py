"""Pseudo-wurtzite Cd21Se20 against the zincblende tetrahedron Cd35Se20: what turns one into the other.

Run it with ``python workflows/polymorphs.py``; the results lie in ``runs/polymorphs``. The equation follows
from the reservoirs by integer programming. Tight binding takes a day or more: msc-small opens the corners of
Cd35Se20 (its card). Formate and methylamine stand for benzoate and butylamine; put the native ligands in for
the real thing.
"""

import mscflow
from mscflow.builder import precursor
from mscflow.builder.molecules import free_ligand
from mscflow.jobs import ReactionsMaker, RelaxMaker
from mscflow.reactions.reaction import Reaction

LIGANDS = ["formate", "methylamine"]


def growth() -> Reaction:
    """Return the reaction that makes the tetrahedron with a cadmium carboxylate."""
    wurtzite, zincblende = (mscflow.build(name, ligand=LIGANDS) for name in ("Cd21Se20", "Cd35Se20"))
    reservoirs = [precursor("Cd2+", "formate"), free_ligand("methylamine")]
    return mscflow.interconversion(wurtzite, zincblende, reservoirs)


if __name__ == "__main__":
    relax = RelaxMaker(level="gfn2-xtb", fmax=0.05)
    mscflow.run(ReactionsMaker(name="polymorphs", relax_maker=relax).make([growth()]), dir="runs/polymorphs")
