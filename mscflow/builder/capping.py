"""Attach ligands to metal atoms: chelating on one, bridging between two."""

from __future__ import annotations

import numpy as np

from mscflow.builder.ligands import LigandTemplate
from mscflow.chemistry import covalent_radius

METAL_OXYGEN_STRETCH = 1.06
"""Metal–O distance in units of the sum of covalent radii (In–O about 2.2 Å)."""


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _placed(template: LigandTemplate, carbon: np.ndarray, out: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """Return coordinates with the ligand's z axis along `out` and its O···O axis along `wide`."""
    z = _unit(out)
    x = _unit(wide - (wide @ z) * z)
    frame = np.array([x, np.cross(z, x), z])
    return carbon + template.positions @ frame


def _metal_oxygen(symbol: str) -> float:
    return METAL_OXYGEN_STRETCH * (covalent_radius(symbol) + covalent_radius("O"))


def chelating(
    template: LigandTemplate, symbol: str, metal: np.ndarray, out: np.ndarray, wide: np.ndarray
) -> np.ndarray:
    """Return coordinates / Å of a carboxylate that binds one metal with both oxygens.

    Parameters
    ----------
    template
        The ligand.
    symbol, metal
        Element and position / Å of the metal, shape (3,).
    out
        Direction from the metal to the ligand, shape (3,).
    wide
        Direction of the O···O axis (made perpendicular to `out`), shape (3,).
    """
    x, _, z = template.positions[0]
    depth = np.sqrt(_metal_oxygen(symbol) ** 2 - x**2)
    return _placed(template, metal + _unit(out) * (depth - z), out, wide)


def bridging(
    template: LigandTemplate,
    symbols: tuple[str, str],
    metals: tuple[np.ndarray, np.ndarray],
    out: np.ndarray,
) -> np.ndarray:
    """Return coordinates / Å of a carboxylate whose oxygens bind one metal each (syn–syn).

    Parameters
    ----------
    template
        The ligand.
    symbols, metals
        Elements and positions / Å of the two metals.
    out
        Direction from the middle of the two metals to the ligand, shape (3,).
    """
    first, second = metals
    wide = first - second
    x, _, z = template.positions[0]
    gap = abs(np.linalg.norm(wide) / 2 - x)
    bond = (_metal_oxygen(symbols[0]) + _metal_oxygen(symbols[1])) / 2
    depth = np.sqrt(max(bond**2 - gap**2, 1.0))
    z_axis = _unit(out - (out @ _unit(wide)) * _unit(wide))
    return _placed(template, (first + second) / 2 + z_axis * (depth - z), z_axis, wide)
