"""Reaction energies as a document."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ase import units
from pydantic import BaseModel, ConfigDict, Field

from mscflow.cluster import Cluster
from mscflow.errors import CalculationError
from mscflow.levels import AnyLevel
from mscflow.reactions.reaction import Reaction, distinct_species
from mscflow.tasks.document import Document, input_hash
from mscflow.tasks.refine import Refinement
from mscflow.tasks.relax import Relaxation, bond_changes
from mscflow.tasks.vibrate import Vibrations

KJ_MOL = units.mol / units.kJ
"""One eV in kJ/mol."""


class Species(BaseModel):
    """One species of the reactions, computed once.

    Attributes
    ----------
    name, formula
        Names for people.
    energy
        Energy / eV.
    converged
        Whether its relaxation (and SCF) converged.
    warnings
        Its own warnings.
    thermal
        Gibbs energy minus electronic energy / eV, where vibrations were computed.
    level
        Text form of the level of its energy.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    formula: str
    energy: float
    converged: bool
    warnings: list[str]
    thermal: float | None = None
    level: str = ""


class ReactionEnergy(BaseModel):
    """Energy of one balanced reaction.

    Attributes
    ----------
    label, equation, site
        What is distinguished, the equation, and where.
    kind
        Of another reaction than a cation exchange: what happens.
    ion, n, replaced, leaving, arrangement
        Of an exchange: incoming cation and number of them, elements of the outgoing cations, binding modes of
        the leaving ligands, and which arrangement of its ligands the reactant had.
    energy
        ΔE / eV, products minus reactants, electronic (no vibrations).
    energy_kj_mol
        The same / kJ/mol.
    gibbs, gibbs_kj_mol
        ΔG / eV and kJ/mol at the temperature of the document, where vibrations were computed: ideal gas at
        one atmosphere, see `mscflow.analysis.thermochemistry`.
    offset, gibbs_offset
        Of an exchange: energy, and Gibbs energy where there is one, of the reactant above that of the lowest
        reactant of the same formula and charge / eV.
    level
        Text form of the level of all its species.
    changed
        Species that lost a core bond or a ligand, or whose ligands reacted: the energy is that of another
        reaction.
    """

    model_config = ConfigDict(extra="forbid")

    label: str
    equation: str
    site: int | None
    kind: str = ""
    ion: str
    n: int = 1
    replaced: list[str] = Field(default_factory=list)
    leaving: list[str]
    arrangement: int = 1
    energy: float
    energy_kj_mol: float
    gibbs: float | None = None
    gibbs_kj_mol: float | None = None
    offset: float = 0.0
    gibbs_offset: float = 0.0
    level: str = ""
    changed: list[str] = Field(default_factory=list)

    @property
    def cost(self) -> float:
        """ΔE from the lowest reactant / eV, by which different arrangements can be compared."""
        return self.energy + self.offset

    @property
    def group(self) -> str:
        """What tables and plots sort by: the kind, of an exchange the ion."""
        return self.kind or self.ion

    @property
    def marked_label(self) -> str:
        """The label, with a star where a species changed."""
        return f"{self.label} *" if self.changed else self.label


class ReactionEnergies(Document):
    """Energies of reactions, every species at the same level.

    Attributes
    ----------
    reactions
        Sorted by kind and ion, those without changed species first, then by energy, counted from the lowest
        reactant (ΔE + offset).
    species
        All species, the reactant first.
    geometry_level, energy_level
        Text forms of the levels of structures and energies, several where reactions differ.
    level
        Level of the energies, of the first ones where reactions differ.
    level_description
        A phrase for people.
    level_hash
        `Level.hash` when the energies were made, in the order of `energy_level`. Empty in documents of
        earlier versions.
    failed
        Species or reactions that could not be computed, and why.
    temperature
        Temperature of the Gibbs energies / K; None: there are none.
    """

    reactions: list[ReactionEnergy]
    species: list[Species]
    geometry_level: str
    energy_level: str
    level: AnyLevel
    level_description: str
    failed: list[str]
    temperature: float | None = None
    level_hash: str = ""


