"""The structure a campaign starts from, checked and described."""

from __future__ import annotations

from mscflow.cluster import Cluster
from mscflow.tasks.document import Document, input_hash
from mscflow.topology import topology


class StructureDocument(Document):
    """A start structure.

    Attributes
    ----------
    cluster
        The structure.
    charge_balance
        Oxidation states against charge, in words.
    """

    cluster: Cluster
    charge_balance: str


def describe(cluster: Cluster) -> StructureDocument:
    """Return the document of a start structure; an unbalanced charge is a warning."""
    balance = topology(cluster).charge_balance
    return StructureDocument(
        input_hash=input_hash("structure", cluster, None),
        cluster=cluster,
        charge_balance=str(balance),
        warnings=[f"charge does not balance: {balance}"] if balance.difference else [],
    )
