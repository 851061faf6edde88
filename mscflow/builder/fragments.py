"""Small complete pieces of clusters, for training potentials and for calibrating levels of theory.

``In4P`` with nine formates, ``Cd7Se2`` with ten chlorides, ``In`` with three acetates and an amine: one to
four anions of the tetrahedron M10E4 with all their cations, a single cation, or ``In13P4``: a cation inside,
with its four anions and all of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from mscflow.builder.capped import capped
from mscflow.builder.core import Core
from mscflow.builder.lattices import tetrahedron
from mscflow.builder.ligands import ligand_template
from mscflow.builder.tetrahedron import tetrahedral_core
from mscflow.chemistry import ANIONS, METALS, unpaired
from mscflow.cluster import Cluster
from mscflow.errors import InputError

FORMULA = re.compile(r"([A-Z][a-z]?)(\d*)(?:([A-Z][a-z]?)(\d*))?")

SHAPES = ("M", "M2E", "M3E", "M4E", "M7E2", "M9E3", "M10E4", "M13E4")


def fragment_core(formula: str) -> Core:
    """Return the core of a piece, e.g. ``In``, ``Cd2Se``, ``In4P``, ``In10P4``.

    Raises
    ------
    InputError
        If the formula is none of `SHAPES` with M a metal and E an anion of the tables.
    """
    match = FORMULA.fullmatch(formula)
    metal, n_metals, anion, n_anions = match.groups() if match else ("", "", "", "")
    shape = f"M{n_metals}" + (f"E{n_anions}" if anion else "")
    if metal not in METALS or (anion and anion not in ANIONS) or shape not in SHAPES:
        raise InputError(f"unknown fragment {formula!r}: a metal and an anion as one of {', '.join(SHAPES)}")
    if not anion:
        return Core((metal,), np.zeros((1, 3)), ())
    if not n_anions:
        whole = tetrahedral_core(metal, anion)
        return whole.without(range(1 + int(n_metals), len(whole)))
    if shape == "M13E4":
        whole = tetrahedron(metal, anion, n_layers=5)
        middle = np.linalg.norm(whole.positions - whole.positions.mean(axis=0), axis=1).argmin()
        kept = set(whole.graph[middle])
    else:
        whole = tetrahedron(metal, anion, n_layers=3)
        kept = set(whole.anions[: int(n_anions)])
    piece = whole.without(set(whole.anions) - kept)
    return piece.without(i for i in piece.cations if not piece.degree(i))


def fragment(formula: str, ligand: str, neutral: Mapping[str, int] | None = None, seed: int = 0) -> Cluster:
    """Build a neutral piece of a cluster.

    Parameters
    ----------
    formula
        Its core; see `fragment_core`.
    ligand
        Anionic ligand; the number follows from the charge.
    neutral
        Neutral ligands and their numbers.
    seed
        Seed of the arrangement.

    Returns
    -------
    Cluster
        A starting geometry; unpaired electrons of Mn and Co are parallel.

    Raises
    ------
    InputError
        If formula or ligand is unknown, the charge is no multiple of the ligand's, or they do not fit.
    """
    core = fragment_core(formula)
    template = ligand_template(ligand)
    if template.charge >= 0 or core.charge % template.charge:
        raise InputError(
            f"{ligand!r} (charge {template.charge:+d}) does not balance {formula} ({core.charge:+d})"
        )
    shell = [(template, core.charge // -template.charge)]
    shell += [(ligand_template(name), n) for name, n in (neutral or {}).items()]
    ligands = "".join(f"({t.formula}){n if n > 1 else ''}" for t, n in shell)
    return capped(
        core,
        shell,
        name=f"{formula}{ligands}",
        provenance={
            "source": "derived",
            "note": "piece of a cluster cut from zincblende; not a crystal structure",
        },
        seed=seed,
        multiplicity=1 + sum(map(unpaired, core.symbols)),
    )
