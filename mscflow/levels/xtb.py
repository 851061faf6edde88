"""Extended tight binding through tblite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ase.data import chemical_symbols

from mscflow.errors import CalculationError, InputError
from mscflow.levels.base import Estimate, Level
from mscflow.levels.calibration import speed

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mscflow.cluster import Cluster

SECONDS_PER_CUBED_ATOM = 0.1 / 41**3
"""Measured: 0.1 s for energy and forces of In4P(O2CH)9, 41 atoms, one core."""


STARTS = (
    {"guess": "sad", "mixer_damping": 0.4},
    {"guess": "eeq", "mixer_damping": 0.2},
    {"guess": "eeq", "mixer_damping": 0.05},
)
"""Where the self-consistent field begins, tblite's default first; the others where it does not converge.

Never at the charges of the geometry before: along relaxations of cadmium selenide cores GFN2-xTB is led that
way into states up to 13 eV lower, with forces of 1 eV/Å, which no start of its own finds.
"""

LAST_ELEMENT = 86
"""The methods cover the elements up to radon."""


class XTB(Level):
    """GFN1-xTB or GFN2-xTB (Grimme 2017, 2019), an accuracy of 1 (tblite's default).

    Attributes
    ----------
    method
        ``"GFN1-xTB"`` or ``"GFN2-xTB"``.
    """

    kind: Literal["xtb"] = "xtb"
    method: Literal["GFN1-xTB", "GFN2-xTB"] = "GFN2-xTB"

    @property
    def text(self) -> str:
        """``gfn1-xtb`` or ``gfn2-xtb``."""
        return self.method.lower()

    @property
    def description(self) -> str:
        """Method and code."""
        return f"{self.method} tight binding, self-consistent charges (tblite)"

    def require(self, cluster: Cluster) -> list[str]:
        """Refuse elements beyond radon."""
        beyond = sorted(set(cluster.numbers[cluster.numbers > LAST_ELEMENT]))
        if beyond:
            raise InputError(
                f"{self.text} has no parameters for {', '.join(chemical_symbols[n] for n in beyond)} of "
                f"{cluster.name or cluster.formula}: it covers the elements up to radon"
            )
        return []

    def calculator(self, cluster: Cluster) -> Calculator:
        """Return tblite's ASE calculator, on one thread: its parallel sums are not reproducible.

        It raises `CalculationError` where the field does not converge.
        """
        from ase.calculators import calculator as ase_calculator
        from tblite.ase import TBLite
        from threadpoolctl import ThreadpoolController

        threads = ThreadpoolController()

        class OneThread(TBLite):
            def calculate(self, *args: Any, **kwargs: Any) -> None:
                try:
                    with threads.limit(limits=1, user_api="openmp"):
                        self._from_its_own_start(*args, **kwargs)
                except ase_calculator.CalculationFailed as err:
                    raise CalculationError(f"tblite: {err}") from err
                except ase_calculator.InputError as err:
                    raise InputError(f"tblite: {err}") from err

            def _from_its_own_start(self, *args: Any, **kwargs: Any) -> None:
                for start in STARTS:
                    self._res = None
                    self.set(**start)
                    try:
                        return super().calculate(*args, **kwargs)
                    except ase_calculator.CalculationFailed as err:
                        failed = err
                raise failed

        return OneThread(
            method=self.method,
            charge=cluster.charge,
            multiplicity=cluster.multiplicity,
            verbosity=0,
            cache_api=True,
        )

    def estimate(self, cluster: Cluster) -> Estimate:
        """Scale the measured time with the cube of the number of atoms."""
        n = len(cluster)
        time_s = speed("tight binding") * (0.01 + SECONDS_PER_CUBED_ATOM * n**3)
        return Estimate(n_atoms=n, memory_gib=0.1 + 1e-6 * n**2, time_s=time_s, route="tight binding")