@dataclass(frozen=True)
class Spread:
    """How much the energy of an exchange depends on the arrangement of the ligands.

    Parameters
    ----------
    ion, n
        Incoming cation and number of them.
    lowest
        Lowest ΔE of each arrangement / eV, counted from the reactant with the same arrangement, of reactions
        without changed species.
    """

    ion: str
    n: int
    lowest: tuple[float, ...]


def spreads(energies: ReactionEnergies) -> list[Spread]:
    """Return the spread over arrangements for each ion and number of ions; empty where there is one only."""
    if len({row.arrangement for row in energies.reactions}) < 2:
        return []
    lowest: dict[tuple[str, int], dict[int, float]] = {}
    for row in energies.reactions:
        if row.changed:
            continue
        of_ion = lowest.setdefault((row.ion, row.n), {})
        of_ion[row.arrangement] = min(row.energy, of_ion.get(row.arrangement, row.energy))
    return [Spread(ion, n, tuple(found.values())) for (ion, n), found in sorted(lowest.items())]


def collect(
    reactions: Sequence[Reaction],
    results: Mapping[str, Relaxation | Refinement | None],
    geometry_level: str,
    refused: Sequence[str] = (),
    vibrations: Mapping[str, Vibrations | None] | None = None,
    temperature: float | None = None,
) -> ReactionEnergies:
    """Turn energies of species into energies of reactions.

    Parameters
    ----------
    reactions
        Balanced reactions; their species are start structures.
    results
        Result of each species by `Cluster.hash` of its start structure; None where it failed.
    geometry_level
        Text form of the level of the structures.
    refused
        Reactions that could not be written, and why.
    vibrations
        Vibrations of each species on its structure, by the same key.
    temperature
        Temperature of the Gibbs energies / K.

    Returns
    -------
    ReactionEnergies
        Reactions whose species are all known, in the order it describes; the rest is listed as failed.

    Raises
    ------
    CalculationError
        If no species has a result, or the results are of different levels.
    """
    species = distinct_species(reactions)
    known = {key: result for key in species if (result := results.get(key)) is not None}
    if not known:
        raise CalculationError("no species of the reactions could be computed: see the jobs that failed")
    levels = {result.level_hash or result.level.hash: result.level for result in known.values()}
    if len(levels) > 1:
        texts = ", ".join(f"{level.text} ({key[:12]})" for key, level in levels.items())
        raise CalculationError(f"species at different levels cannot be combined: {texts}")
    level_hash, level = next(iter(levels.items()))
    energies = {key: result.energy for key, result in known.items()}
    thermal = {} if temperature is None else _thermal(vibrations or {}, temperature)
    changed = {key for key, result in known.items() if bond_changes(species[key], result.cluster)}
    gibbs = {key: energies[key] + thermal[key] for key in energies if key in thermal}
    offsets, free_offsets = _offsets(reactions, energies), _offsets(reactions, gibbs)
    done = [
        _reaction_energy(r, energies, thermal, level.text, changed, offsets, free_offsets)
        for r in reactions
        if _complete(r, energies)
    ]
    warned = sorted(
        f"{species[key].name}: {warning}" for key, result in known.items() for warning in result.warnings
    )
    return ReactionEnergies(
        input_hash=input_hash(
            "reactions",
            list(species.values()),
            level,
            reactions=[r.equation for r in reactions],
            geometry_level=geometry_level,
            structures=[known[key].cluster.hash if key in known else None for key in species],
            temperature=temperature,
        ),
        reactions=_ranked(done),
        species=[
            Species(
                name=species[key].name,
                formula=species[key].formula,
                energy=result.energy,
                converged=result.converged,
                warnings=result.warnings,
                thermal=thermal.get(key),
                level=level.text,
            )
            for key, result in known.items()
        ],
        geometry_level=geometry_level,
        energy_level=level.text,
        level=level,
        level_description=level.description,
        level_hash=level_hash,
        failed=[f"{species[key].name}: not computed" for key in species if key not in known]
        + [f"{r.label}: a species is missing" for r in reactions if not _complete(r, energies)]
        + list(refused)
        + [f"{species[key].name}: no vibrations" for key in known if temperature and key not in thermal],
        warnings=warned + _imaginary(vibrations or {}, species),
        temperature=temperature,
    )


