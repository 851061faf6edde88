"""Model files: which can be used, and whether their bytes are the ones we know.

A model file is a pickle: loading it runs code. A file is loaded when its SHA-256 is the one in the
registry, or when the user says that it is trusted.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache, lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mscflow.chemistry import suggest
from mscflow.errors import InputError

MODELS_DIR = Path(__file__).parent.parent / "models"


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


@cache
def shipped_models() -> dict[str, ModelRecord]:
    """Return the models that come with mscflow, by name."""
    records = (
        ModelRecord.model_validate(json.loads(path.read_text())) for path in sorted(MODELS_DIR.glob("*.json"))
    )
    return {record.name: record for record in records}


@lru_cache(maxsize=64)
def _checksum(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file, remembered while its size and modification time stay the same."""
    stat = path.stat()
    return _checksum(path, stat.st_size, stat.st_mtime_ns)


def find_model(name: str) -> ModelRecord | None:
    """Return the record of a shipped model, or None where `name` is a path of a model file.

    Raises
    ------
    InputError
        If `name` is neither a shipped model nor an existing file.
    """
    record = shipped_models().get(name)
    if record is None and not Path(name).is_file():
        raise InputError(f"unknown model {name!r}: {suggest(name, shipped_models())}, or the path of a file")
    return record


def require_known_file(name: str, trusted_sha256: str | None = None) -> Path:
    """Return the path of a model whose checksum is the known one.

    Parameters
    ----------
    name
        Name of a shipped model or path of a file.
    trusted_sha256
        Checksum that the user trusts; needed for a file that is not shipped.

    Raises
    ------
    InputError
        If the checksum is not the expected one, or none is known.
    """
    record = find_model(name)
    path = record.path if record else Path(name)
    if not path.is_file():
        raise InputError(f"model file {path} is missing: reinstall mscflow")
    checksum = file_checksum(path)
    expected = record.sha256 if record else trusted_sha256
    if expected is None:
        raise InputError(
            f"model file {path} is not known and loading it would run its code: "
            f"pass --trust (or trusted_sha256={checksum!r}) if you trust where it comes from"
        )
    if checksum != expected:
        raise InputError(f"model file {path} has SHA-256 {checksum}, expected {expected}")
    return path
