"""The recipe of a potential: one YAML file says which structures, which teacher, which network."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from mscflow.builder.molecules import CONTACT, SIDES
from mscflow.levels.potentials.library import check_name

SHAPE = ("channels", "max_l", "max_ell", "correlation", "r_max", "avg_num_neighbors")
"""Settings of a network that decide its shape."""


BESIDE = "beside"
"""Between the molecules in the name of a family of two."""


class System(BaseModel):
    """One family of start structures: exactly one of `cluster`, `fragment` and `molecule`.

    Attributes
    ----------
    cluster
        Name of the catalogue.
    fragment
        Core of a small piece, e.g. ``In7P2``; see `mscflow.builder.fragments`.
    molecule
        SMILES of a free molecule without metals.
    beside
        SMILES of a second molecule that touches the first, in another place in each arrangement.
    sides
        Number of second molecules, each at another side of the first.
    contact
        Smallest distance between the atoms of two such molecules / Å: crowded ligands are nearer than free
        molecules.
    ligand
        Ligand of a cluster, several for mixed shells; anionic ligand of a fragment.
    neutral
        Neutral ligands of a fragment and their numbers.
    shells
        Number of ligand arrangements; a molecule alone has one.
    exchange
        Ion that replaces one cation (with the ligands that then leave), if any.
    trajectories
        Number of trajectories, spread over the arrangements.
    held_out
        Whether the whole family is kept for testing.
    squeezed
        Number of copies in which two parts were pushed together, if not that of the sampling.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: str | None = None
    fragment: str | None = None
    molecule: str | None = None
    beside: str | None = None
    sides: int = Field(default=1, ge=1, le=len(SIDES))
    contact: float = Field(default=CONTACT, gt=1)
    ligand: str | tuple[str, ...] = "formate"
    neutral: dict[str, PositiveInt] = Field(default_factory=dict)
    shells: int = Field(default=1, ge=1)
    exchange: str | None = None
    trajectories: int = Field(ge=1)
    held_out: bool = False
    squeezed: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_structure(self) -> System:
        if sum(kind is not None for kind in (self.cluster, self.fragment, self.molecule)) != 1:
            raise ValueError("give exactly one of 'cluster', 'fragment' and 'molecule'")
        if self.beside is not None and self.molecule is None:
            raise ValueError("'beside' is a second molecule: give 'molecule', too")
        if self.cluster is None and not isinstance(self.ligand, str):
            raise ValueError("several of 'ligand' are for a 'cluster': a 'fragment' has 'neutral', too")
        if self.beside is None and (self.sides, self.contact) != (1, CONTACT):
            raise ValueError("'sides' and 'contact' are of a second molecule: give 'beside', too")
        if self.molecule is not None and self.beside is None and self.shells > 1:
            raise ValueError("a molecule alone has no arrangements of ligands: leave out 'shells'")
        return self

    @property
    def ligand_names(self) -> tuple[str, ...]:
        """Names of the ligands, apart from `neutral`."""
        return (self.ligand,) if isinstance(self.ligand, str) else self.ligand

    @property
    def parts(self) -> tuple[str, ...]:
        """What the name of the family is made of, as the recipe writes it."""
        parts = [self.cluster or self.fragment or self.molecule or ""]
        if self.molecule is None:
            parts += [*self.ligand_names, *(f"{n}{name}" for name, n in self.neutral.items())]
        parts += [self.exchange] if self.exchange else []
        parts += [BESIDE, f"{self.sides if self.sides > 1 else ''}{self.beside}"] if self.beside else []
        return tuple(parts)

    @property
    def family(self) -> str:
        """Name of the family, safe as a file name and as an entry of a frame."""
        name = "-".join(re.sub(r"[^A-Za-z0-9]+", "", part) for part in self.parts)
        return f"molecule-{name}" if name in ("F", "T") else name  # ASE reads these letters as truth values


def is_pair(family: str) -> bool:
    """Return whether a name is that of a family of two molecules beside each other."""
    return f"-{BESIDE}-" in family


