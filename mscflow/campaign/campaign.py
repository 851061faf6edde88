"""A campaign: one cluster and what is to be known of it, turned into a flow."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mscflow import __version__
from mscflow.analysis.spectra import read_spectrum
from mscflow.builder import build, build_different, precursor
from mscflow.campaign.sections import (
    EnergySection,
    ExchangeSection,
    ExciteSection,
    ReactionsSection,
    RefineSection,
    RelaxSection,
    Section,
    StructureSection,
    VibrateSection,
)
from mscflow.campaign.sites import require_ions, require_sites, require_states
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.files import read
from mscflow.levels import parse_level

if TYPE_CHECKING:
    from jobflow import Flow

N_FRAMES = 24
"""Geometries on the way of the cluster's own relaxation that the report plays."""


class Campaign(Section):
    """A campaign: one cluster and what is to be known of it.

    Attributes
    ----------
    name
        Letters, digits, ``-`` and ``_``; names the run directory.
    structure
        The cluster.
    relax, vibrate, refine, exchange, reactions, excite
        The parts; one that is left out is not computed.
    analyse
        Whether separations, coordination and binding modes are listed.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    structure: StructureSection
    relax: RelaxSection | None = None
    vibrate: VibrateSection | None = None
    refine: RefineSection | None = None
    analyse: bool = True
    exchange: ExchangeSection | None = None
    reactions: ReactionsSection | None = None
    excite: ExciteSection | None = None

    def cluster(self, base: Path = Path()) -> Cluster:
        """Return the start structure; paths are relative to `base`."""
        section = self.structure
        if section.build is not None:
            return build(section.build, section.ligand, section.hand, section.seed, section.modes)
        return read(base / str(section.file), charge=section.charge, multiplicity=section.multiplicity)

    def source(self, base: Path = Path()) -> str:
        """Return a SHA-256 of all that decides the flow: settings, files that they name, version of mscflow.

        Two processors may build structures that differ in the last digits from the same source.
        """
        named = (self.structure.file, self.excite.experiment if self.excite else None)
        texts = [(base / name).read_bytes().hex() for name in named if name is not None]
        settings = self.model_dump_json(exclude={"excite": {"fwhm"}})
        return hashlib.sha256("\n".join([__version__, settings, *texts]).encode()).hexdigest()

    def require(self, cluster: Cluster) -> list[str]:
        """Check that the cluster has all that is asked of it, at every level; return warnings.

        Raises
        ------
        InputError
            If a level cannot represent it, it lacks a site, cation, anion or ligand that `exchange` or
            `reactions` name, or it has no excitations of the kind wanted.
        """
        if self.exchange is not None:
            require_ions(self.exchange, cluster)
        if self.reactions is not None:
            require_sites(self.reactions, cluster)
        if self.excite is not None:
            require_states(self.excite, cluster)
        sections = (self.relax, self.vibrate, self.refine, self.exchange, self.reactions, self.excite)
        levels = {s.level for s in sections if s is not None and s.level is not None}
        if self.vibrate is not None and self.vibrate.level is None:
            levels.add(self._fast_level)
        warnings = [warning for text in sorted(levels) for warning in parse_level(text).require(cluster)]
        return warnings + self._left_to_fallback(cluster)

    @property
    def _fast_level(self) -> str:
        """Level of relaxations, those of species included, whether or not there is a section for it."""
        return (self.relax or RelaxSection()).level

    def _left_to_fallback(self, cluster: Cluster) -> list[str]:
        """Return a warning for each reactant and ion that the relax level cannot represent."""
        level = parse_level(self._fast_level)
        warnings: list[str] = []
        for name, section in (("exchange", self.exchange), ("reactions", self.reactions)):
            if section is None:
                continue
            members = {f"all species of the {name}": cluster}
            if isinstance(section, ExchangeSection):
                members |= {f"all species of the {name} for {ion}": precursor(ion) for ion in section.ions}
            fallback = parse_level(section.fallback)
            for what, member in members.items():
                if reason := level.refusal(member):
                    warnings.append(f"{reason}: {what} are computed with {fallback.text}")
                    warnings += fallback.require(member)
        return warnings

    def flow(self, cluster: Cluster, base: Path = Path()) -> Flow:
        """Return the jobflow Flow of the campaign for its start structure; paths are relative to `base`."""
        from mscflow.flows import CampaignMaker
        from mscflow.jobs import (
            ExchangeMaker,
            ExciteMaker,
            ReactivityMaker,
            RefineMaker,
            RelaxMaker,
            VibrateMaker,
        )

        species = RelaxMaker()
        if self.relax:
            species = RelaxMaker(level=self.relax.level, fmax=self.relax.fmax, max_steps=self.relax.max_steps)
        relax = replace(species, n_frames=N_FRAMES) if self.relax else None
        vibrate = VibrateMaker(level=self.vibrate.level or species.level) if self.vibrate else None
        refine = (
            RefineMaker(level=self.refine.level, n_steps=self.refine.steps, fmax=self.refine.fmax)
            if self.refine
            else None
        )

        def at(section: EnergySection) -> dict[str, Any]:
            """Return the Makers of species whose energies are those of a DFT level, or of the relaxation."""
            refining = RefineMaker(level=section.level) if section.level else None
            return {
                "relax_maker": species,
                "refine_maker": refining,
                "temperature": section.temperature,
                "best": section.best,
                "fallback": section.fallback,
            }

        exchange = (
            ExchangeMaker(
                **self.exchange.model_dump(include={"ions", "sites", "symmetry", "search", "n", "limit"}),
                **at(self.exchange),
            )
            if self.exchange
            else None
        )
        reactions = (
            ReactivityMaker(wanted=self.reactions.wanted, **at(self.reactions)) if self.reactions else None
        )
        excite = None
        if self.excite:
            measured = read_spectrum(base / self.excite.experiment) if self.excite.experiment else None
            settings = self.excite.model_dump(include={"level", "nstates", "method"})
            excite = ExciteMaker(**settings, measured=measured)
        return CampaignMaker(
            self.name,
            relax,
            refine,
            self.analyse,
            exchange,
            excite,
            vibrate_maker=vibrate,
            reactions_maker=reactions,
            arrangements=self._other_arrangements(cluster),
        ).make(cluster)

    def _other_arrangements(self, cluster: Cluster) -> list[Cluster]:
        """Return the cluster with other arrangements of its ligands, as many as the exchange asks for."""
        n, section = self.exchange.shells if self.exchange else 1, self.structure
        if n == 1:
            return []
        if section.build is None or self.relax is None:
            raise InputError("exchange.shells needs a built cluster and a section 'relax'")
        found = build_different(section.build, n, section.ligand, section.hand, section.seed, section.modes)
        return [other for other in found if other.hash != cluster.hash][: n - 1]
