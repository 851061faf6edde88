"""The flow of a campaign: structure → relax → analyse, vibrate, exchange, reactions, refine, excite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobflow import Flow, Job, Maker, OnMissing

from mscflow.cluster import Cluster
from mscflow.jobs import (
    AnalyseMaker,
    ExchangeMaker,
    ExciteMaker,
    ReactivityMaker,
    RefineMaker,
    RelaxMaker,
    StructureMaker,
    VibrateMaker,
    named,
)


@dataclass
class CampaignMaker(Maker):
    """Everything mscflow computes for one cluster; a part that is None is left out.

    Parameters
    ----------
    name
        Name of the flow.
    relax_maker
        Relaxes the start structure; without it the later parts use the structure as given.
    refine_maker
        DFT on the relaxed structure.
    analyse
        Whether separations, coordination and binding modes are listed.
    exchange_maker
        Exchange energies.
    excite_maker
        Excitations of the refined (else relaxed) structure.
    vibrate_maker
        Vibrations of the relaxed structure.
    reactions_maker
        Energies of other reactions.
    arrangements
        The cluster with other arrangements of its ligands: relaxed, and exchanged as well.
    """

    name: str = "campaign"
    relax_maker: Maker | None = field(default_factory=RelaxMaker)
    refine_maker: Maker | None = field(default_factory=RefineMaker)
    analyse: bool = True
    exchange_maker: ExchangeMaker | None = None
    excite_maker: ExciteMaker | None = None
    vibrate_maker: VibrateMaker | None = None
    reactions_maker: ReactivityMaker | None = None
    arrangements: Sequence[Cluster] = ()

    def make(self, cluster: Cluster) -> Flow:
        """Return the flow for a start structure."""
        jobs: list[Job] = [named(StructureMaker(), cluster)]
        current = jobs[0].output.cluster
        relaxation = None
        if self.relax_maker is not None:
            jobs.append(named(self.relax_maker, cluster, current))
            relaxation = jobs[-1].output
            current = relaxation.cluster
        if self.analyse:
            of = f"relaxed at {self.relax_maker.level}" if self.relax_maker is not None else "as given"
            jobs.append(named(AnalyseMaker(of=of), cluster, current))
        if self.vibrate_maker is not None:
            jobs.append(named(self.vibrate_maker, cluster, current))
        others = [
            named(self.relax_maker, other) for other in self.arrangements if self.relax_maker is not None
        ]
        for number, other in enumerate(others, start=2):
            other.name += f" (arrangement {number})"
        jobs += others
        whole = cluster.name or cluster.formula
        if self.exchange_maker is not None:
            jobs.append(self.exchange_maker.make(current, relaxation, [other.output for other in others]))
            jobs[-1].name = f"{self.exchange_maker.name} {whole}"
            jobs[-1].config.on_missing_references = OnMissing.NONE if others else OnMissing.ERROR
        if self.reactions_maker is not None:
            jobs.append(self.reactions_maker.make(current, relaxation))
            jobs[-1].name = f"{self.reactions_maker.name} {whole}"
        if self.refine_maker is not None:
            jobs.append(named(self.refine_maker, cluster, current))
            current = jobs[-1].output.cluster
        if self.excite_maker is not None:
            jobs.append(named(self.excite_maker, cluster, current))
        return Flow(jobs, name=self.name)
