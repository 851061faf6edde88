"""`Reaction`: balanced species with coefficients. Every energy difference in mscflow is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from monty.json import MSONable

from mscflow.cluster import Cluster
from mscflow.errors import InputError


@dataclass(frozen=True)
class Reaction(MSONable):
    """A chemical equation between clusters; refused when atoms or charge do not balance.

    Parameters
    ----------
    species
        Pairs of a cluster and its coefficient: products positive, reactants negative.
    label
        What is distinguished, e.g. ``"Zn2+ at In 1, chelating L6 leaves"``.
    site
        Index of the atom at which it happens, in the reactant.
    tags
        Facts for tables: ion, leaving ligands, ...

    Raises
    ------
    InputError
        If the equation does not balance; the message names what is left over.
    """

    species: tuple[tuple[Cluster, float], ...]
    label: str = ""
    site: int | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the balance of every element and of charge."""
        object.__setattr__(self, "species", tuple((c, float(n)) for c, n in self.species))
        excess = self.imbalance()
        if excess:
            left_over = ", ".join(f"{name} {float(n):+g}" for name, n in excess.items())
            raise InputError(f"reaction {self.equation!r} does not balance: {left_over}")

    def imbalance(self) -> dict[str, Fraction]:
        """Return what the products have more than the reactants, per element and for charge."""
        total: dict[str, Fraction] = {}
        for cluster, coefficient in self.species:
            n = Fraction(coefficient).limit_denominator(1000)
            for symbol, count in {**cluster.composition, "charge": cluster.charge}.items():
                total[symbol] = total.get(symbol, Fraction(0)) + n * count
        return {name: n for name, n in total.items() if n}

    @property
    def equation(self) -> str:
        """The equation as text, e.g. ``A + B → C + D``."""

        def side(sign: int) -> str:
            return " + ".join(
                (f"{abs(n):g} " if abs(n) != 1 else "") + (cluster.name or cluster.formula)
                for cluster, n in self.species
                if n * sign > 0
            )

        return f"{side(-1)} → {side(+1)}"

    def energy(self, energies: Mapping[str, float]) -> float:
        """Return the reaction energy / eV from energies of the species / eV keyed by `Cluster.hash`.

        Raises
        ------
        InputError
            If the energy of a species is missing.
        """
        missing = [c.name or c.formula for c, _ in self.species if c.hash not in energies]
        if missing:
            raise InputError(f"no energy for {', '.join(missing)} of {self.equation!r}")
        return sum(n * energies[cluster.hash] for cluster, n in self.species)

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary."""
        return {
            "@module": "mscflow.reactions.reaction",
            "@class": "Reaction",
            "species": [[cluster.as_dict(), n] for cluster, n in self.species],
            "label": self.label,
            "site": self.site,
            "tags": dict(self.tags),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Reaction:
        """Restore a reaction from `as_dict`."""
        species = tuple((c if isinstance(c, Cluster) else Cluster.from_dict(c), n) for c, n in d["species"])
        return cls(species=species, label=d["label"], site=d["site"], tags=d["tags"])


def distinct_species(reactions: Iterable[Reaction]) -> dict[str, Cluster]:
    """Return every cluster of some reactions once, by its hash, in order of appearance."""
    return {cluster.hash: cluster for reaction in reactions for cluster, _ in reaction.species}
