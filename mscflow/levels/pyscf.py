"""Density functional theory through PySCF."""

from __future__ import annotations

from typing import Literal

from mscflow.levels.base import Level

FUNCTIONALS = ("pbe", "pbe0", "b3lyp")
BASES = ("def2-svp", "def2-tzvp", "gth-dzvp-molopt-sr", "gth-szv-molopt-sr")


class PySCF(Level):
    """To be written."""

    kind: Literal["pyscf"] = "pyscf"
    xc: str = "pbe"
    basis: str = "def2-svp"
    dispersion: str | None = None
