"""How far excitations with a minimal auxiliary basis are from those without, measured on pieces."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from mscflow.levels import Level, PySCF


class Calibration(BaseModel):
    """Errors of TDA-ris against TDA at one level, three states of each piece.

    Attributes
    ----------
    shift
        What is added to the energies / eV: the negative mean error.
    error
        Mean absolute error that is left of a piece when the mean of all others is taken off / eV.
    largest
        The largest one / eV.
    n_pieces
        Number of pieces.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: float
    error: float
    largest: float
    n_pieces: int

    @property
    def sentence(self) -> str:
        """What was done to the energies, and what may be left."""
        return (
            f"shifted by {self.shift:+.2f} eV to agree with TDA at this level for {self.n_pieces} pieces of "
            f"clusters, which leaves errors of {self.error:.2f} eV, {self.largest:.2f} eV at most"
        )


CALIBRATIONS = {
    "pbe": Calibration(shift=0.07, error=0.04, largest=0.10, n_pieces=13),
    "pbe0": Calibration(shift=0.13, error=0.03, largest=0.13, n_pieces=12),
}
"""By functional, def2-SVP without a solvent: ``benchmarks/excitation_calibration.py``."""

CALIBRATED = frozenset({"H", "C", "O", "P", "S", "Cl", "Ga", "As", "Se", "In", "Cd", "Zn"})
"""Elements of the pieces."""


def calibration(level: Level, method: str) -> Calibration | None:
    """Return what is known of the error of a method at a level, if it is TDA-ris and anything is.

    It was measured without a solvent: nothing is known in one.
    """
    if method == "tda-ris" and isinstance(level, PySCF) and level.basis == "def2-svp" and not level.solvent:
        return CALIBRATIONS.get(level.xc)
    return None


def unknown_error(level: Level, method: str, symbols: Sequence[str]) -> str:
    """Return a warning if the error of a minimal auxiliary basis was not measured for this, else nothing."""
    if not method.endswith("ris"):
        return ""
    if calibration(level, method) is None:
        return f"the error of {method} was not measured at {level.text}: energies are not shifted"
    others = sorted(set(symbols) - CALIBRATED)
    return f"the error of {method} was not measured with {', '.join(others)}" if others else ""
