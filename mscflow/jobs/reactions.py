"""Makers of reaction energies: reactions are written, each species computed once, energies collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from jobflow import Flow, Job, Maker, OnMissing, Response, job

from mscflow.cluster import Cluster
from mscflow.errors import CalculationError, InputError
from mscflow.jobs.calculations import RelaxMaker, VibrateMaker, named
from mscflow.levels import Level, parse_level
from mscflow.levels.text import FALLBACK
from mscflow.reactions.energies import ReactionEnergies, collect, merged_energies
from mscflow.reactions.exchange import Search, Sites, Symmetry, exchange, exchanges, n_exchanges, no_exchange
from mscflow.reactions.reaction import Reaction, distinct_species
from mscflow.reactions.reactivity import reactions_of
from mscflow.tasks.relax import Relaxation


@dataclass
class EnergyMaker(Maker):
    """How the Makers of reaction energies compute species.

    Parameters
    ----------
    name
        Name of the job.
    relax_maker
        Relaxes every species: any Maker with a ``level`` whose output has the fields of a `Relaxation`.
    refine_maker
        If given, energies are those of this Maker on the relaxed species.
    temperature
        If given, vibrations of every species at the level of `relax_maker` give Gibbs energies at it / K.
    best
        If given, only so many reactions of each kind and ion, the lowest by `relax_maker`, go on to
        `refine_maker`.
    fallback
        Level of all species of a reaction of which one cannot be represented by that of `relax_maker`; None:
        such a reaction fails.
    """

    name: str = "reactions"
    relax_maker: Maker = field(default_factory=RelaxMaker)
    refine_maker: Maker | None = None
    temperature: float | None = None
    best: int | None = None
    fallback: str | Level | None = FALLBACK


@dataclass
class ReactionsMaker(EnergyMaker):
    """Energies of given reactions, every distinct species computed once; fields of `EnergyMaker`."""

    @job
    def make(self, reactions: list[Reaction]) -> Response:
        """Add one job per distinct species, and one that collects the `ReactionEnergies`."""
        return _replaced(self, reactions, {})


@dataclass
class ExchangeMaker(EnergyMaker):
    """Exchange energies of several ions, every distinct species computed once.

    Parameters
    ----------
    name
        Name of the job.
    ions
        Incoming cations, e.g. ``("Zn2+", "Ga3+")``.
    sites
        ``"surface"``, ``"core"``, ``"all"`` or atom indices.
    symmetry
        Placements that a symmetry of the ``"cluster"``, or of its ``"core"`` alone, maps onto each other are
        computed once.
    search
        Which ligands leave with a single ion of lower charge: ``"all"``, each choice among those of the site,
        or ``"nearest"``; with several ions always the nearest.
    n
        Largest number of ions exchanged at a time.
    limit
        Placements of each number above one that are computed at most, in the order in which they are found.
    relax_maker, refine_maker, temperature, best, fallback
        See `EnergyMaker`.
    """

    name: str = "exchange"
    ions: Sequence[str] = ("Zn2+",)
    sites: Sites = "surface"
    symmetry: Symmetry = "cluster"
    search: Search = "all"
    n: int = 1
    limit: int = 20

    @job
    def make(
        self,
        cluster: Cluster | None,
        relaxation: Relaxation | None = None,
        others: Sequence[Relaxation | None] = (),
    ) -> Response:
        """Enumerate the reactions of a relaxed cluster and add one job per distinct species.

        Parameters
        ----------
        cluster
            The reactant; None where its relaxation failed.
        relaxation
            Its own result at the level of `relax_maker`; without it the reactant is computed as well.
        others
            The same cluster with other arrangements of its ligands, relaxed; None where that failed.

        Raises
        ------
        CalculationError
            If there is no reactant.
        InputError
            If no reaction can be written.
        """
        if cluster is None:
            raise CalculationError("the cluster could not be relaxed: see the job that failed")
        relaxed = {number: found for number, found in enumerate(others, start=2) if found is not None}
        known = {found.cluster.hash: found for found in relaxed.values()}
        if relaxation is not None:
            known[cluster.hash] = relaxation
        reactions: list[Reaction] = []
        left_out: list[str] = []
        reactants = {1: cluster, **{n: _numbered(found.cluster, n) for n, found in relaxed.items()}}
        for number, reactant in reactants.items():
            for ion in self.ions:
                try:
                    found, left = self._reactions(reactant, ion)
                except InputError as err:
                    if not relaxed:
                        raise
                    left_out.append(f"arrangement {number}, {ion}: {err}")
                    continue
                reactions += [_of_arrangement(r, number) for r in found] if relaxed else found
                left_out += left
        if left_out and not reactions:
            raise InputError("; ".join(left_out))
        return _replaced(self, reactions, known, left_out)

    def _reactions(self, cluster: Cluster, ion: str) -> tuple[list[Reaction], list[str]]:
        """Return the reactions of one ion, and what was left out."""
        reactions = exchange(cluster, ion, self.sites, self.symmetry, self.search)
        left_out = [] if reactions else [no_exchange(ion, self.sites)]
        for n in range(2, self.n + 1):
            reactions += islice(exchanges(cluster, ion, n, self.sites, self.symmetry), self.limit)
            count = n_exchanges(cluster, ion, n, self.sites, self.symmetry)
            if count > self.limit:
                left_out.append(f"{n} {ion}: {self.limit} of {count} placements were computed")
        return reactions, left_out


def _numbered(cluster: Cluster, number: int) -> Cluster:
    """Return a reactant whose name, and those of its products, say which arrangement of ligands it has."""
    return cluster.replace(name=f"{cluster.name or cluster.formula} (arrangement {number})")


def _of_arrangement(reaction: Reaction, number: int) -> Reaction:
    """Return the reaction with the number of the reactant's arrangement of ligands in label and tags."""
    return replace(
        reaction,
        label=f"arrangement {number}: {reaction.label}",
        tags={**reaction.tags, "arrangement": number},
    )


