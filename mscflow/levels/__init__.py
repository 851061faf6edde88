"""Levels of theory: values that make calculators and know their cost."""

from __future__ import annotations

from mscflow.levels.base import Estimate, Level
from mscflow.levels.corrected import CorrectedXTB
from mscflow.levels.mace import MACE
from mscflow.levels.pyscf import PySCF
from mscflow.levels.text import AnyLevel, parse_level
from mscflow.levels.xtb import XTB

__all__ = ["MACE", "XTB", "AnyLevel", "CorrectedXTB", "Estimate", "Level", "PySCF", "parse_level"]
