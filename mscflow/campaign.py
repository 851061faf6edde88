"""The campaign file: what a user writes, checked and turned into a flow."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from mscflow.analysis.spectra import read_spectrum
from mscflow.builder import CATALOGUE, build, build_different, ligand_template, precursor
from mscflow.chemistry import parse_ion, suggest
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.files import read
from mscflow.levels import PySCF, parse_level
from mscflow.tasks.excite import Method

if TYPE_CHECKING:
    from jobflow import Flow


def _level_text(text: str) -> str:
    return parse_level(text).text


def _dft_text(text: str) -> str:
    level = parse_level(text)
    if not isinstance(level, PySCF):
        raise InputError(f"a DFT level such as 'pbe-d3bj/def2-svp' is needed here, not {text!r}")
    return level.text


def _known_name(text: str) -> str:
    if text not in CATALOGUE:
        raise InputError(f"unknown cluster {text!r}: {suggest(text, CATALOGUE)}")
    return text


def _known_ligand(text: str) -> str:
    return ligand_template(text).name


LevelText = Annotated[str, AfterValidator(_level_text)]
LigandText = Annotated[str, AfterValidator(_known_ligand)]
DftText = Annotated[str, AfterValidator(_dft_text)]


def _sites(value: Any) -> Any:
    words = ("surface", "core", "all")
    if value in words or (isinstance(value, list | tuple) and all(type(i) is int for i in value)):
        return value
    raise InputError(f"must be one of {', '.join(words)} or a list of atom indices, not {value!r}")


Sites = Annotated[Literal["surface", "core", "all"] | tuple[int, ...], BeforeValidator(_sites)]
IonText = Annotated[str, AfterValidator(lambda text: str(parse_ion(text)))]


class Section(BaseModel):
    """A part of the campaign file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StructureSection(Section):
    """Where the structure comes from: exactly one of `build` and `file`.

    Attributes
    ----------
    build
        Name of a cluster of the catalogue.
    ligand
        Its ligand or ligands, by name or SMILES, instead of the default ones.
    hand, seed
        Mirror image of a chiral core; arrangement of the ligands.
    modes
        Ligands per binding mode, e.g. ``{chelating: 12}``.
    file
        Path of a structure file, relative to the campaign file.
    charge, multiplicity
        For a file: win over what it says.
    """

    build: Annotated[str, AfterValidator(_known_name)] | None = None
    ligand: LigandText | tuple[LigandText, ...] | None = None
    hand: Literal["left", "right"] = "left"
    seed: int = 0
    modes: dict[str, int] = Field(default_factory=dict)
    file: str | None = None
    charge: int | None = None
    multiplicity: int | None = None

    @model_validator(mode="after")
    def _one_source(self) -> StructureSection:
        if (self.build is None) == (self.file is None):
            raise InputError("give exactly one of 'build' (a name) and 'file' (a path)")
        if self.build is not None and (self.charge is not None or self.multiplicity is not None):
            raise InputError("'charge' and 'multiplicity' belong to 'file': a built cluster knows its own")
        return self


class RelaxSection(Section):
    """Relaxation with a fast level.

    Attributes
    ----------
    level
        Level of theory.
    fmax
        Largest force on an atom / eV/Å at the end.
    max_steps
        Limit of steps.
    """

    level: LevelText = "mace:msc-small"
    fmax: float = Field(default=0.02, gt=0)
    max_steps: int = Field(default=1000, ge=1)


class VibrateSection(Section):
    """Harmonic vibrations of the relaxed structure.

    Attributes
    ----------
    level
        Level of theory; by default the one of the relaxation, at any other the structure is no minimum.
    """

    level: LevelText | None = None


class RefineSection(Section):
    """Density functional theory on the relaxed structure.

    Attributes
    ----------
    level
        DFT level.
    steps
        Geometry steps; 0 is a single point.
    fmax
        Convergence threshold of these steps / eV/Å.
    """

    level: DftText = "pbe-d3bj/def2-svp"
    steps: int = Field(default=0, ge=0)
    fmax: float = Field(default=0.05, gt=0)


