"""Point group of a core with a tolerance, its chirality, and which of its atoms are equivalent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import topology

TOLERANCE = 0.3
"""How far / Å an atom may lie from where a symmetry operation puts another one."""

MIN_ATOMS = 4


@dataclass(frozen=True)
class Symmetry:
    """Symmetry of a core.

    Parameters
    ----------
    point_group
        Schoenflies symbol.
    tolerance
        What was allowed / Å.
    chiral
        Whether there is no reflection and no improper rotation.
    orbits
        Equivalent atoms, as indices of the cluster.
    """

    point_group: str
    tolerance: float
    chiral: bool
    orbits: tuple[tuple[int, ...], ...]

    def environments(self, cluster: Cluster, element: str) -> list[tuple[int, ...]]:
        """Return the orbits of one element, e.g. the kinds of phosphorus that ³¹P NMR could tell apart."""
        return [orbit for orbit in self.orbits if cluster.symbols[orbit[0]] == element]


def core_symmetry(cluster: Cluster, tolerance: float = TOLERANCE) -> Symmetry:
    """Return the point group of metals and core anions, by pymatgen's analyser.

    A ligand shell has hardly any symmetry at one instant; in solution it averages to that of the core at
    best. Relaxed cores need more tolerance than built ones.

    Parameters
    ----------
    cluster
        The structure.
    tolerance
        Distance / Å within which atoms count as exchanged.

    Raises
    ------
    InputError
        If there are fewer than four atoms in the core.
    """
    from pymatgen.core import Molecule
    from pymatgen.symmetry.analyzer import PointGroupAnalyzer

    core = list(topology(cluster).skeleton)
    if len(core) < MIN_ATOMS:
        raise InputError(f"{cluster.name or cluster.formula}: a core of {len(core)} atoms has no point group")
    molecule = Molecule([cluster.symbols[i] for i in core], cluster.positions[core])
    analyser = PointGroupAnalyzer(molecule, tolerance=tolerance, eigen_tolerance=0.05)
    rotations = [operation.rotation_matrix for operation in analyser.get_symmetry_operations()]
    sets = analyser.get_equivalent_atoms()["eq_sets"].values()
    orbits = sorted(tuple(sorted(core[i] for i in members)) for members in sets)
    chiral = all(np.linalg.det(rotation) > 0 for rotation in rotations)
    return Symmetry(str(analyser.get_pointgroup()), tolerance, chiral, tuple(orbits))