class Sampling(BaseModel):
    """One trajectory: partial relaxation from the builder's geometry, then thermal copies of what it reached.

    Attributes
    ----------
    mover
        Level of theory, in text form, that relaxes where the teacher is too slow; by default the teacher.
    rattle
        Standard deviations of the initial displacement / Å, one drawn per trajectory.
    relax_steps
        Steps of the relaxation; all of the first `relax_dense` are labelled, then every `relax_every`-th.
    relax_dense, relax_every
        See `relax_steps`.
    temperatures
        Temperatures / K of the thermal copies, in turn.
    copies
        Number of thermal copies; see `mscflow.train.displacements`.
    squeezed
        Number of copies in which two parts were pushed together.
    strains
        Uniform scalings of the last relaxed structure, one frame each.
    max_force
        Frames with a larger force component / eV/Å are dropped.
    keep_reacted
        Whether frames are kept in which ligands have reacted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mover: str | None = None
    rattle: tuple[NonNegativeFloat, ...] = Field(default=(0.0, 0.03, 0.06), min_length=1)
    relax_steps: NonNegativeInt = 24
    relax_dense: NonNegativeInt = 6
    relax_every: PositiveInt = 6
    temperatures: tuple[PositiveFloat, ...] = Field(default=(150.0, 300.0, 600.0, 1000.0), min_length=1)
    copies: NonNegativeInt = 12
    squeezed: NonNegativeInt = 6
    strains: tuple[PositiveFloat, ...] = (0.95, 1.05)
    max_force: PositiveFloat = 30.0
    keep_reacted: bool = False


class Exploration(BaseModel):
    """Rounds in which the model relaxes and moves structures and the teacher labels frames on the way.

    Attributes
    ----------
    rounds
        Number of rounds; each ends with `epochs` more of fitting.
    families
        Families whose structures are explored, as the card names them; by default all.
    trajectories
        Start structures per round.
    rattle
        Standard deviation of the initial displacement / Å.
    relax_steps, md_steps
        L-BFGS steps, and Langevin steps of 2 fs.
    temperature
        Temperature / K.
    every
        Steps between two labelled frames.
    max_error
        A trajectory ends after a frame with a larger error of a force component / eV/Å.
    epochs
        Epochs of fitting after each round.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rounds: NonNegativeInt = 0
    families: tuple[str, ...] = ()
    trajectories: PositiveInt = 50
    rattle: NonNegativeFloat = 0.05
    relax_steps: NonNegativeInt = 300
    md_steps: NonNegativeInt = 200
    temperature: PositiveFloat = 500.0
    every: PositiveInt = 15
    max_error: PositiveFloat = 3.0
    epochs: PositiveInt = 14


class Network(BaseModel):
    """Shape and fit of the MACE network (mace-torch's own training code).

    Attributes
    ----------
    foundation
        Model to start from: a name of ``mscflow models``, or a file, beside the recipe or from the working
        directory; the shape is then its own. Without it the network is new.
    foundation_sha256
        Checksum of a file that is on no record, without which it is not loaded.
    wider
        Whether the network has twice the channels of `foundation`; see `mscflow.train.wider`.
    channels, max_l, max_ell, correlation, r_max
        Width, highest order of messages and of edge harmonics, body order minus one, cutoff / Å.
    avg_num_neighbors
        Normalisation of the sums over neighbours, the same in all rounds.
    batch_size, lr, lr_decay, epochs, stage_two
        Optimisation; the learning rate decays by a factor an epoch, whatever the loss; from epoch `stage_two`
        on energies weigh more.
    loss
        mace-torch's name of what is made small: ``"weighted"``, squares of errors, of which the largest count
        most, or ``"l1l2energyforces"``, absolute errors of energies and lengths of those of forces. Stage two
        takes squares in any case.
    energy_weight
        Weight of energies per atom against 100 of forces, before stage two.
    stage_two_lr, stage_two_energy_weight
        Learning rate of that stage, and weight of energies per atom against 100 of forces.
    ema_decay
        The weights of an epoch are a running mean, over about ``1 / (1 - ema_decay)`` batches.
    averaged
        Epochs at the end of the fit over which the weights of the model are averaged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    foundation: str | None = None
    foundation_sha256: str | None = None
    wider: bool = False
    channels: PositiveInt = 32
    max_l: NonNegativeInt = 0
    max_ell: NonNegativeInt = 3
    correlation: PositiveInt = 3
    r_max: PositiveFloat = 5.0
    avg_num_neighbors: PositiveFloat = 12.9
    batch_size: PositiveInt = 8
    lr: PositiveFloat = 0.01
    lr_decay: float = Field(default=0.95, gt=0, le=1)
    epochs: PositiveInt = 60
    stage_two: PositiveInt = 45
    loss: Literal["weighted", "l1l2energyforces"] = "weighted"
    energy_weight: NonNegativeFloat = 1.0
    stage_two_lr: PositiveFloat = 1e-3
    stage_two_energy_weight: NonNegativeFloat = 1000.0
    ema_decay: float = Field(default=0.99, gt=0, lt=1)
    averaged: PositiveInt = 1

    @model_validator(mode="after")
    def _one_shape(self) -> Network:
        given = [name for name in SHAPE if name in self.model_fields_set]
        if self.foundation and given:
            raise ValueError(f"the shape is that of {self.foundation}: leave out {', '.join(given)}")
        if self.wider and not self.foundation:
            raise ValueError("'wider' is than a model to start from: give 'foundation', too")
        return self


class Recipe(BaseModel):
    """Everything that decides a trained model.

    Attributes
    ----------
    name
        Name of the model and of its files.
    teacher
        Level of theory of the labels, in text form.
    seed
        Seed of structures, trajectories and network.
    systems
        Structures to start trajectories from.
    sampling
        How a trajectory is sampled.
    exploration
        How the model itself looks for structures it describes badly.
    network
        Shape of the network and how it is fitted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(check_name)]
    teacher: str = "gfn2-xtb"
    seed: NonNegativeInt = 1
    systems: tuple[System, ...]
    sampling: Sampling = Sampling()
    exploration: Exploration = Exploration()
    network: Network = Network()

    @model_validator(mode="after")
    def _one_family_one_name(self) -> Recipe:
        seen: dict[str, tuple[str, ...]] = {}
        for system in self.systems:
            if (other := seen.setdefault(system.family, system.parts)) != system.parts:
                one, two = (" ".join(parts) for parts in (other, system.parts))
                raise ValueError(
                    f"systems {one!r} and {two!r} would both be the family {system.family!r}: write the "
                    "SMILES of one in another order, or leave it out"
                )
        return self
