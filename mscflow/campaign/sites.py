"""Whether a cluster has the sites, ions, ligands and states that a campaign asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mscflow.builder.edit import ligand_names
from mscflow.campaign.sections import ExchangeSection, ExciteSection, ReactionsSection
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.exchange import chosen_sites, require_exchange
from mscflow.tasks.excite import require_excitable
from mscflow.topology import topology


def require_ions(section: ExchangeSection, cluster: Cluster) -> None:
    """Check the sites and ions of an exchange.

    Raises
    ------
    InputError
        If one does not fit the cluster.
    """
    try:
        require_exchange(cluster, section.ions, section.sites)
    except InputError as err:
        raise InputError(f"exchange: {err}") from err


def require_sites(section: ReactionsSection, cluster: Cluster) -> None:
    """Check the sites, ligands and anions of other reactions.

    Raises
    ------
    InputError
        If the cluster does not have one.
    """
    graph = topology(cluster)
    displaced = section.displacement.sites if section.displacement else None
    for key, sites in (("binding", section.binding), ("displacement.sites", displaced)):
        if sites is None:
            continue
        try:
            found = chosen_sites(graph, sites)
        except InputError as err:
            raise InputError(f"reactions.{key}: {err}") from err
        if not found:
            raise InputError(f"reactions.{key}: the cluster has no {sites} cations")
    names = {name for name in ligand_names(cluster) if name is not None}
    _require_there(section.ligands, names, "ligands", "ligand")
    _require_there(section.anions, {cluster.symbols[i] for i in graph.core_anions}, "anions", "core anion")
    n = len(graph.ligands)
    for number in section.strip if isinstance(section.strip, tuple) else ():
        if not 0 <= number < n:
            raise InputError(
                f"reactions.strip: there is no ligand {number}: they have the numbers 0 to {n - 1}"
            )


def require_states(section: ExciteSection, cluster: Cluster) -> None:
    """Check that the cluster can be excited as wanted.

    Raises
    ------
    InputError
        If it cannot.
    """
    try:
        require_excitable(cluster, section.level, section.nstates, section.method)
    except InputError as err:
        raise InputError(f"excite: {err}") from err


def _require_there(wanted: Iterable[str], there: Collection[str], key: str, what: str) -> None:
    """Refuse names of what the cluster does not have."""
    for name in wanted:
        if name not in there:
            known = ", ".join(sorted(there)) or f"no {what} with a name"
            raise InputError(f"reactions.{key}: the cluster has no {what} {name}: it has {known}")
