"""How the meta-methyl groups of phenylacetates draw the surface of a cluster together.

Run it with ``python workflows/ligand_series.py [CLUSTER]``; the results lie in ``runs/ligand_series``, and a
table of surface In–In separations is printed. Measured reactivity of In37P20 with P(SiMe3)3 rises in the
order of `LIGANDS`, with shorter surface separations. In4P takes two minutes on two cores. In26P13 and In37P20
with phenylacetates do not hold at msc-small (its card): a series there needs another `LEVEL`.
"""

import sys

import pandas as pd
from jobflow import Flow

import mscflow
from mscflow.jobs import AnalyseMaker, RelaxMaker, named

LIGANDS = ("4-tert-butylphenylacetate", "phenylacetate", "m-tolylacetate", "3,5-dimethylphenylacetate")
LEVEL = "mace:msc-small"


def series(name: str) -> tuple[Flow, dict[str, str]]:
    """Return the flow, and the uuid of the analysis of each ligand."""
    jobs, analyses = [], {}
    for ligand in LIGANDS:
        cluster = mscflow.build(name, ligand=ligand)
        relaxed = named(RelaxMaker(level=LEVEL, fmax=0.02), cluster)
        analysis = named(AnalyseMaker(of=f"relaxed at {LEVEL}"), cluster, relaxed.output.cluster)
        jobs += [relaxed, analysis]
        analyses[ligand] = analysis.uuid
    return Flow(jobs, name="ligand_series"), analyses


def table(responses: dict, analyses: dict[str, str]) -> pd.DataFrame:
    """Return mean surface In–In separations / Å: those bridged by ligands only, and all; and the shortest.

    A column without any pair is left out: in In4P all pairs share the phosphide.
    """
    rows = {}
    for ligand, uuid in analyses.items():
        pairs = [p for p in responses[uuid][1].output.separations if p.surface == "surface–surface"]
        bridged = [p.distance for p in pairs if p.bridging_ligands and not p.shared_anions]
        rows[ligand] = {
            "bridged": pd.Series(bridged, dtype=float).mean(),
            "all": pd.Series([p.distance for p in pairs], dtype=float).mean(),
            "shortest": min((p.distance for p in pairs), default=float("nan")),
        }
    return pd.DataFrame(rows).T.dropna(axis="columns", how="all")


if __name__ == "__main__":
    flow, analyses = series(sys.argv[1] if len(sys.argv) > 1 else "In4P")
    responses = mscflow.run(flow, dir="runs/ligand_series")
    print(table(responses, analyses).round(3).to_string())