def merged_energies(documents: Sequence[ReactionEnergies]) -> ReactionEnergies:
    """Put reactions of several levels into one document; each row says its level.

    Raises
    ------
    CalculationError
        If there is no document.
    """
    if not documents:
        raise CalculationError("no species of the reactions could be computed: see the jobs that failed")
    first = documents[0]
    return ReactionEnergies(
        input_hash=hashlib.sha256("".join(d.input_hash for d in documents).encode()).hexdigest(),
        reactions=_ranked(row for d in documents for row in d.reactions),
        species=[species for d in documents for species in d.species],
        geometry_level=", ".join(dict.fromkeys(d.geometry_level for d in documents)),
        energy_level=", ".join(dict.fromkeys(d.energy_level for d in documents)),
        level=first.level,
        level_description="; ".join(dict.fromkeys(d.level_description for d in documents)),
        level_hash=", ".join(dict.fromkeys(d.level_hash for d in documents if d.level_hash)),
        failed=[line for d in documents for line in d.failed],
        temperature=first.temperature,
        warnings=[line for d in documents for line in d.warnings],
    )


def _ranked(rows: Iterable[ReactionEnergy]) -> list[ReactionEnergy]:
    return sorted(rows, key=lambda row: (row.kind, row.ion, bool(row.changed), row.cost))


def _reactant(reaction: Reaction) -> str:
    """Return the hash of the first reactant; of an exchange, that of the cluster."""
    return next((cluster.hash for cluster, n in reaction.species if n < 0), "")


def _offsets(reactions: Iterable[Reaction], energies: Mapping[str, float]) -> dict[str, float]:
    """Return how far each reactant of an exchange lies above the lowest of its formula and charge / eV."""
    reactants = {
        cluster.hash: (cluster.formula, cluster.charge)
        for reaction in reactions
        if "sites" in reaction.tags
        for cluster, _ in reaction.species
        if cluster.hash == _reactant(reaction) and cluster.hash in energies
    }
    lowest: dict[tuple[str, int], float] = {}
    for key, kind in reactants.items():
        lowest[kind] = min(energies[key], lowest.get(kind, energies[key]))
    return {key: energies[key] - lowest[kind] for key, kind in reactants.items()}


def _thermal(vibrations: Mapping[str, Vibrations | None], temperature: float) -> dict[str, float]:
    """Return Gibbs minus electronic energy / eV of each species."""
    return {
        key: found.thermochemistry(temperature).correction
        for key, found in vibrations.items()
        if found is not None
    }


def _imaginary(vibrations: Mapping[str, Vibrations | None], species: Mapping[str, Cluster]) -> list[str]:
    return sorted(
        f"{species[key].name}: {found.n_imaginary} imaginary mode(s) count like real ones in its Gibbs energy"
        for key, found in vibrations.items()
        if found is not None and found.n_imaginary
    )


def _complete(reaction: Reaction, energies: Mapping[str, float]) -> bool:
    return all(cluster.hash in energies for cluster, _ in reaction.species)


def _reaction_energy(
    reaction: Reaction,
    energies: Mapping[str, float],
    thermal: Mapping[str, float],
    level: str,
    changed: Collection[str],
    offsets: Mapping[str, float],
    free_offsets: Mapping[str, float],
) -> ReactionEnergy:
    energy = reaction.energy(energies)
    gibbs = energy + reaction.energy(thermal) if _complete(reaction, thermal) else None
    return ReactionEnergy(
        label=reaction.label,
        equation=reaction.equation,
        site=reaction.site,
        kind=reaction.tags.get("kind", ""),
        ion=reaction.tags.get("ion", ""),
        n=len(reaction.tags.get("sites", ())) or 1,
        replaced=list(reaction.tags.get("replaced", ())),
        leaving=list(reaction.tags.get("leaving", ())),
        arrangement=reaction.tags.get("arrangement", 1),
        energy=energy,
        energy_kj_mol=energy * KJ_MOL,
        gibbs=gibbs,
        gibbs_kj_mol=None if gibbs is None else gibbs * KJ_MOL,
        offset=offsets.get(_reactant(reaction), 0.0),
        gibbs_offset=free_offsets.get(_reactant(reaction), 0.0),
        level=level,
        changed=[cluster.name for cluster, _ in reaction.species if cluster.hash in changed],
    )
