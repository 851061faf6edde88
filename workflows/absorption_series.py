"""How the absorption of indium phosphide moves with the size of its core: In4P(O2CH)9 to In10P4(O2CH)18.

Run it with ``python workflows/absorption_series.py [LEVEL]``; the results lie in ``runs/absorption_series``,
and a table is printed. Pieces of the large clusters stand for them: the largest one here takes nearly an hour
on two cores. A level with a solvent (``pbe/def2-svp[grid=1,solvent=toluene]``) or with exact exchange
(``pbe0/def2-svp[grid=1]``) takes longer; the method ``gap`` does any size.
"""

import sys

import pandas as pd
from jobflow import Flow

import mscflow
from mscflow.builder.fragments import fragment
from mscflow.jobs import ExciteMaker, RelaxMaker, named

CORES = ("In4P", "In7P2", "In10P4")
LIGAND = "formate"


def series(level: str) -> tuple[Flow, dict[str, str]]:
    """Return the flow, and the uuid of the excitations of each piece."""
    jobs, excited = [], {}
    for core in CORES:
        cluster = fragment(core, LIGAND)
        relaxed = named(RelaxMaker(level="mace:msc-small", fmax=0.05), cluster)
        states = named(ExciteMaker(level=level, nstates=5, method="tda-ris"), cluster, relaxed.output.cluster)
        jobs += [relaxed, states]
        excited[cluster.name] = states.uuid
    return Flow(jobs, name="absorption_series"), excited


def table(responses: dict, excited: dict[str, str]) -> pd.DataFrame:
    """Return lowest state, wavelength of the maximum of the spectrum, and what moves where."""
    rows = {}
    for name, uuid in excited.items():
        found = responses[uuid][1].output
        lowest = found.states[0]
        rows[name] = {
            "atoms": len(found.cluster),
            "S1 / eV": round(lowest.energy, 2),
            "S1 / nm": round(lowest.wavelength),
            "λmax / nm": round(found.spectrum().lambda_max),
            "hole → electron": lowest.character,
        }
    return pd.DataFrame(rows).T


if __name__ == "__main__":
    flow, excited = series(sys.argv[1] if len(sys.argv) > 1 else "pbe/def2-svp[grid=1]")
    responses = mscflow.run(flow, dir="runs/absorption_series")
    print(table(responses, excited).to_string())
