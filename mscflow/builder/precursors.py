"""Free molecular precursors M(O2CR)n: the references of every exchange reaction."""

from __future__ import annotations

import numpy as np

from mscflow.builder.capped import capped
from mscflow.builder.capping import chelating
from mscflow.builder.core import Core
from mscflow.builder.ligands import Kind, ligand_template
from mscflow.chemistry import Ion, parse_ion
from mscflow.cluster import Cluster

_AXES: dict[int, tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...]] = {
    1: (((0, 0, 1), (1, 0, 0)),),
    2: (((0, 0, 1), (1, 0, 0)), ((0, 0, -1), (0, 1, 0))),
    3: tuple(
        ((float(np.cos(a)), float(np.sin(a)), 0.0), (-0.55 * float(np.sin(a)), 0.55 * float(np.cos(a)), 0.84))
        for a in (0.0, 2 * np.pi / 3, 4 * np.pi / 3)
    ),
}
"""Direction and O···O axis of each chelating ligand: linear, D2d and a D3 propeller."""


def precursor(ion: str | Ion, ligand: str = "formate") -> Cluster:
    """Build the monomeric complex of a cation with as many chelating ligands as its charge.

    Parameters
    ----------
    ion
        The cation, e.g. ``"In3+"``.
    ligand
        Name of an anionic ligand.

    Returns
    -------
    Cluster
        Neutral, in the spin state of the ion; a starting geometry, not a minimum.
    """
    ion = parse_ion(ion) if isinstance(ion, str) else ion
    template = ligand_template(ligand)
    count = str(ion.charge) if ion.charge > 1 else ""
    if template.kind is not Kind.CARBOXYLATE:
        return capped(
            Core((ion.element,), np.zeros((1, 3)), ()),
            [(template, ion.charge)],
            name=f"{ion.element}({template.formula}){count}",
            provenance={"source": "derived", "note": "monomeric complex; other isomers are not searched"},
            multiplicity=ion.multiplicity,
        )
    shells = [
        chelating(template, ion.element, np.zeros(3), np.array(out), np.array(wide))
        for out, wide in _AXES[ion.charge]
    ]
    return Cluster(
        symbols=(ion.element, *template.symbols * ion.charge),
        positions=np.vstack([np.zeros((1, 3)), *shells]),
        multiplicity=ion.multiplicity,
        name=f"{ion.element}({template.formula}){count}",
        provenance={
            "source": "derived",
            "note": "monomeric complex, every ligand chelating; coordination isomers are not searched",
        },
    )
