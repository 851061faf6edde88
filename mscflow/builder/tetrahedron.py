"""In4P(O2CR)9: one anion in four cations, the smallest honest model of a ligand-capped cluster."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from mscflow.builder.capping import bridging, chelating
from mscflow.builder.core import Core
from mscflow.builder.ligands import ligand_template
from mscflow.chemistry import covalent_radius
from mscflow.cluster import Cluster

_CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
METAL_ANION_STRETCH = 1.03


_TILT = 0.6
"""Two ligands that chelate one corner lean this far apart (tangent of the angle)."""

ALL_EDGES = tuple(combinations(range(4), 2))


def tetrahedral_core(cation: str = "In", anion: str = "P") -> Core:
    """Build M4E: one anion in a regular tetrahedron of cations."""
    bond = METAL_ANION_STRETCH * (covalent_radius(cation) + covalent_radius(anion))
    positions = np.vstack([np.zeros((1, 3)), bond * _CORNERS])
    return Core((anion, *[cation] * 4), positions, tuple((0, i) for i in range(1, 5)))


def capped_tetrahedron(
    cation: str = "In",
    anion: str = "P",
    ligand: str = "formate",
    bridged: Sequence[tuple[int, int]] = ALL_EDGES,
    chelated: Sequence[int] = (1, 2, 3),
) -> Cluster:
    """Build M4E(O2CR)9 from bridged edges and chelated corners.

    The count follows from charge: 4 M(3+) + E(3-) need nine carboxylates.

    Parameters
    ----------
    cation, anion
        Elements of the corners (3+) and the centre (3-).
    ligand
        Name of a carboxylate.
    bridged
        Edges (pairs of corners 0 to 3) with a bridging carboxylate.
    chelated
        Corners with a chelating carboxylate; a corner may occur twice.

    Returns
    -------
    Cluster
        Neutral singlet; a starting geometry, to be relaxed.
    """
    template = ligand_template(ligand)
    bond = METAL_ANION_STRETCH * (covalent_radius(cation) + covalent_radius(anion))
    corners = bond * _CORNERS
    shells = [
        bridging(template, (cation, cation), (corners[i], corners[j]), corners[i] + corners[j])
        for i, j in bridged
    ]
    for n, corner in enumerate(chelated):
        out = _CORNERS[corner]
        tangent = np.cross(out, _CORNERS[(corner + 1) % 4])
        twins = [m for m, other in enumerate(chelated) if other == corner]
        lean = 0.0 if len(twins) == 1 else _TILT * (1 if twins[0] == n else -1)
        wide = np.cross(out, tangent) if lean else tangent
        shells.append(chelating(template, cation, corners[corner], out + lean * tangent, wide))
    return Cluster(
        symbols=(anion, *[cation] * 4, *template.symbols * len(shells)),
        positions=np.vstack([np.zeros((1, 3)), corners, *shells]),
        name=f"{cation}4{anion}({template.formula}){len(shells)}",
        provenance={
            "source": "derived",
            "note": "ideal tetrahedron with bridging and chelating carboxylates; not a crystal structure",
        },
    )
