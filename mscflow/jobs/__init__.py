"""jobflow Makers: thin names around the tasks and reactions."""

from mscflow.jobs.calculations import (
    STEPS_PER_ATOM,
    AnalyseMaker,
    ExciteMaker,
    RefineMaker,
    RelaxMaker,
    StructureMaker,
    VibrateMaker,
    named,
)
from mscflow.jobs.reactions import ExchangeMaker, ReactionsMaker, ReactivityMaker, reactions_flow

__all__ = [
    "STEPS_PER_ATOM",
    "AnalyseMaker",
    "ExchangeMaker",
    "ExciteMaker",
    "ReactionsMaker",
    "ReactivityMaker",
    "RefineMaker",
    "RelaxMaker",
    "StructureMaker",
    "VibrateMaker",
    "named",
    "reactions_flow",
]
