"""Exchange energies of several cations at every distinct site of a cluster.

Run it with ``python workflows/cation_exchange.py``; the results lie in ``runs/cation_exchange``. Give
``ExchangeMaker`` a ``refine_maker`` for DFT energies.
"""

import mscflow
from mscflow.flows import CampaignMaker
from mscflow.jobs import ExchangeMaker, RelaxMaker

if __name__ == "__main__":
    relax = RelaxMaker(level="mace:msc-small")
    flow = CampaignMaker(
        name="cation_exchange",
        relax_maker=relax,
        refine_maker=None,
        exchange_maker=ExchangeMaker(ions=("Zn2+", "Ga3+", "Cd2+"), relax_maker=relax),
    ).make(mscflow.build("In4P", ligand="formate"))
    mscflow.run(flow, dir="runs/cation_exchange")
