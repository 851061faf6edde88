"""`Core`: the inorganic part of a cluster, cations and anions with their bonds, without ligands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np

from mscflow.builder.forcefield import ForceField
from mscflow.chemistry import ANIONS, METALS, bond_length

TETRAHEDRAL = np.sqrt(8 / 3)
"""Distance of two atoms bonded to a third at the tetrahedral angle, in bond lengths."""

CONTACT = 1.58
"""Smallest distance of two atoms that are not bonded to each other, in bond lengths."""


@dataclass(frozen=True)
class Core:
    """Cations and anions with their bonds.

    Parameters
    ----------
    symbols
        Chemical symbols.
    positions
        Coordinates / Å, shape (n_atoms, 3).
    bonds
        Pairs of atoms, smaller index first, ascending.
    """

    symbols: tuple[str, ...]
    positions: np.ndarray
    bonds: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        """Return the number of atoms."""
        return len(self.symbols)

    @cached_property
    def graph(self) -> nx.Graph:
        """Bond graph; nodes carry ``symbol``."""
        graph: nx.Graph = nx.Graph()
        graph.add_nodes_from((i, {"symbol": s}) for i, s in enumerate(self.symbols))
        graph.add_edges_from(self.bonds)
        return graph

    @property
    def cations(self) -> tuple[int, ...]:
        """Indices of the cations."""
        return tuple(i for i, s in enumerate(self.symbols) if s in METALS)

    @property
    def anions(self) -> tuple[int, ...]:
        """Indices of the anions."""
        return tuple(i for i, s in enumerate(self.symbols) if s not in METALS)

    @property
    def charge(self) -> int:
        """Sum of the oxidation states / e: what the ligands have to balance."""
        return sum(METALS[s] if s in METALS else ANIONS[s] for s in self.symbols)

    def degree(self, atom: int) -> int:
        """Return the number of bonds of an atom."""
        return int(self.graph.degree(atom))

    def swapped(self, elements: Mapping[str, str]) -> Core:
        """Return the homologue with other elements, scaled to their mean bond length."""
        symbols = tuple(elements.get(s, s) for s in self.symbols)
        old, new = (
            np.mean([bond_length(names[i], names[j]) for i, j in self.bonds])
            for names in (self.symbols, symbols)
        )
        return Core(symbols, self.positions * (new / old), self.bonds)

    def without(self, atoms: Iterable[int]) -> Core:
        """Return the core without some atoms."""
        gone = set(atoms)
        keep = [i for i in range(len(self)) if i not in gone]
        number = {old: new for new, old in enumerate(keep)}
        bonds = tuple((number[i], number[j]) for i, j in self.bonds if not {i, j} & gone)
        return Core(tuple(self.symbols[i] for i in keep), self.positions[keep], bonds)

    def extended(
        self, symbols: Sequence[str], positions: np.ndarray, bonds: Iterable[tuple[int, int]]
    ) -> Core:
        """Return the core with more atoms; their numbers follow those of the old ones."""
        return Core(
            (*self.symbols, *symbols),
            np.vstack([self.positions, np.reshape(positions, (-1, 3))]),
            tuple(sorted({*self.bonds, *((min(b), max(b)) for b in bonds)})),
        )

    def mirrored(self) -> Core:
        """Return the other hand."""
        return Core(self.symbols, self.positions * np.array([1.0, 1.0, -1.0]), self.bonds)

    def embedded(self) -> Core:
        """Return the core with ideal bonds, tetrahedral angles and no contacts, as far as they go together.

        Bonds keep the lengths of the bulk semiconductors; two atoms bonded to a third are drawn to the
        tetrahedral distance; all others stay 1.58 bond lengths apart.
        """
        lengths = {bond: bond_length(*(self.symbols[i] for i in bond)) for bond in self.bonds}
        mean = float(np.mean(list(lengths.values())))
        angles = {
            (min(i, j), max(i, j)): TETRAHEDRAL * (lengths[_pair(i, k)] + lengths[_pair(j, k)]) / 2
            for k in self.graph
            for i in self.graph[k]
            for j in self.graph[k]
            if i < j
        }
        springs = [*lengths.items(), *((pair, d) for pair, d in angles.items() if pair not in lengths)]
        field = ForceField(
            radii=np.full(len(self), CONTACT * mean / 2),
            pairs=np.array([pair for pair, _ in springs]),
            lengths=np.array([d for _, d in springs]),
            strengths=np.array([1.0] * len(lengths) + [0.15] * (len(springs) - len(lengths))),
        )
        positions = field.relax(self.positions, n_steps=2000, tolerance=1e-7)
        return Core(self.symbols, positions - positions.mean(axis=0), self.bonds)


def _pair(i: int, j: int) -> tuple[int, int]:
    return (i, j) if i < j else (j, i)
