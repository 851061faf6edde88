"""Models of the user: registered files, and the checksums of fetched ones, in one directory.

Files are kept under their SHA-256, so that no name from input ever becomes a path.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mscflow.errors import InputError
from mscflow.whole_file import whole

DATA_VARIABLE = "MSCFLOW_DATA_DIR"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


class RegisteredModel(BaseModel):
    """A local model file that the user trusts.

    Attributes
    ----------
    sha256
        Checksum of the file; its name in the library.
    elements
        Elements the network knows, read from the file.
    reads_charge, reads_spin
        Whether total charge and spin multiplicity are inputs of the network, read from the file.
    licence
        What the user said of the licence.
    source
        Path of the file when it was registered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    elements: tuple[str, ...]
    reads_charge: bool
    reads_spin: bool
    licence: str | None = None
    source: str = ""

    @property
    def path(self) -> Path:
        """Place of the file in the library."""
        return data_directory() / "models" / f"{self.sha256}.model"


class Library(BaseModel):
    """What ``models.json`` in the data directory holds.

    Attributes
    ----------
    registered
        Registered files, by name.
    fetched
        SHA-256 of fetched foundation models, by name.
    """

    model_config = ConfigDict(extra="forbid")

    registered: dict[str, RegisteredModel] = Field(default_factory=dict)
    fetched: dict[str, str] = Field(default_factory=dict)


def data_directory() -> Path:
    """Return ``$MSCFLOW_DATA_DIR``, else ``$XDG_DATA_HOME/mscflow``, else ``~/.local/share/mscflow``."""
    chosen = os.environ.get(DATA_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mscflow"


def load_library() -> Library:
    """Read the library; it is empty where there is none yet.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path = data_directory() / "models.json"
    if not path.is_file():
        return Library()
    try:
        return Library.model_validate_json(path.read_text())
    except (ValidationError, UnicodeDecodeError) as err:
        raise InputError(f"{path} is damaged: move it away and register the models again") from err


def save_library(library: Library) -> None:
    """Write the library; a reader sees the old file or the new one, never a part."""
    text = json.dumps(library.model_dump(mode="json"), indent=1, sort_keys=True)
    replace_file(data_directory() / "models.json", text.encode())


def keep_file(source: Path, sha256: str) -> Path:
    """Copy a model file into the library, under its checksum."""
    target = data_directory() / "models" / f"{sha256}.model"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as partial:
            shutil.copyfile(source, partial)
    return target


def check_name(name: str) -> str:
    """Return a name that a model may have.

    Raises
    ------
    InputError
        If it is no such name.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a model: letters, digits and . _ + -, at most 64, "
            "starting with a letter or digit"
        )
    return name


def replace_file(path: Path, content: bytes) -> None:
    """Write a file; a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        partial.write_bytes(content)
