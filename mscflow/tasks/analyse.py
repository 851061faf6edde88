"""Everything about a structure that needs no energy: separations, coordination, binding, symmetry, rings."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from mscflow.analysis.binding import BindingMode, Coordination, binding_modes, coordination
from mscflow.analysis.rings import six_rings
from mscflow.analysis.separations import Separation, separations
from mscflow.analysis.symmetry import MIN_ATOMS, Symmetry, core_symmetry
from mscflow.chemistry import METALS
from mscflow.cluster import Cluster
from mscflow.tasks.document import Document, input_hash
from mscflow.topology import topology


class Analysis(Document):
    """Structure analysis of one cluster.

    Attributes
    ----------
    cluster
        The structure.
    of
        Where the structure comes from, e.g. ``relaxed at mace:msc-small``.
    separations, coordination, binding_modes
        The tables.
    rings
        Six-rings of the core by shape and hand.
    symmetry
        Point group and equivalent atoms of the core; None for fewer than four atoms.
    """

    cluster: Cluster
    of: str
    separations: list[Separation]
    coordination: list[Coordination]
    binding_modes: list[BindingMode]
    rings: dict[str, int] = Field(default_factory=dict)
    symmetry: Symmetry | None = None

    @property
    def core(self) -> str:
        """Symmetry and rings of the core in one sentence, empty where there is no core."""
        if self.symmetry is None:
            return ""
        kinds = Counter(self.cluster.symbols[orbit[0]] for orbit in self.symmetry.orbits)
        parts = [
            f"Core: point group {self.symmetry.point_group} within {self.symmetry.tolerance} Å"
            f"{', chiral' if self.symmetry.chiral else ''}; kinds of atoms: "
            + ", ".join(f"{n} {element}" for element, n in kinds.items())
        ]
        if self.rings:
            parts.append("six-rings: " + ", ".join(f"{n} {shape}" for shape, n in self.rings.items()))
        return "; ".join(parts)


def analyse(cluster: Cluster, of: str = "as given") -> Analysis:
    """Analyse a structure.

    Parameters
    ----------
    cluster
        The structure.
    of
        Where it comes from, for the reader.

    Returns
    -------
    Analysis
        Separations of all cation pairs, coordination, binding modes, symmetry and rings of the core.
    """
    found = topology(cluster)
    balance = found.charge_balance
    warnings = [f"charge does not balance: {balance}"] if balance.difference else []
    if found.unknown_metals:
        warnings.append(
            f"no oxidation state is known for {', '.join(found.unknown_metals)}: taken for a part of ligands "
            f"without charge; known: {', '.join(METALS)}"
        )
    return Analysis(
        input_hash=input_hash("analyse", cluster, None),
        cluster=cluster,
        of=of,
        separations=list(separations(cluster, METALS)),
        coordination=coordination(cluster),
        binding_modes=list(binding_modes(cluster)),
        rings=six_rings(cluster).counts,
        symmetry=core_symmetry(cluster) if len(found.skeleton) >= MIN_ATOMS else None,
        warnings=warnings,
    )
