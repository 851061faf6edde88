"""Cations that leave as complexes: binding energies and displacement by neutral ligands.

A cation never leaves alone. In is bound by the energy of cluster → rest + In(O2CR)3; an amine displaces it as
In(O2CR)3·(amine)n (Anderson et al., J. Am. Chem. Soc. 2013, 135, 18536, for CdSe).
"""

from __future__ import annotations

from collections import Counter

from mscflow.builder.edit import complex_ligands, ligand_name, remove_complex
from mscflow.builder.fragments import fragment
from mscflow.builder.ligands import ligand_template
from mscflow.builder.precursors import precursor
from mscflow.chemistry import usual_ion
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.reactions.reaction import Reaction
from mscflow.topology import topology


def binding(cluster: Cluster, site: int) -> Reaction:
    """Return the loss of the cation at a site as its complex: the reaction energy is its binding energy.

    Parameters
    ----------
    cluster
        The reactant; the rest starts from its geometry, the complex from the builder's.
    site
        Index of the cation. Its own ligands leave with it, those that bind nothing else first, neutral ones
        too.

    Raises
    ------
    InputError
        If the site is no cation, or ligands of different kinds would leave with it.
    """
    rest, ion, ligand, neutral = _vacancy(cluster, site)
    leaving = fragment(cluster.symbols[site], ligand, neutral) if neutral else precursor(ion, ligand)
    return Reaction(
        species=((cluster, -1), (rest, 1), (leaving, 1)),
        label=f"{cluster.symbols[site]} {site} leaves as {leaving.name}",
        site=site,
        tags={"kind": "binding", "ion": ion, "ligand": ligand},
    )


def displacement(cluster: Cluster, site: int, neutral: str, n: int = 1) -> Reaction:
    """Return the displacement of the complex at a site by neutral ligands, e.g. two methylamines.

    Parameters
    ----------
    cluster, site
        See `binding`.
    neutral
        Name or SMILES of a neutral ligand.
    n
        Number of them in the complex that leaves, beside neutral ligands that the cation has already.

    Raises
    ------
    InputError
        See `binding`; or if the ligand is not neutral, or `n` of them have no room.
    """
    template = ligand_template(neutral)
    if template.charge:
        raise InputError(f"{neutral!r} has charge {template.charge:+d}: only neutral ligands displace")
    if n < 1:
        raise InputError(f"n must be at least 1, not {n}")
    rest, ion, ligand, own = _vacancy(cluster, site)
    symbol = cluster.symbols[site]
    leaving = fragment(symbol, ligand, Counter(own) + Counter({template.name: n}))
    free = Cluster(template.symbols, template.positions, name=template.formula)
    return Reaction(
        species=((cluster, -1), (free, -n), (rest, 1), (leaving, 1)),
        label=f"{symbol} {site} leaves as {leaving.name}",
        site=site,
        tags={
            "kind": f"displacement by {template.name}",
            "ion": ion,
            "ligand": ligand,
            "neutral": template.name,
            "n": n,
        },
    )


def _vacancy(cluster: Cluster, site: int) -> tuple[Cluster, str, str, dict[str, int]]:
    """Return the cluster without the complex at a site, the cation, its anion's name and neutral ligands."""
    rest, unit = remove_complex(cluster, site)
    graph = topology(cluster)
    ligands = complex_ligands(graph, site)
    named = [(ligand_name(graph, ligand), ligand.charge) for ligand in ligands]
    names = {name for name, charge in named if charge}
    neutral = Counter(name for name, charge in named if name and not charge)
    if len(names) != 1 or any(name is None for name, _ in named):
        formulas = sorted({ligand.formula for ligand in ligands})
        raise InputError(
            f"{cluster.symbols[site]} (atom {site}) would leave with {', '.join(formulas)}: "
            "the reference complex needs known ligands, its anions of one kind"
        )
    label = f"{cluster.name or cluster.formula} −{unit.formula}({site})"
    ion = usual_ion(cluster.symbols[site])
    return rest.replace(name=label), str(ion), str(names.pop()), dict(neutral)
