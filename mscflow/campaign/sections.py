"""The parts of a campaign file and what may be written in them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mscflow.builder import CATALOGUE, ligand_template
from mscflow.chemistry import parse_ion, suggest
from mscflow.errors import InputError
from mscflow.levels import PySCF, parse_level
from mscflow.levels.text import FALLBACK
from mscflow.tasks.excite import Method


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


def _neutral_ligand(text: str) -> str:
    template = ligand_template(text)
    if template.charge:
        raise InputError(f"a neutral ligand such as methylamine is needed here, not {template.name!r}")
    return template.name


LevelText = Annotated[str, AfterValidator(_level_text)]
LigandText = Annotated[str, AfterValidator(_known_ligand)]
NeutralText = Annotated[str, AfterValidator(_neutral_ligand)]
DftText = Annotated[str, AfterValidator(_dft_text)]


def _is_numbers(value: Any) -> bool:
    return bool(value) and isinstance(value, list | tuple) and all(type(i) is int for i in value)


def _sites(value: Any) -> Any:
    words = ("surface", "core", "all")
    if value in words or _is_numbers(value):
        return value
    raise InputError(f"must be one of {', '.join(words)} or a list of atom indices, not {value!r}")


def _numbers(value: Any) -> Any:
    if value == "all" or _is_numbers(value):
        return value
    raise InputError(f"must be all or a list of numbers of ligands, not {value!r}")


Sites = Annotated[Literal["surface", "core", "all"] | tuple[int, ...], BeforeValidator(_sites)]
Numbers = Annotated[Literal["all"] | tuple[int, ...], BeforeValidator(_numbers)]
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
    seed: int = Field(default=0, ge=0)
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
        building = [key for key in ("ligand", "hand", "seed", "modes") if key in self.model_fields_set]
        if self.file is not None and building:
            raise InputError(f"{building[0]!r} belongs to 'build': the structure of a file is taken as it is")
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


class EnergySection(Section):
    """How good the energies of reactions are to be.

    Attributes
    ----------
    level
        DFT level of the energies, on structures of the relax level; without it both are the relax level.
    temperature
        Temperature / K at which there are Gibbs energies, from vibrations of every species.
    best
        How many reactions of each kind and ion, the lowest at the relax level, go on to `level`; by default
        all.
    fallback
        Level of all species of a reaction of which one cannot be represented by the relax level.
    """

    level: DftText | None = None
    temperature: float | None = Field(default=None, gt=0)
    best: int | None = Field(default=None, ge=1)
    fallback: LevelText = FALLBACK


class ExchangeSection(EnergySection):
    """Cation exchange; see also `EnergySection`.

    Attributes
    ----------
    ions
        Incoming cations.
    sites
        ``surface``, ``core``, ``all`` or atom indices.
    symmetry
        ``core`` computes those placements once that a symmetry of the core maps onto each other, whatever the
        ligands; ``cluster`` asks for one of the whole cluster.
    search
        Which ligands leave with a single ion of lower charge: ``all``, each choice among those of the site,
        or ``nearest``.
    n, limit
        Largest number of ions exchanged at a time; placements of each number above one computed at most.
    shells
        Number of different arrangements of the ligands that are relaxed and exchanged (built clusters).
    """

    ions: tuple[IonText, ...] = Field(min_length=1)
    sites: Sites = "surface"
    symmetry: Literal["cluster", "core"] = "cluster"
    search: Literal["all", "nearest"] = "all"
    n: int = Field(default=1, ge=1)
    limit: int = Field(default=20, ge=1)
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

    neutral: NeutralText
    n: int = Field(default=1, ge=1)
    sites: Sites = "surface"


class ReactionsSection(EnergySection):
    """Reactions beside cation exchange, at least one of these; see also `EnergySection`.

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
    """

    binding: Sites | None = None
    displacement: DisplacementSection | None = None
    ligands: dict[LigandText, LigandText] = Field(default_factory=dict)
    anions: dict[str, str] = Field(default_factory=dict)
    strip: Numbers | None = None

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
        ``tda``, ``tddft``, for large clusters ``tda-ris``, ``tddft-ris``, or as a rough estimate ``gap``.
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
