"""The recipe of a potential: one YAML file says which structures, which teacher, which network."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Recipe(BaseModel):
    """Everything that decides a trained model.

    Attributes
    ----------
    name
        Name of the model.
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

    name: str
    teacher: str = "gfn2-xtb"
    seed: int = 1
    systems: tuple[System, ...]
    sampling: Sampling
    exploration: Exploration
    network: Network


class System(BaseModel):
    """One family of start structures.

    Attributes
    ----------
    cluster
        Catalogue name, or ``formic acid``.
    ligand
        Ligand of the cluster.
    shells
        Number of ligand arrangements; the first is the catalogue's own, others are random.
    exchange
        Ion that replaces one cation (with the ligands that then leave), if any.
    trajectories
        Number of trajectories, spread over the arrangements.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: str
    ligand: str = "formate"
    shells: int = Field(default=1, ge=1)
    exchange: str | None = None
    trajectories: int = Field(ge=1)


class Sampling(BaseModel):
    """One trajectory: rattle, partial relaxation, molecular dynamics, stretched copies.

    Attributes
    ----------
    rattle
        Standard deviations of the initial displacement / Å, one drawn per trajectory.
    relax_steps, relax_every
        FIRE steps, and how many lie between two frames.
    temperatures
        Temperatures / K, one drawn per trajectory.
    md_steps, md_every
        Langevin steps of 2 fs (hydrogen mass 3 u), and how many lie between two frames.
    strains
        Uniform scalings of the last relaxed structure, one frame each.
    max_force
        Frames with a larger force component / eV/Å are dropped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rattle: tuple[float, ...] = (0.05, 0.10, 0.15)
    relax_steps: int = 30
    relax_every: int = 5
    temperatures: tuple[float, ...] = (300.0, 600.0, 900.0)
    md_steps: int = 120
    md_every: int = 8
    strains: tuple[float, ...] = (0.94, 0.97, 1.04, 1.08)
    max_force: float = 30.0


class Exploration(BaseModel):
    """Rounds in which the model relaxes and moves structures and the teacher labels frames on the way.

    Attributes
    ----------
    rounds
        Number of rounds; each ends with `epochs` more of fitting.
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

    rounds: int = Field(default=0, ge=0)
    trajectories: int = Field(default=50, ge=1)
    rattle: float = 0.05
    relax_steps: int = 300
    md_steps: int = 200
    temperature: float = 500.0
    every: int = 15
    max_error: float = 3.0
    epochs: int = 14


class Network(BaseModel):
    """Shape and fit of the MACE network (mace-torch's own training code).

    Attributes
    ----------
    channels, max_l, max_ell, correlation, r_max
        Width, highest order of messages and of edge harmonics, body order minus one, cutoff / Å.
    avg_num_neighbors
        Normalisation of the sums over neighbours, the same in all rounds.
    batch_size, lr, lr_decay, epochs, stage_two
        Optimisation; the learning rate decays by a factor an epoch; from epoch `stage_two` on
        energies weigh more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: int = 32
    max_l: int = 0
    max_ell: int = 3
    correlation: int = 3
    r_max: float = 5.0
    avg_num_neighbors: float = 12.9
    batch_size: int = 8
    lr: float = 0.01
    lr_decay: float = 0.95
    epochs: int = 60
    stage_two: int = 45


Recipe.model_rebuild()
