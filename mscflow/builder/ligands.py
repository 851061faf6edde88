"""Ligands in the frame in which they are attached.

A carboxylate lies in the xz plane: its carbon at the origin, the oxygens on the -z side, the rest on the
+z side. The attaching code only has to say where the carbon goes and which way the ligand points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mscflow.chemistry import suggest
from mscflow.errors import InputError

CO_BOND = 1.26
CH_BOND = 1.10
CC_BOND = 1.51
OCO_ANGLE = 126.0


@dataclass(frozen=True)
class LigandTemplate:
    """A rigid ligand.

    Parameters
    ----------
    name
        Name by which it is asked for.
    formula
        Short chemical formula used in names, e.g. ``O2CH``.
    symbols, positions
        Atoms and coordinates / Å in the frame of the module's docstring; donors first.
    charge
        Formal charge / e.
    n_donors
        Number of leading atoms that bind.
    """

    name: str
    formula: str
    symbols: tuple[str, ...]
    positions: np.ndarray
    charge: int
    n_donors: int


def _carboxylate(name: str, formula: str, symbols: tuple[str, ...], tail: np.ndarray) -> LigandTemplate:
    half = np.radians(OCO_ANGLE / 2)
    x, z = CO_BOND * np.sin(half), -CO_BOND * np.cos(half)
    head = np.array([[x, 0.0, z], [-x, 0.0, z], [0.0, 0.0, 0.0]])
    return LigandTemplate(
        name, formula, ("O", "O", "C", *symbols), np.vstack([head, tail]), charge=-1, n_donors=2
    )


def _methyl() -> np.ndarray:
    theta = np.radians(180 - 109.47)
    ring = [
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
        for phi in np.radians([90, 210, 330])
    ]
    carbon = np.array([0.0, 0.0, CC_BOND])
    return np.vstack([carbon, carbon + CH_BOND * np.array(ring)])


LIGANDS: dict[str, LigandTemplate] = {
    "formate": _carboxylate("formate", "O2CH", ("H",), np.array([[0.0, 0.0, CH_BOND]])),
    "acetate": _carboxylate("acetate", "O2CCH3", ("C", "H", "H", "H"), _methyl()),
}


def ligand_template(name: str) -> LigandTemplate:
    """Return the ligand called `name`.

    Raises
    ------
    InputError
        If there is none; the nearest name is suggested.
    """
    template = LIGANDS.get(name)
    if template is None:
        raise InputError(f"unknown ligand {name!r}: {suggest(name, LIGANDS)}")
    return template
