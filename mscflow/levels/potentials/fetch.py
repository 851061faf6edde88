"""Bring models to this machine: download a foundation model when asked to, register a local file."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from mscflow.chemistry import suggest
from mscflow.errors import DownloadError, InputError
from mscflow.levels.potentials.domain import domain_file
from mscflow.levels.potentials.foundation import FoundationModel, foundation_models
from mscflow.levels.potentials.library import (
    Library,
    RegisteredModel,
    check_name,
    keep_file,
    load_library,
    save_library,
)
from mscflow.levels.potentials.registry import file_checksum, shipped_models
from mscflow.levels.potentials.weights import facts, load_network
from mscflow.whole_file import whole

TIMEOUT = 60
"""Longest silence of the server / s."""

BLOCK = 1 << 18

Progress = Callable[[int, int], None]


def find_foundation_model(name: str) -> FoundationModel:
    """Return a foundation model.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    models = foundation_models()
    if name not in models:
        raise InputError(f"no foundation model {name!r}: {suggest(name, models)}")
    return models[name]


def fetch_model(model: FoundationModel, trust: bool = False, progress: Progress | None = None) -> str:
    """Put a foundation model into mace-torch's cache; a file that is there is verified and kept.

    The first download records the SHA-256, every later one must agree with it.

    Parameters
    ----------
    model
        What to fetch.
    trust
        Record the checksum of a file that something else has put into the cache.
    progress
        Called with the number of bytes so far, and of all (0: the server does not say).

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    DownloadError
        If the server cannot be reached or sends something else.
    InputError
        If the file in the cache is not the recorded one, or nobody vouches for it.
    """
    recorded = load_library().fetched.get(model.name)
    path = model.path
    if path.is_file():
        checksum = file_checksum(path)
        if recorded is None and not trust:
            raise InputError(
                f"{path} was there before: pass --trust to record its SHA-256 ({checksum}), or delete it"
            )
        if recorded not in (None, checksum):
            raise InputError(f"{path} has SHA-256 {checksum}, {recorded} was recorded: delete it")
    else:
        checksum = _download(model, path, recorded, progress)
    if recorded is None:
        library = load_library()  # again: others may have written it during the download
        library.fetched[model.name] = checksum
        save_library(library)
    return checksum


def _download(model: FoundationModel, path: Path, expected: str | None, progress: Progress | None) -> str:
    """Download a model to `path`, whole and as expected or not at all; return the SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        with partial.open("wb") as file:
            checksum = _stream(model, file.write, progress)
        if expected not in (None, checksum):
            raise DownloadError(f"{model.url} sent SHA-256 {checksum}, {expected} was recorded before")
    return checksum


def _stream(model: FoundationModel, write: Callable[[bytes], object], progress: Progress | None) -> str:
    digest = hashlib.sha256()
    done = 0
    try:
        with urllib.request.urlopen(model.url, timeout=TIMEOUT) as response:  # noqa: S310 - https, from our table
            total = int(response.headers.get("Content-Length") or 0)
            if response.headers.get_content_type() == "text/html":
                raise DownloadError(f"{model.url} sent a web page instead of a model")
            while block := response.read(BLOCK):
                write(block)
                digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
    except urllib.error.HTTPError as err:
        raise DownloadError(f"{model.url}: the server says {err.code} {err.reason}") from err
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as err:
        reason = getattr(err, "reason", None) or err
        raise DownloadError(
            f"{model.name} cannot be downloaded from {model.url} ({reason}): fetch it where there is a "
            f"network and put it at {model.path}, then `mscflow models fetch {model.name} --trust`"
        ) from err
    if total and done != total:
        raise DownloadError(f"{model.url}: the connection ended after {done} of {total} bytes: try again")
    return digest.hexdigest()


def add_model(file: Path, name: str, trust: bool = False, licence: str | None = None) -> RegisteredModel:
    """Register a local model file under a name; it and its domain are copied into the data directory.

    Parameters
    ----------
    file
        A model file of mace-torch.
    name
        Name for ``mace:NAME``.
    trust
        Loading a model file runs its code: the user has to say that it is trusted.
    licence
        Licence of the weights, for the listing.

    Raises
    ------
    InputError
        If the name is taken or cannot be one, the file is missing or no energy model, or `trust` is not
        given.
    """
    check_name(name)
    _library_without(name)
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    checksum = file_checksum(file)
    if not trust:
        raise InputError(
            f"{file}: loading a model file runs its code: pass --trust if you trust where it comes from "
            f"(SHA-256 {checksum})"
        )
    found = facts(load_network(file, checksum, "float64"))
    kept = keep_file(file, checksum)
    if domain_file(file).is_file():
        with whole(domain_file(kept)) as partial:
            shutil.copyfile(domain_file(file), partial)
    entry = RegisteredModel(
        sha256=checksum,
        elements=found.elements,
        reads_charge=found.reads_charge,
        reads_spin=found.reads_spin,
        licence=licence,
        source=str(file),
    )
    library = _library_without(name)  # read again: others may have written it while the model was loaded
    library.registered[name] = entry
    save_library(library)
    return entry


def _library_without(name: str) -> Library:
    """Return the library as it is now; refuse a name that is taken."""
    library = load_library()
    if name in shipped_models() or name in foundation_models() or name in library.registered:
        raise InputError(f"there is a model {name!r} already: choose another name")
    return library


def remove_model(name: str) -> None:
    """Forget a registered model, and delete its copy unless another name uses it.

    Raises
    ------
    InputError
        If no model is registered under that name.
    """
    library = load_library()
    entry = library.registered.pop(name, None)
    if entry is None:
        hint = suggest(name, library.registered) if library.registered else "none is registered"
        raise InputError(f"no registered model {name!r}: {hint}")
    save_library(library)
    if entry.sha256 not in {other.sha256 for other in library.registered.values()}:
        for path in (entry.path, domain_file(entry.path)):
            path.unlink(missing_ok=True)