class ExchangeSection(Section):
    """Cation exchange.

    Attributes
    ----------
    ions
        Incoming cations.
    sites
        ``surface``, ``core``, ``all`` or atom indices.
    n, limit
        Largest number of ions exchanged at a time; placements of each number above one computed at most.
    level
        DFT level of the energies, on structures of the relax level; without it both are the relax level.
    temperature
        Temperature / K at which there are Gibbs energies, from vibrations of every species.
    best
        How many reactions of each ion, the lowest at the relax level, go on to `level`; by default all.
    shells
        Number of different arrangements of the ligands that are relaxed and exchanged (built clusters).
    """

    ions: tuple[IonText, ...] = Field(min_length=1)
    sites: Sites = "surface"
    n: int = Field(default=1, ge=1)
    limit: int = Field(default=20, ge=1)
    level: DftText | None = None
    temperature: float | None = Field(default=None, gt=0)
    best: int | None = Field(default=None, ge=1)
    shells: int = Field(default=1, ge=1)


class DisplacementSection(Section):
    """Complexes that neutral ligands displace.

    Attributes
    ----------
    neutral
        The neutral ligand.
    n
        Number of them in the complex that leaves.
    sites
        Cations that leave, as in `ExchangeSection`.
    """

    neutral: LigandText
    n: int = Field(default=1, ge=1)
    sites: Sites = "surface"


class ReactionsSection(Section):
    """Reactions beside cation exchange; at least one of the first five.

    Attributes
    ----------
    binding
        Sites whose cations leave as complexes, one reaction each, as in `ExchangeSection`.
    displacement
        Complexes that neutral ligands displace.
    ligands, anions
        Old → new name: all of a kind are exchanged.
    strip
        Numbers of carboxylates that P(SiMe3)3 takes, one reaction each, or ``all``.
    level
        DFT level of the energies, on structures of the relax level; without it both are the relax level.
    temperature, best
        See `ExchangeSection`.
    """

    binding: Sites | None = None
    displacement: DisplacementSection | None = None
    ligands: dict[LigandText, LigandText] = Field(default_factory=dict)
    anions: dict[str, str] = Field(default_factory=dict)
    strip: Literal["all"] | tuple[int, ...] | None = None
    level: DftText | None = None
    temperature: float | None = Field(default=None, gt=0)
    best: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _something(self) -> ReactionsSection:
        if not self.wanted:
            raise InputError("give at least one of binding, displacement, ligands, anions and strip")
        return self

    @property
    def wanted(self) -> dict[str, Any]:
        """What is asked for, as arguments of `mscflow.reactions.reactivity.reactions_of`."""
        given: dict[str, Any] = {
            "bound": self.binding,
            "ligands": self.ligands,
            "anions": self.anions,
            "stripped": self.strip,
        }
        if self.displacement is not None:
            given |= {
                "displaced": self.displacement.sites,
                "neutral": self.displacement.neutral,
                "n_neutral": self.displacement.n,
            }
        return {name: value for name, value in given.items() if value}


