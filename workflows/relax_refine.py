"""Relax a cluster with MACE, then compute its DFT energy. Copy this file and change what you need.

Run it with ``python workflows/relax_refine.py``; the results lie in ``runs/relax_refine``.
"""

import mscflow
from mscflow.flows import CampaignMaker
from mscflow.jobs import RefineMaker, RelaxMaker

if __name__ == "__main__":
    cluster = mscflow.build("In4P", ligand="formate")
    flow = CampaignMaker(
        name="relax_refine",
        relax_maker=RelaxMaker(level="mace:msc-small", fmax=0.02),
        refine_maker=RefineMaker(level="pbe-d3bj/def2-svp"),
    ).make(cluster)
    mscflow.run(flow, dir="runs/relax_refine")
