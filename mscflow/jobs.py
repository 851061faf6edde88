"""Makers: each gives a task of `mscflow.tasks` a name and turns it into a jobflow job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from jobflow import Flow, Job, Maker, OnMissing, Response, job

from mscflow.analysis.spectra import MeasuredSpectrum
from mscflow.cluster import Cluster
from mscflow.levels import Level, parse_level
from mscflow.levels.hessian import HessianMethod
from mscflow.reactions.energies import ReactionEnergies, collect
from mscflow.reactions.exchange import Sites, exchange, exchanges, n_exchanges
from mscflow.reactions.reaction import Reaction
from mscflow.reactions.reactivity import reactions_of
from mscflow.tasks.analyse import Analysis, analyse
from mscflow.tasks.checkpoint import kept_state
from mscflow.tasks.excite import Excitations, Method, excite
from mscflow.tasks.refine import Refinement, refine
from mscflow.tasks.relax import Fixed, Relaxation, fixed_atoms, relax
from mscflow.tasks.structure import StructureDocument, describe
from mscflow.tasks.vibrate import Vibrations, vibrate

STEPS_PER_ATOM = 3
"""Relaxation steps per atom that a soft ligand shell needs, measured on In4P(O2CH)9 (for estimates only)."""

CALLS_PER_VIBRATING_ATOM = 6
"""Energies and gradients of a Hessian, per atom (for estimates only; a network needs about half)."""

EXCITE_PER_ENERGY = 2
"""Time of the excited states in units of an energy and gradient (for estimates only)."""


@dataclass
class StructureMaker(Maker):
    """Check and describe a start structure."""

    name: str = "structure"

    @job(output_schema=StructureDocument)
    def make(self, cluster: Cluster) -> StructureDocument:
        """Return the `StructureDocument` of a cluster."""
        return describe(cluster)


@dataclass
class RelaxMaker(Maker):
    """Relax a cluster; see `mscflow.tasks.relax.relax`."""

    name: str = "relax"
    level: str | Level = "mace:msc-small"
    fmax: float = 0.02
    max_steps: int = 1000
    fixed: Fixed = None

    def estimate_s(self, cluster: Cluster) -> float:
        """Return the rough wall time / s."""
        return STEPS_PER_ATOM * len(cluster) * parse_level(self.level).estimate(cluster).time_s

    @job(output_schema=Relaxation)
    def make(self, cluster: Cluster) -> Relaxation:
        """Return the `Relaxation` of a cluster; run again in the same directory, it goes on."""
        level, fixed = parse_level(self.level), fixed_atoms(cluster, self.fixed)
        with kept_state("relax", cluster, level, fixed=fixed) as path:
            return relax(cluster, level, self.fmax, self.max_steps, fixed, state_file=path)


@dataclass
class RefineMaker(Maker):
    """DFT single point or a few geometry steps; see `mscflow.tasks.refine.refine`."""

    name: str = "refine"
    level: str | Level = "pbe-d3bj/def2-svp"
    n_steps: int = 0
    fmax: float = 0.05
    hessian: str | Level | None = "mace:msc-small"

    def estimate_s(self, cluster: Cluster) -> float:
        """Return the rough wall time / s."""
        return (1 + self.n_steps) * parse_level(self.level).estimate(cluster).time_s

    @job(output_schema=Refinement)
    def make(self, cluster: Cluster) -> Refinement:
        """Return the `Refinement` of a cluster; run again in the same directory, it goes on."""
        level = parse_level(self.level)
        with kept_state("refine", cluster, level) as path:
            return refine(cluster, level, self.n_steps, self.fmax, state_file=path, hessian=self.hessian)


@dataclass
class AnalyseMaker(Maker):
    """Separations, coordination, binding modes; see `mscflow.tasks.analyse.analyse`."""

    name: str = "analyse"
    of: str = "as given"

    @job(output_schema=Analysis)
    def make(self, cluster: Cluster) -> Analysis:
        """Return the `Analysis` of a cluster."""
        return analyse(cluster, of=self.of)


@dataclass
class ExciteMaker(Maker):
    """Vertical singlet excitations; see `mscflow.tasks.excite.excite`."""

    name: str = "excite"
    level: str | Level = "pbe/def2-svp"
    nstates: int = 10
    method: Method = "tda"
    measured: MeasuredSpectrum | None = None

    def estimate_s(self, cluster: Cluster) -> float:
        """Return the rough wall time / s."""
        factor = 1.0 if self.method.endswith("ris") else EXCITE_PER_ENERGY
        return factor * parse_level(self.level).estimate(cluster).time_s

    @job(output_schema=Excitations)
    def make(self, cluster: Cluster) -> Excitations:
        """Return the `Excitations` of a cluster; run again in the same directory, it goes on."""
        level = parse_level(self.level)
        with kept_state("excite", cluster, level) as path:
            return excite(cluster, level, self.nstates, self.method, state_file=path, measured=self.measured)


@dataclass
class VibrateMaker(Maker):
    """Harmonic vibrations; see `mscflow.tasks.vibrate.vibrate`. Displacements go to the data store."""

    name: str = "vibrate"
    level: str | Level = "mace:msc-small"
    method: HessianMethod | None = None
    fmax: float = 0.05

    def estimate_s(self, cluster: Cluster) -> float:
        """Return the rough wall time / s."""
        return CALLS_PER_VIBRATING_ATOM * len(cluster) * parse_level(self.level).estimate(cluster).time_s

    @job(output_schema=Vibrations, data="displacements")
    def make(self, cluster: Cluster) -> Vibrations:
        """Return the `Vibrations` of a cluster."""
        return vibrate(cluster, self.level, method=self.method, fmax=self.fmax)


@dataclass
class ReactionsMaker(Maker):
    """Energies of given reactions, every distinct species computed once.

    Parameters
    ----------
    name
        Name of the job.
    relax_maker
        Relaxes every species; any Maker whose output has ``cluster`` and ``energy`` will do.
    refine_maker
        If given, energies are those of this Maker on the relaxed species.
    temperature
        If given, vibrations of every species at the level of `relax_maker` give Gibbs energies at it / K.
    best
        If given, only so many reactions of each kind and ion, the lowest by `relax_maker`, go on to
        `refine_maker`.
    """

    name: str = "reactions"
    relax_maker: Maker = field(default_factory=RelaxMaker)
    refine_maker: Maker | None = None
    temperature: float | None = None
    best: int | None = None

    @job
    def make(self, reactions: list[Reaction]) -> Response:
        """Add one job per distinct species, and one that collects the `ReactionEnergies`."""
        return _replaced(self, reactions)


@dataclass
class ExchangeMaker(Maker):
    """Exchange energies of several ions, every distinct species computed once.

    Parameters
    ----------
    name
        Name of the job.
    ions
        Incoming cations, e.g. ``("Zn2+", "Ga3+")``.
    sites
        ``"surface"``, ``"core"``, ``"all"`` or atom indices.
    n
        Largest number of ions exchanged at a time.
    limit
        Placements of each number above one that are computed at most, in the order in which they are found.
    relax_maker, refine_maker, temperature, best
        See `ReactionsMaker`.
    """

    name: str = "exchange"
    ions: Sequence[str] = ("Zn2+",)
    sites: Sites = "surface"
    n: int = 1
    limit: int = 20
    relax_maker: Maker = field(default_factory=RelaxMaker)
    refine_maker: Maker | None = None
    temperature: float | None = None
    best: int | None = None

    @job
    def make(self, cluster: Cluster, relaxation: Relaxation | None = None) -> Response:
        """Enumerate the reactions of a relaxed cluster and add one job per distinct species.

        Parameters
        ----------
        cluster
            The reactant.
        relaxation
            Its own result at the level of `relax_maker`; without it the reactant is computed as well.
        """
        reactions = [reaction for ion in self.ions for reaction in exchange(cluster, ion, self.sites)]
        left_out = []
        for ion in self.ions:
            for n in range(2, self.n + 1):
                reactions += islice(exchanges(cluster, ion, n, self.sites), self.limit)
                count = n_exchanges(cluster, ion, n, self.sites)
                if count > self.limit:
                    left_out.append(f"{n} {ion}: {self.limit} of {count} placements were computed")
        return _replaced(self, reactions, cluster, relaxation, left_out)


@dataclass
class ReactivityMaker(Maker):
    """Energies of what a cluster may do beside cation exchange; see `mscflow.reactions.reactivity`.

    Parameters
    ----------
    name
        Name of the job.
    wanted
        Arguments of `mscflow.reactions.reactivity.reactions_of`.
    relax_maker, refine_maker, temperature, best
        See `ReactionsMaker`.
    """

    name: str = "reactions"
    wanted: Mapping[str, Any] = field(default_factory=dict)
    relax_maker: Maker = field(default_factory=RelaxMaker)
    refine_maker: Maker | None = None
    temperature: float | None = None
    best: int | None = None

    @job
    def make(self, cluster: Cluster, relaxation: Relaxation | None = None) -> Response:
        """Write the reactions of a relaxed cluster and add one job per distinct species.

        Parameters
        ----------
        cluster, relaxation
            See `ExchangeMaker.make`.
        """
        reactions, refused = reactions_of(cluster, **self.wanted)
        return _replaced(self, reactions, cluster, relaxation, refused)


def _replaced(
    maker: ReactionsMaker | ExchangeMaker | ReactivityMaker,
    reactions: list[Reaction],
    cluster: Cluster | None = None,
    relaxation: Relaxation | None = None,
    refused: Sequence[str] = (),
) -> Response:
    """Replace a maker's job by the flow of the reactions it wrote for a reactant that may be known."""
    flow = reactions_flow(
        reactions,
        maker.relax_maker,
        maker.refine_maker,
        maker.name,
        known={cluster.hash: relaxation} if cluster is not None and relaxation is not None else {},
        refused=refused,
        temperature=maker.temperature,
        best=maker.best,
    )
    return Response(replace=flow)


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
    relax_maker, refine_maker
        See `ReactionsMaker`.
    name
        Name of the flow.
    known
        Species that have been relaxed by `relax_maker`, by their `Cluster.hash`.
    refused
        Reactions that could not be written, and why.
    temperature, best
        See `ReactionsMaker`.
    """
    species = {c.hash: c for reaction in reactions for c, _ in reaction.species}
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
    summary = _summary(reactions, results, parse_level(level).text, refused, vibrations, temperature)
    if refine_maker is None or best is None:
        summary.name = f"{name} energies"
        return Flow([*jobs, summary], output=summary.output, name=name)
    summary.name = f"{name} screening"
    funnel = refine_best(reactions, results, vibrations, summary.output, refine_maker, best, name)
    funnel.name = f"{name} best {best}"
    funnel.config.on_missing_references = OnMissing.NONE
    return Flow([*jobs, summary, funnel], output=funnel.output, name=name)


def _summary(
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
    made.config.on_missing_references = OnMissing.NONE
    return made


@job
def refine_best(
    reactions: list[Reaction],
    relaxations: dict[str, Any],
    vibrations: dict[str, Any],
    screening: ReactionEnergies,
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
        Energies by which they are ranked.
    refine_maker
        Refines the relaxed species.
    best
        How many of each kind and ion.
    name
        Name of the job that collects.
    """
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
    species = {c.hash: c for reaction in chosen for c, _ in reaction.species}
    jobs = {key: named(refine_maker, member, relaxations[key].cluster) for key, member in species.items()}
    results = {key: made.output for key, made in jobs.items()}
    kept = {key: vibrations[key] for key in species if key in vibrations}
    summary = _summary(chosen, results, screening.geometry_level, left_out, kept, screening.temperature)
    summary.name = f"{name} energies"
    return Response(replace=Flow([*jobs.values(), summary], output=summary.output, name=name))


def named(maker: Maker, cluster: Cluster, reference: Any = None) -> Job:
    """Return the maker's job for a cluster, named after it, with its estimated time in the metadata.

    Parameters
    ----------
    maker
        One of the Makers above (another Maker gets no estimate).
    cluster
        What the job will work on, for name and estimate.
    reference
        What is passed to the job in place of `cluster`: an output of an earlier job.
    """
    made = maker.make(cluster if reference is None else reference)
    made.name = f"{maker.name} {cluster.name or cluster.formula}"
    if hasattr(maker, "estimate_s"):
        made.update_metadata({"estimate_s": round(maker.estimate_s(cluster), 1)})
    return made


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