class ExciteSection(Section):
    """Excitations and absorption spectrum.

    Attributes
    ----------
    level
        DFT level.
    nstates
        Number of singlet states.
    method
        ``tda``, ``tddft``, or for large clusters ``tda-ris``, ``tddft-ris``.
    fwhm
        Width of the Gaussians of the spectrum / eV.
    experiment
        File of a measured spectrum (wavelength / nm, absorbance), beside the campaign file.
    """

    level: DftText = "pbe/def2-svp"
    nstates: int = Field(default=10, ge=1)
    method: Method = "tda"
    fwhm: float = Field(default=0.2, gt=0)
    experiment: str | None = None


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

    def require(self, cluster: Cluster) -> list[str]:
        """Check that every level can represent the cluster; return warnings.

        Raises
        ------
        InputError
            If one cannot.
        """
        sections = (self.relax, self.vibrate, self.refine, self.exchange, self.reactions, self.excite)
        levels = {s.level for s in sections if s is not None and s.level is not None}
        warnings = [warning for text in sorted(levels) for warning in parse_level(text).require(cluster)]
        return warnings + self._left_to_fallback()

    def _left_to_fallback(self) -> list[str]:
        """Return a warning for each ion that the relax level cannot represent."""
        from mscflow.jobs.reactions import FALLBACK

        level = parse_level((self.relax or RelaxSection()).level)
        ions = self.exchange.ions if self.exchange else ()
        return [
            f"{reason}: all species of the exchange for {ion} are computed with {FALLBACK}"
            for ion in ions
            if (reason := level.refusal(precursor(ion)))
        ]

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

        relax = (
            RelaxMaker(level=self.relax.level, fmax=self.relax.fmax, max_steps=self.relax.max_steps)
            if self.relax
            else None
        )
        vibrate = (
            VibrateMaker(level=self.vibrate.level or (relax or RelaxMaker()).level) if self.vibrate else None
        )
        refine = (
            RefineMaker(level=self.refine.level, n_steps=self.refine.steps, fmax=self.refine.fmax)
            if self.refine
            else None
        )

        def at(section: ExchangeSection | ReactionsSection) -> dict[str, Any]:
            """Return the Makers of species whose energies are those of a DFT level, or of the relaxation."""
            refining = RefineMaker(level=section.level) if section.level else None
            return {
                "relax_maker": relax or RelaxMaker(),
                "refine_maker": refining,
                "temperature": section.temperature,
                "best": section.best,
            }

        exchange = (
            ExchangeMaker(
                ions=self.exchange.ions,
                sites=self.exchange.sites,
                n=self.exchange.n,
                limit=self.exchange.limit,
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

    def hash(self, cluster: Cluster) -> str:
        """Return the SHA-256 of the campaign and its start structure."""
        content = self.model_dump_json() + cluster.hash
        return hashlib.sha256(content.encode()).hexdigest()


def load_campaign(path: str | Path) -> Campaign:
    """Read a campaign file.

    Raises
    ------
    InputError
        If it is missing, no YAML, or breaks the schema; one line says where and what would be right.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return parse_campaign(path.read_text())
    except UnicodeDecodeError as err:
        raise InputError(f"{path}: not a text file: {err.reason} at byte {err.start}") from err
    except InputError as err:
        raise InputError(f"{path}: {err}") from err


def parse_campaign(text: str) -> Campaign:
    """Return the campaign written in YAML; see `load_campaign`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(io.StringIO(text))
    except MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{where}YAML syntax: {err.problem or err.context}") from err
    except YAMLError as err:
        raise InputError(f"YAML syntax: {' '.join(str(err).split())}") from err
    if not isinstance(content, dict):
        raise InputError("a campaign is a mapping with 'name' and 'structure', as in inputs/quickstart.yaml")
    try:
        return Campaign.model_validate(content)
    except ValidationError as err:
        raise InputError(_first_problem(err)) from err


def _first_problem(err: ValidationError) -> str:
    """Return one line for the first error: the key, the value, and what would be right."""
    problem = err.errors(include_url=False)[0]
    path = [part for part in problem["loc"] if isinstance(part, str | int)]
    where = ".".join(str(part) for part in path)
    if problem["type"] == "extra_forbidden":
        known = _keys_of(path[:-1])
        return f"unknown key {where!r}: {suggest(str(path[-1]), known)}"
    if problem["type"] == "missing":
        return f"{where!r} is missing"
    ours = problem["type"] == "value_error"
    value = (
        f" (got {problem['input']!r})" if isinstance(problem["input"], str | int | float) and not ours else ""
    )
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}{value}"


def _keys_of(path: list[Any]) -> list[str]:
    sections: dict[str, type[Section]] = {
        "structure": StructureSection,
        "relax": RelaxSection,
        "vibrate": VibrateSection,
        "refine": RefineSection,
        "exchange": ExchangeSection,
        "reactions": ReactionsSection,
        "excite": ExciteSection,
    }
    section = sections.get(path[0], Campaign) if path else Campaign
    return list(section.model_fields)