@dataclass
class ReactivityMaker(EnergyMaker):
    """Energies of what a cluster may do beside cation exchange; see `mscflow.reactions.reactivity`.

    Parameters
    ----------
    name
        Name of the job.
    wanted
        Arguments of `mscflow.reactions.reactivity.reactions_of`.
    relax_maker, refine_maker, temperature, best, fallback
        See `EnergyMaker`.
    """

    wanted: Mapping[str, Any] = field(default_factory=dict)

    @job
    def make(self, cluster: Cluster, relaxation: Relaxation | None = None) -> Response:
        """Write the reactions of a relaxed cluster and add one job per distinct species.

        Parameters
        ----------
        cluster, relaxation
            See `ExchangeMaker.make`.
        """
        reactions, refused = reactions_of(cluster, **self.wanted)
        return _replaced(self, reactions, {cluster.hash: relaxation} if relaxation else {}, refused)


def _replaced(
    maker: EnergyMaker,
    reactions: list[Reaction],
    known: Mapping[str, Relaxation],
    refused: Sequence[str] = (),
) -> Response:
    """Replace a maker's job by the flow of the reactions it wrote; species in `known` are not relaxed again.

    Reactions with a species that the level cannot represent are computed at the fallback, as a whole.
    """
    reasons = _uncovered(reactions, maker.relax_maker) if maker.fallback is not None else {}
    covered = [reaction for n, reaction in enumerate(reactions) if n not in reasons]
    settings: dict[str, Any] = {"temperature": maker.temperature, "best": maker.best}
    own = (maker.relax_maker, maker.refine_maker)
    if not reasons:
        return Response(
            replace=reactions_flow(reactions, *own, maker.name, known=known, refused=refused, **settings)
        )
    other = replace(maker.relax_maker, level=maker.fallback)
    text = parse_level(other.level).text
    notes = [f"{reason}: {text} for its reactions" for reason in dict.fromkeys(reasons.values())]
    rest = [reactions[n] for n in reasons]
    flows = []
    if covered:
        usual = parse_level(maker.relax_maker.level).text
        flows.append(reactions_flow(covered, *own, f"at {usual}", known, **settings))
    flows.append(
        reactions_flow(rest, other, maker.refine_maker, f"at {text}", refused=[*refused, *notes], **settings)
    )
    merged = merge_energies([flow.output for flow in flows])
    merged.name = f"{maker.name} energies"
    merged.config.on_missing_references = OnMissing.NONE
    return Response(replace=Flow([*flows, merged], output=merged.output, name=maker.name))


def _uncovered(reactions: Sequence[Reaction], relax_maker: Maker) -> dict[int, str]:
    """Return the numbers of reactions with a species that the level cannot represent, and why."""
    if not isinstance(relax_maker, RelaxMaker):
        return {}
    level = parse_level(relax_maker.level)
    refusals: dict[str, str] = {}
    found: dict[int, str] = {}
    for n, reaction in enumerate(reactions):
        for member, _ in reaction.species:
            if member.hash not in refusals:
                refusals[member.hash] = level.refusal(member)
            if refusals[member.hash]:
                found.setdefault(n, refusals[member.hash])
    return found


@job(output_schema=ReactionEnergies)
def merge_energies(documents: list[ReactionEnergies | None]) -> ReactionEnergies:
    """Return one document of reactions at several levels, each reaction at one."""
    return merged_energies([document for document in documents if document is not None])


