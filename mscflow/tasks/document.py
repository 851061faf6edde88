"""What every result document carries: structure, level, versions, input hash, time, warnings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mscflow.cluster import Cluster
from mscflow.levels import AnyLevel, Level

SCHEMA_VERSION = 1
PACKAGES = ("mscflow", "ase", "jobflow", "mace-torch", "numpy", "pyscf", "tblite", "torch")


@cache
def package_versions() -> dict[str, str]:
    """Return the installed versions of the packages that decide results."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


class Document(BaseModel):
    """Base of all results.

    Attributes
    ----------
    schema_version
        Version of the document layout.
    input_hash
        SHA-256 of everything that decided the result.
    versions
        Versions of the packages that may have taken part.
    wall_time_s
        Wall time of the task / s (the one field that differs between identical runs).
    warnings
        What a reader must know before using the numbers.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA_VERSION
    input_hash: str
    versions: dict[str, str] = Field(default_factory=package_versions)
    wall_time_s: float = 0.0
    warnings: list[str] = Field(default_factory=list)


class TaskDocument(Document):
    """A result of one level of theory on one cluster.

    Attributes
    ----------
    cluster
        The structure that the numbers belong to (after relaxation, where there was one).
    level
        Level of theory.
    level_text, level_description
        Canonical text form, and a phrase for people.
    level_hash
        `Level.hash` when the result was made: a model's file may be another one by now, or gone. Empty in
        documents of earlier versions.
    reused_from
        Name of the earlier run that computed it, where it was not computed anew.
    """

    cluster: Cluster
    level: AnyLevel
    level_text: str
    level_description: str
    level_hash: str = ""
    reused_from: str = ""


def input_hash(task: str, cluster: Cluster | Sequence[Cluster], level: Level | None, **settings: Any) -> str:
    """Return the SHA-256 of a task's name, structures, level and settings."""
    clusters = [cluster] if isinstance(cluster, Cluster) else list(cluster)
    content = [task, [c.hash for c in clusters], level.hash if level else None, settings]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def without_marks(value: Any) -> Any:
    """Return plain data without the ``@module``/``@class`` keys that jobflow adds."""
    if isinstance(value, Mapping):
        return {key: without_marks(item) for key, item in value.items() if not key.startswith("@")}
    return [without_marks(item) for item in value] if isinstance(value, list) else value
