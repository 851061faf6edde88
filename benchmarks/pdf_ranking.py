"""How often the right one of six selenide clusters is found from a noisy pair distribution function.

One hundred synthetic measurements: a cluster drawn at random, distances strained by up to 2 %, noise of 15 %
of the standard deviation of G(r), 1.5 to 14 Å, no ligands.

    python benchmarks/pdf_ranking.py        # a minute or two
"""

from __future__ import annotations

import numpy as np

from mscflow.analysis.pdf_fit import MeasuredPDF, rank
from mscflow.analysis.scattering import pdf
from mscflow.builder import build
from mscflow.topology import topology

NAMES = ("Cd35Se20", "Cd21Se20", "Cd14Se13", "Cd33Se33", "Cd34Se34", "Cd56Se35")
N_TRIALS = 100
NOISE = 0.15


def main() -> None:
    """Print how often each cluster was found, and for what it was taken else."""
    rng = np.random.default_rng(0)
    wholes = {name: build(name) for name in NAMES}
    cores = {name: c.select(topology(c).skeleton, charge=0) for name, c in wholes.items()}
    found: dict[str, list[str]] = {name: [] for name in NAMES}
    for _ in range(N_TRIALS):
        name = str(rng.choice(NAMES))
        strained = cores[name].replace(positions=(1 + rng.uniform(-0.02, 0.02)) * cores[name].positions)
        made = pdf(strained, 1.5, 14.0, 0.05, u_iso=rng.uniform(0.004, 0.012))
        noise = rng.normal(scale=NOISE * made.g.std(), size=made.g.shape)
        found[name].append(next(iter(rank(cores, MeasuredPDF(made.r, made.g + noise)))))
    print("| cluster | measurements | found | taken for |\n|---|---|---|---|")
    for name, answers in found.items():
        wrong = sorted({answer for answer in answers if answer != name})
        print(f"| {name} | {len(answers)} | {answers.count(name)} | {', '.join(wrong) or '–'} |")
    right = sum(answers.count(name) for name, answers in found.items())
    print(f"\nfound: {right} of {N_TRIALS}")


if __name__ == "__main__":
    main()