def reactions_flow(
    reactions: list[Reaction],
    relax_maker: Maker,
    refine_maker: Maker | None = None,
    name: str = "reactions",
    known: Mapping[str, Relaxation] | None = None,
    refused: Sequence[str] = (),
    temperature: float | None = None,
    best: int | None = None,
) -> Flow:
    """Return the flow that computes every distinct species of reactions once, and collects their energies.

    Parameters
    ----------
    reactions
        Balanced reactions.
    relax_maker, refine_maker, temperature, best
        See `EnergyMaker`.
    name
        Name of the flow.
    known
        Species that have been relaxed by `relax_maker`, by their `Cluster.hash`.
    refused
        Reactions that could not be written, and why.
    """
    species = distinct_species(reactions)
    jobs: list[Job] = []
    results: dict[str, Any] = {}
    vibrations: dict[str, Any] = {}
    level = relax_maker.level
    for key, member in species.items():
        relaxed = member
        if known and key in known:
            results[key] = known[key]
        else:
            jobs.append(named(relax_maker, member))
            results[key] = jobs[-1].output
            relaxed = jobs[-1].output.cluster
        if temperature is not None:
            jobs.append(named(VibrateMaker(level=level), member, relaxed))
            vibrations[key] = jobs[-1].output
        if refine_maker is not None and best is None:
            jobs.append(named(refine_maker, member, relaxed))
            results[key] = jobs[-1].output
    summary = _summary(name, reactions, results, parse_level(level).text, refused, vibrations, temperature)
    if refine_maker is None or best is None:
        return Flow([*jobs, summary], output=summary.output, name=name)
    summary.name = f"{name} screening"
    funnel = refine_best(reactions, results, vibrations, summary.output, refine_maker, best, name)
    funnel.name = f"{name} best {best}"
    funnel.config.on_missing_references = OnMissing.NONE
    return Flow([*jobs, summary, funnel], output=funnel.output, name=name)


def _summary(
    name: str,
    reactions: list[Reaction],
    results: Mapping[str, Any],
    geometry_level: str,
    refused: Sequence[str],
    vibrations: Mapping[str, Any],
    temperature: float | None,
) -> Job:
    """Return the job that collects energies from the species that could be computed."""
    made = collect_energies(
        reactions, dict(results), geometry_level, list(refused), dict(vibrations), temperature
    )
    made.name = f"{name} energies"
    made.config.on_missing_references = OnMissing.NONE
    return made


@job
def refine_best(
    reactions: list[Reaction],
    relaxations: dict[str, Any],
    vibrations: dict[str, Any],
    screening: ReactionEnergies | None,
    refine_maker: Maker,
    best: int,
    name: str,
) -> Response:
    """Add jobs that refine the species of the `best` reactions of each kind and ion, and one that collects.

    Parameters
    ----------
    reactions
        All reactions.
    relaxations, vibrations
        Documents of their species, by the hash of the start structure.
    screening
        Energies by which they are ranked, counted from the lowest reactant; None where no reaction has one.
    refine_maker
        Refines the relaxed species.
    best
        How many of each kind and ion.
    name
        Name of the job that collects.

    Raises
    ------
    CalculationError
        If there is no screening.
    """
    if screening is None:
        raise CalculationError("no species of the reactions could be computed: see the jobs that failed")
    order = {(row.group, row.label): rank for rank, row in enumerate(screening.reactions)}
    groups: dict[str, list[Reaction]] = {}
    for reaction in reactions:
        group = reaction.tags.get("kind") or reaction.tags.get("ion", "")
        if (group, reaction.label) in order:
            groups.setdefault(group, []).append(reaction)
    chosen, left_out = [], list(screening.failed)
    for group, members in groups.items():
        members.sort(key=lambda reaction: order[group, reaction.label])
        chosen += members[:best]
        if len(members) > best:
            left_out.append(
                f"{group}: the best {best} of {len(members)} at {screening.energy_level} were refined"
            )
    species = distinct_species(chosen)
    jobs = {key: named(refine_maker, member, relaxations[key].cluster) for key, member in species.items()}
    results = {key: made.output for key, made in jobs.items()}
    kept = {
        key: found.model_copy(update={"displacements": None})  # they would outgrow the job
        for key in species
        if (found := vibrations.get(key)) is not None
    }
    summary = _summary(name, chosen, results, screening.geometry_level, left_out, kept, screening.temperature)
    return Response(replace=Flow([*jobs.values(), summary], output=summary.output, name=name))


@job(output_schema=ReactionEnergies)
def collect_energies(
    reactions: list[Reaction],
    results: dict[str, Any],
    geometry_level: str,
    refused: list[str],
    vibrations: dict[str, Any],
    temperature: float | None,
) -> ReactionEnergies:
    """Return the `ReactionEnergies` of reactions from the results of their species."""
    return collect(reactions, results, geometry_level, refused, vibrations, temperature)
