"""What a cluster may do beside cation exchange, as one list of reactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.exchange import Sites, chosen_sites
from mscflow.reactions.ligands import anion_exchange, ligand_exchange, strip
from mscflow.reactions.reaction import Reaction
from mscflow.reactions.removal import binding, displacement
from mscflow.topology import topology

Numbers = Literal["all"] | Iterable[int]


def reactions_of(
    cluster: Cluster,
    *,
    bound: Sites | None = None,
    displaced: Sites | None = None,
    neutral: str = "methylamine",
    n_neutral: int = 1,
    ligands: Mapping[str, str] | None = None,
    anions: Mapping[str, str] | None = None,
    stripped: Numbers | None = None,
) -> tuple[list[Reaction], list[str]]:
    """Return the reactions that are asked for, and why single ones of a list cannot be written.

    Parameters
    ----------
    cluster
        The reactant.
    bound
        Sites whose cations leave as complexes; see `mscflow.reactions.removal.binding`.
    displaced, neutral, n_neutral
        Sites whose complexes are displaced by neutral ligands, the ligand and its number.
    ligands, anions
        Old → new; see `mscflow.reactions.ligands`.
    stripped
        Numbers of the carboxylates that P(SiMe3)3 takes, one reaction each, or ``"all"``.

    Returns
    -------
    tuple
        Reactions, each with its kind in the tags, and one line for each that is impossible.

    Raises
    ------
    InputError
        If none of them is possible.
    """
    graph = topology(cluster)
    by_amine = f"displacement by {n_neutral if n_neutral > 1 else ''}{neutral}"
    numbers = range(len(graph.ligands)) if stripped == "all" else [int(k) for k in stripped or ()]
    leaving, displacing = (
        chosen_sites(graph, sites) if sites is not None else [] for sites in (bound, displaced)
    )
    wanted: list[tuple[str, str, Callable[[], Reaction]]] = [
        *(("binding", f"site {i}", partial(binding, cluster, i)) for i in leaving),
        *((by_amine, f"site {i}", partial(displacement, cluster, i, neutral, n_neutral)) for i in displacing),
        *(("P(SiMe3)3 takes a carboxylate", f"ligand {k}", partial(strip, cluster, k)) for k in numbers),
    ]
    if ligands:
        wanted.append(("ligand exchange", str(dict(ligands)), partial(ligand_exchange, cluster, ligands)))
    if anions:
        wanted.append(("anion exchange", str(dict(anions)), partial(anion_exchange, cluster, anions)))
    found, refused = [], []
    for kind, what, make in wanted:
        try:
            reaction = make()
            found.append(replace(reaction, tags={**reaction.tags, "kind": kind}))
        except InputError as err:
            refused.append(f"{kind}, {what}: {err}")
    if wanted and not found:
        raise InputError("; ".join(refused))
    return found, refused
