"""What a ground state tells beside its energy: charges, spins, bond orders, orbitals by part of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase.units import Hartree
from pydantic import BaseModel, ConfigDict

from mscflow.cluster import Cluster
from mscflow.levels import PySCF
from mscflow.topology import Role, topology

if TYPE_CHECKING:
    import pandas as pd

SMALLEST_BOND_ORDER = 0.1
"""Smaller bond orders are not kept."""

WINDOW = (8.0, 6.0)
"""Orbitals are kept from so far below the highest occupied to so far above the lowest empty one / eV."""

CONTAMINATION = 0.1
"""Excess of ⟨S²⟩ over S(S+1) from which there is a warning."""

PARTS = {
    Role.CORE_CATION: "core",
    Role.CORE_ANION: "core",
    Role.SURFACE_CATION: "surface",
    Role.LIGAND: "ligand",
    Role.FREE: "ligand",
}
"""Part of the cluster to which an orbital's share on an atom counts."""


class BondOrder(BaseModel):
    """Mayer bond order of two atoms.

    Attributes
    ----------
    i, j
        Indices, i < j.
    order
        Bond order.
    """

    model_config = ConfigDict(extra="forbid")

    i: int
    j: int
    order: float


class Orbitals(BaseModel):
    """Orbitals around the gap, in order of energy, both spins together.

    Attributes
    ----------
    energies
        Orbital energies / eV.
    occupations
        Electrons in each.
    core, surface, ligand
        Mulliken share of core (its cations and anions), surface cations, and ligands or free molecules.
    """

    model_config = ConfigDict(extra="forbid")

    energies: list[float]
    occupations: list[float]
    core: list[float]
    surface: list[float]
    ligand: list[float]

    @property
    def table(self) -> pd.DataFrame:
        """One row per orbital."""
        import pandas as pd

        return pd.DataFrame(self.model_dump())


class ElectronicStructure(BaseModel):
    """Analysis of a ground state; numbers of Mulliken and Mayer depend on the basis.

    Attributes
    ----------
    charges
        Mulliken charge of each atom / e.
    hirshfeld
        Hirshfeld charge of each atom / e, which depends on the basis little; None on multigrids.
    spins
        Mulliken spin population of each atom; None for a closed shell.
    spin_square
        ⟨S²⟩ of an open shell, S(S+1) for a pure spin state.
    bond_orders
        Mayer bond orders above `SMALLEST_BOND_ORDER`.
    orbitals
        Orbitals around the gap.
    """

    model_config = ConfigDict(extra="forbid")

    charges: list[float]
    hirshfeld: list[float] | None = None
    spins: list[float] | None = None
    spin_square: float | None = None
    bond_orders: list[BondOrder]
    orbitals: Orbitals


def electronic_structure(cluster: Cluster, level: PySCF, mf: Any) -> ElectronicStructure:
    """Analyse a converged mean field.

    Parameters
    ----------
    cluster, level
        The structure, atoms in the order of the mean field; the level.
    mf
        PySCF's mean-field object.
    """
    from mscflow.levels.dft.hirshfeld import hirshfeld_charges
    from mscflow.levels.dft.populations import Populations

    populations = Populations(mf)
    is_open = cluster.multiplicity > 1
    orders = populations.bond_orders
    return ElectronicStructure(
        charges=_rounded(populations.charges),
        hirshfeld=None if level.is_periodic else _rounded(hirshfeld_charges(mf)),
        spins=_rounded(populations.spins) if is_open else None,
        spin_square=float(mf.spin_square()[0]) if is_open else None,
        bond_orders=[
            BondOrder(i=int(i), j=int(j), order=round(float(orders[i, j]), 6))
            for i, j in np.argwhere(np.triu(orders > SMALLEST_BOND_ORDER))
        ],
        orbitals=_orbitals(cluster, mf, populations.orbital_shares),
    )


def parts(cluster: Cluster) -> list[str]:
    """Return for each atom which of `PARTS` it belongs to."""
    return [PARTS[role] for role in topology(cluster).roles]


def spin_warnings(cluster: Cluster, electronic: ElectronicStructure) -> list[str]:
    """Return a warning where the spin state is not pure."""
    spin = (cluster.multiplicity - 1) / 2
    found, pure = electronic.spin_square, spin * (spin + 1)
    if found is None or found - pure < CONTAMINATION:
        return []
    return [
        f"spin contamination: ⟨S²⟩ = {found:.2f}, {pure:.2f} for a pure multiplicity {cluster.multiplicity}"
    ]


def _orbitals(cluster: Cluster, mf: Any, shares: np.ndarray) -> Orbitals:
    energies = np.ravel(mf.mo_energy) * Hartree
    occupations = np.ravel(mf.mo_occ)
    empty = energies[occupations == 0]
    highest = empty.min() + WINDOW[1] if len(empty) else np.inf
    kept = (energies > energies[occupations > 0].max() - WINDOW[0]) & (energies < highest)
    order = np.flatnonzero(kept)[np.argsort(energies[kept], kind="stable")]
    part = np.array(parts(cluster))
    return Orbitals(
        energies=_rounded(energies[order]),
        occupations=_rounded(occupations[order]),
        **{
            name: _rounded(shares[part == name][:, order].sum(axis=0)) for name in sorted(set(PARTS.values()))
        },
    )


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
