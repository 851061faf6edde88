"""Models by name: which can be used, and whether their bytes are the ones we know.

A model file is a pickle: loading it runs code. A file is loaded when its SHA-256 is the one on record
(shipped, registered or fetched), or when the user says that it is trusted.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mscflow.chemistry import suggest
from mscflow.errors import InputError
from mscflow.levels.potentials.foundation import foundation_models
from mscflow.levels.potentials.library import load_library

MODELS_DIR = Path(__file__).parents[2] / "models"


class ModelRecord(BaseModel):
    """What is known of a shipped model (``mscflow/models/NAME.json``).

    Attributes
    ----------
    name
        Name used in ``mace:NAME``.
    file
        File name beside the record.
    sha256
        Checksum of the file.
    elements
        Elements it was trained on.
    teacher
        Level of theory of its labels.
    reads_charge
        Whether charge and spin reach the model.
    licence
        Licence of the weights.
    errors
        Errors on structures it never saw; the keys carry quantity and unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    file: str
    sha256: str
    elements: tuple[str, ...]
    teacher: str
    reads_charge: bool
    licence: str
    errors: dict[str, float]

    @property
    def path(self) -> Path:
        """Path of the model file."""
        return MODELS_DIR / self.file


class Model(BaseModel):
    """What ``mace:NAME`` stands for, as far as it is known without loading the file.

    Attributes
    ----------
    name
        Name of the model, or path of a file.
    source
        Where it comes from.
    path
        Where its file is, or would be.
    sha256
        Checksum that the file must have; None: nobody knows it.
    elements
        Elements it was trained on; None: the file has to be asked.
    teacher
        Level of theory of its labels.
    reads_charge, reads_spin
        Whether total charge and multiplicity are inputs; None: the file has to be asked.
    licence
        Licence of the weights.
    head
        Output head to use if the level names none.
    family
        Name of the publication of a foundation model, e.g. ``MACE-MPA-0``.
    needs
        Package that it needs beside mace-torch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: Literal["shipped", "registered", "foundation", "file"]
    path: Path
    sha256: str | None = None
    elements: tuple[str, ...] | None = None
    teacher: str | None = None
    reads_charge: bool | None = None
    reads_spin: bool | None = None
    licence: str | None = None
    head: str | None = None
    family: str | None = None
    needs: str | None = None

    @property
    def present(self) -> bool:
        """Whether the file is on this machine."""
        return self.path.is_file()

    @property
    def size(self) -> int | None:
        """Size of the file / byte; None where it is not on this machine."""
        return self.path.stat().st_size if self.present else None


@cache
def shipped_models() -> dict[str, ModelRecord]:
    """Return the models that come with mscflow, by name."""
    records = (
        ModelRecord.model_validate(json.loads(path.read_text())) for path in sorted(MODELS_DIR.glob("*.json"))
    )
    return {record.name: record for record in records}


def known_models() -> dict[str, Model]:
    """Return all models that have a name: shipped, registered, and foundation models, present or not."""
    library = load_library()
    models = [_shipped(record) for record in shipped_models().values()]
    models += [
        Model(name=name, source="registered", path=entry.path, **entry.model_dump(exclude={"source"}))
        for name, entry in library.registered.items()
    ]
    models += [
        Model(
            name=entry.name,
            source="foundation",
            path=entry.path,
            sha256=library.fetched.get(entry.name),
            reads_spin=entry.reads_charge,
            **entry.model_dump(exclude={"name", "url"}),
        )
        for entry in foundation_models().values()
    ]
    return {model.name: model for model in models}


def _shipped(record: ModelRecord) -> Model:
    return Model(
        source="shipped",
        path=record.path,
        reads_spin=record.reads_charge,
        **record.model_dump(exclude={"file", "errors"}),
    )


@lru_cache(maxsize=64)
def _checksum(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file, remembered while its size and modification time stay the same."""
    stat = path.stat()
    return _checksum(path, stat.st_size, stat.st_mtime_ns)


def find_model(name: str) -> Model:
    """Return what a name stands for; a name that is known wins over a file of the same name.

    Raises
    ------
    InputError
        If `name` is neither a known model nor an existing file.
    """
    if name in shipped_models():
        return _shipped(shipped_models()[name])
    models = known_models()
    if name in models:
        return models[name]
    if not Path(name).is_file():
        family = [m.name for m in models.values() if m.family and m.family.lower().startswith(name.lower())]
        hint = f"that family has {', '.join(family)}" if family and name else suggest(name, models)
        raise InputError(f"unknown model {name!r}: {hint}, or the path of a file")
    return Model(name=name, source="file", path=Path(name))


def require_known_file(name: str, trusted_sha256: str | None = None) -> Path:
    """Return the path of a model whose checksum is the known one.

    Parameters
    ----------
    name
        Name of a model or path of a file.
    trusted_sha256
        Checksum that the user trusts; needed for a file whose checksum is not on record.

    Raises
    ------
    InputError
        If the file is not there, its checksum is not the expected one, or none is known.
    """
    model = find_model(name)
    if not model.present:
        remedies = {
            "shipped": "reinstall mscflow",
            "registered": f"mscflow models remove {name}, then add it again",
            "foundation": f"mscflow models fetch {name} downloads it ({model.licence})",
        }
        remedy = remedies.get(model.source, "give its path")
        raise InputError(f"the file of model {name!r} is not on this machine: {remedy}")
    checksum = file_checksum(model.path)
    expected = model.sha256 or trusted_sha256
    if expected is None:
        keep = f"`mscflow models add {name} --name NAME --trust`, then mace:NAME"
        if model.source == "foundation":
            keep = f"`mscflow models fetch {name} --trust`"
        raise InputError(
            f"model file {model.path} is not known and loading it would run its code: "
            f"pass --trust (or trusted_sha256={checksum!r}) if you trust where it comes from; "
            f"where there is no such option: {keep}"
        )
    if checksum != expected:
        raise InputError(f"model file {model.path} has SHA-256 {checksum}, expected {expected}")
    return model.path
