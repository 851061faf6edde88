"""A batch system and what is asked of it, from one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mscflow.yaml_file import read_model

DEFAULT = "default"
"""Kind of job that takes all that are not named."""

Scheduler = Literal["slurm", "pbs", "lsf", "sge", "local"]


class Pool(BaseModel):
    """Blocks of one size.

    Attributes
    ----------
    cores, memory_gib
        Of one block, on one node.
    workers
        Jobs side by side in a block; they share its cores and memory.
    walltime
        Of a block, ``HH:MM:SS``.
    max_blocks
        Blocks at a time.
    options
        Lines for the head of the script, e.g. ``#SBATCH --partition=short``.
    gpus
        GPUs of a block; every worker gets one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: int = Field(ge=1)
    memory_gib: int = Field(ge=1)
    workers: int = Field(default=1, ge=1)
    walltime: str = Field(default="04:00:00", pattern=r"^\d{1,3}:[0-5]\d:[0-5]\d$")
    max_blocks: int = Field(default=1, ge=1)
    options: str = ""
    gpus: int = Field(default=0, ge=0)

    @property
    def walltime_s(self) -> int:
        """Wall time of a block / s."""
        hours, minutes, seconds = map(int, self.walltime.split(":"))
        return 3600 * hours + 60 * minutes + seconds


class Site(BaseModel):
    """A batch system and what is asked of it.

    Attributes
    ----------
    scheduler
        ``slurm``, ``pbs``, ``lsf``, ``sge``; ``local`` starts blocks on this machine, for trying it out.
    pools
        Blocks by name.
    jobs
        Pool for each kind of job (the first word of its name: relax, refine, excite, ...); ``default``
        takes the others.
    init
        Shell lines before the workers start: modules, the Python environment.
    address
        Address of the driver's machine that the nodes can reach; by default all that it has are tried.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheduler: Scheduler = "slurm"
    pools: dict[str, Pool] = Field(min_length=1)
    jobs: dict[str, str] = Field(default_factory=dict)
    init: str = ""
    address: str | None = None

    @model_validator(mode="after")
    def _known_pools(self) -> Site:
        for kind, pool in self.jobs.items():
            if pool not in self.pools:
                raise ValueError(f"jobs.{kind}: there is no pool {pool!r}: {', '.join(self.pools)}")
        return self

    def pool_of(self, name: str) -> str:
        """Return the pool of a job by its name."""
        first = next(iter(self.pools))
        return self.jobs.get(name.split()[0] if name else "", self.jobs.get(DEFAULT, first))


def load_site(path: Path) -> Site:
    """Read a site from YAML.

    Raises
    ------
    InputError
        If the file is missing or breaks the schema.
    """
    return read_model(path, Site, hint=": templates lie in hpc/")
