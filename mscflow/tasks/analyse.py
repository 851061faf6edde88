"""Everything about a structure that needs no energy: separations, coordination, binding modes."""

from __future__ import annotations

from mscflow.analysis.binding import BindingMode, Coordination, binding_modes, coordination
from mscflow.analysis.separations import Separation, separations
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
    """

    cluster: Cluster
    of: str
    separations: list[Separation]
    coordination: list[Coordination]
    binding_modes: list[BindingMode]


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
        Separations of all cation pairs, coordination and binding modes.
    """
    balance = topology(cluster).charge_balance
    return Analysis(
        input_hash=input_hash("analyse", cluster, None),
        cluster=cluster,
        of=of,
        separations=list(separations(cluster, METALS)),
        coordination=coordination(cluster),
        binding_modes=list(binding_modes(cluster)),
        warnings=[f"charge does not balance: {balance}"] if balance.difference else [],
    )
