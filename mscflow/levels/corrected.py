"""GFN-xTB with pair potentials that make up for what it lacks against a density functional."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ase.data import atomic_numbers

from mscflow.levels.base import Estimate, Level
from mscflow.levels.pair_potential import PairCalculator, PairPotential
from mscflow.levels.registry import MODELS_DIR, file_checksum
from mscflow.levels.xtb import XTB

if TYPE_CHECKING:
    from pathlib import Path

    from ase.calculators.calculator import Calculator

    from mscflow.cluster import Cluster

REFERENCE = "PBE-D3(BJ)/def2-SVP"
"""What the pair potentials are fitted to; ``mscflow/models/pbe-pairs.md`` says how well."""


class CorrectedXTB(Level):
    """GFN-xTB plus pair potentials fitted to PBE-D3(BJ)/def2-SVP on small pieces of clusters.

    A derived model: it costs what tight binding costs, and its bonds and contacts are those of the density
    functional as far as a sum over pairs can make them so.

    Attributes
    ----------
    method
        The tight binding.
    correction
        Name of the pair potentials, ``mscflow/models/NAME.gfn1.npz`` and ``NAME.gfn2.npz``.
    """

    kind: Literal["xtb-pairs"] = "xtb-pairs"
    method: Literal["GFN1-xTB", "GFN2-xTB"] = "GFN1-xTB"
    correction: Literal["pbe-pairs"] = "pbe-pairs"

    @property
    def text(self) -> str:
        """``gfn1-xtb+pairs`` or ``gfn2-xtb+pairs``."""
        return f"{self.base.text}+pairs"

    @property
    def base(self) -> XTB:
        """The level without pair potentials."""
        return XTB(method=self.method)

    @property
    def hash(self) -> str:
        """SHA-256 of the settings and of the pair potentials."""
        return self.model_copy(update={"correction": file_checksum(self._file)})._settings_hash()

    @property
    def description(self) -> str:
        """Method, code and what the correction was fitted to."""
        return f"{self.method} tight binding (tblite) with pair potentials fitted to {REFERENCE}"

    @property
    def _file(self) -> Path:
        return MODELS_DIR / f"{self.correction}.{self.method[:4].lower()}.npz"

    def require(self, cluster: Cluster) -> list[str]:
        """Accept everything; warn of elements that the correction does not know."""
        known = PairPotential.load(self._file).elements
        unknown = sorted(s for s in cluster.composition if atomic_numbers[s] not in known)
        warnings = self.base.require(cluster)
        if unknown:
            warnings.append(
                f"{self.text} has no pair potentials for {', '.join(unknown)} of "
                f"{cluster.name or cluster.formula}: plain {self.base.text} there"
            )
        return warnings

    def calculator(self, cluster: Cluster) -> Calculator:
        """Return the sum of both as an ASE calculator."""
        from ase.calculators.mixing import SumCalculator

        potential = PairPotential.load(self._file)
        return SumCalculator([self.base.calculator(cluster), PairCalculator(potential)])

    def estimate(self, cluster: Cluster) -> Estimate:
        """Return the cost of the tight binding: the pair potentials add nothing to it."""
        return self.base.estimate(cluster)
