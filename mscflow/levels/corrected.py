"""GFN2-xTB with pair potentials that make up for what it lacks against a density functional."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ase.data import atomic_numbers

from mscflow.levels.base import Estimate, Level
from mscflow.levels.potentials.pair_potential import PairCalculator, PairPotential
from mscflow.levels.potentials.registry import MODELS_DIR, file_checksum
from mscflow.levels.xtb import XTB

if TYPE_CHECKING:
    from pathlib import Path

    from ase.calculators.calculator import Calculator

    from mscflow.cluster import Cluster

BASE = XTB(method="GFN2-xTB")

REFERENCE = "PBE-D3(BJ)/def2-SVP"
"""What the pair potentials are fitted to; ``mscflow/models/pbe-pairs.md`` says how well."""


class CorrectedXTB(Level):
    """GFN2-xTB plus pair potentials fitted to PBE-D3(BJ)/def2-SVP on small pieces of clusters.

    A derived model: it costs what tight binding costs, and its bonds and contacts are those of the density
    functional as far as a sum over pairs can make them so.

    Attributes
    ----------
    correction
        Name of the pair potentials, ``mscflow/models/NAME.npz``.
    """

    kind: Literal["xtb-pairs"] = "xtb-pairs"
    correction: Literal["pbe-pairs"] = "pbe-pairs"

    @property
    def text(self) -> str:
        """``gfn2-xtb+pairs``."""
        return f"{BASE.text}+pairs"

    @property
    def hash(self) -> str:
        """SHA-256 of the settings and of the pair potentials."""
        return self.model_copy(update={"correction": file_checksum(self._file)})._settings_hash()

    @property
    def description(self) -> str:
        """Method, code and what the correction was fitted to."""
        return f"GFN2-xTB tight binding (tblite) with pair potentials fitted to {REFERENCE}"

    @property
    def _file(self) -> Path:
        return MODELS_DIR / f"{self.correction}.npz"

    def require(self, cluster: Cluster) -> list[str]:
        """Refuse what tight binding cannot represent; warn of elements that the correction does not know."""
        warnings = BASE.require(cluster)
        known = PairPotential.load(self._file).elements
        unknown = sorted(s for s in cluster.composition if atomic_numbers[s] not in known)
        if unknown:
            warnings.append(
                f"{self.text} has no pair potentials for {', '.join(unknown)} of "
                f"{cluster.name or cluster.formula}: plain {BASE.text} there"
            )
        return warnings

    def calculator(self, cluster: Cluster) -> Calculator:
        """Return the sum of both as an ASE calculator."""
        from ase.calculators.mixing import SumCalculator

        potential = PairPotential.load(self._file)
        return SumCalculator([BASE.calculator(cluster), PairCalculator(potential)])

    def estimate(self, cluster: Cluster) -> Estimate:
        """Return the cost of the tight binding: the pair potentials add nothing to it."""
        return BASE.estimate(cluster)
