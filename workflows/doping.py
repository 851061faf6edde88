"""Manganese and cobalt in a zincblende cadmium selenide: which site, at what cost.

Run it with ``python workflows/doping.py``; the results lie in ``runs/doping``. Every distinct cadmium of
Cd10Se4 is exchanged, high spin. The shipped model knows neither metal, so that every species is computed with
tight binding.
"""

import mscflow
from mscflow.flows import CampaignMaker
from mscflow.jobs import ExchangeMaker, RelaxMaker

if __name__ == "__main__":
    relax = RelaxMaker(level="gfn2-xtb", fmax=0.05)
    flow = CampaignMaker(
        name="doping",
        relax_maker=relax,
        refine_maker=None,
        exchange_maker=ExchangeMaker(ions=("Mn2+", "Co2+"), sites="all", relax_maker=relax),
    ).make(mscflow.build("Cd10Se4", ligand=["chloride", "ammonia"]))
    mscflow.run(flow, dir="runs/doping")
