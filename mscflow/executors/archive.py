"""Look after stores: check that one is whole, take its documents out and in, put several into one."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bson import json_util

from mscflow.database import COLLECTIONS, explain, open_database, transaction, upsert
from mscflow.errors import InputError, StoreError
from mscflow.executors.job_row import State
from mscflow.executors.manager import STORE_FILE
from mscflow.whole_file import whole

KEY = ("uuid", "index", "blob_uuid")
"""What tells the documents of a collection apart."""


def store_file(place: Path) -> Path:
    """Return the store of a run directory, or the file itself.

    Raises
    ------
    InputError
        If there is none.
    """
    path = place / STORE_FILE if place.is_dir() else place
    if not path.is_file():
        raise InputError(f"{place}: no store here (no {STORE_FILE}, and no such file)")
    return path


def check(path: Path) -> list[str]:
    """Return what is wrong with a store, one line each; a whole one gives an empty list.

    Looked at are SQLite's own pages and indices, every document, every job, whether each finished job has its
    output, and whether every large object that an output refers to is there.

    Parameters
    ----------
    path
        The SQLite file.
    """
    connection = open_database(path)
    try:
        found = connection.execute("PRAGMA integrity_check").fetchall()
        problems = [text for (text,) in found if text != "ok"]
        for collection in COLLECTIONS:
            problems += _damaged_documents(connection, collection)
        return problems + _missing_blobs(connection) + _missing_outputs(connection)
    except sqlite3.Error as err:
        raise explain(err, path) from err
    finally:
        connection.close()


def export(path: Path, target: Path) -> int:
    """Write all documents to a file of JSON lines, packed if its name ends in ``.gz``; return their number.

    Each line is ``{"collection": ..., "document": ...}`` in MongoDB's extended JSON. The file is there as a
    whole or not at all.

    Raises
    ------
    StoreError
        If the target is there already, or cannot be written.
    """
    _require_new(target)
    n = 0
    try:
        with whole(target) as partial, _opened(partial, "wt", target.suffix) as stream:
            for collection, text in _documents(path):
                stream.write(f'{{"collection": {json.dumps(collection)}, "document": {text}}}\n')
                n += 1
    except OSError as err:
        raise StoreError(f"{target}: cannot be written: {err.strerror or err}") from err
    return n


def take_in(source: Path, path: Path) -> int:
    """Write the documents of a file of JSON lines into a store; return their number.

    Raises
    ------
    InputError
        If the file is missing or damaged, or a line is none that `export` writes; nothing is written then.
    StoreError
        If the store has another document of one of the jobs.
    """
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    try:
        with _opened(source, "rt", source.suffix) as stream:
            lines = [_taken(line, f"{source}, line {n}") for n, line in enumerate(stream, start=1)]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as err:
        reason = " ".join(str(err).split())
        raise InputError(f"{source}: no whole file that `mscflow store export` wrote: {reason}") from err
    stored = _loaded(path) if path.is_file() else []
    _once([*stored, *((source, collection, document) for collection, document in lines)])
    _write(path, lines)
    return len(lines)


def _taken(line: str, where: str) -> tuple[str, dict[str, Any]]:
    """Return collection and document of a line of an exported file.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        content = json_util.loads(line)
        collection, document = content["collection"], dict(content["document"])
    except (ValueError, KeyError, TypeError) as err:
        raise InputError(f"{where}: no exported document") from err
    if collection not in COLLECTIONS:
        raise InputError(f"{where}: unknown collection {collection!r}: {', '.join(COLLECTIONS)}")
    return collection, document


def merge(paths: Sequence[Path], target: Path) -> int:
    """Put the documents of several stores into a new one; return their number.

    Raises
    ------
    StoreError
        If two stores have different documents of one job, or the target is there already.
    """
    _require_new(target)
    found = _once(entry for path in paths for entry in _loaded(path))
    _write(target, found)
    return len(found)


def _loaded(path: Path) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield every document of a store with its file and collection."""
    return ((path, collection, json_util.loads(text)) for collection, text in _documents(path))


def _once(entries: Iterable[tuple[Path, str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Return collection and document of all entries, each once.

    Raises
    ------
    StoreError
        If two files have different documents of one job.
    """
    found: dict[tuple, tuple[Path, str, dict[str, Any]]] = {}
    for path, collection, document in entries:
        key = (collection, *(document.get(field) for field in KEY))
        if key in found and found[key][2] != document:
            raise StoreError(
                f"{found[key][0]} and {path} have different results of job {document.get('uuid')} "
                f"({document.get('name')}): keep them apart"
            )
        found[key] = (path, collection, document)
    return [(collection, document) for _, collection, document in found.values()]


def _require_new(target: Path) -> None:
    if target.exists():
        raise StoreError(f"{target} is there already: name a new file")


def _documents(path: Path) -> Iterator[tuple[str, str]]:
    """Yield collection and text of every document."""
    connection = open_database(path)
    try:
        for collection in COLLECTIONS:
            query = f"SELECT document FROM {collection} ORDER BY id"  # noqa: S608 - our own names
            for (text,) in connection.execute(query):
                yield collection, text
    except sqlite3.Error as err:
        raise explain(err, path) from err
    finally:
        connection.close()


def _write(path: Path, lines: Sequence[tuple[str, dict[str, Any]]]) -> None:
    connection = open_database(path)
    try:
        with transaction(connection, path):
            for collection, document in lines:
                upsert(connection, collection, [document])
    finally:
        connection.close()


def _opened(path: Path, mode: str, suffix: str) -> IO[str]:
    if suffix == ".gz":
        return gzip.open(path, mode, encoding="utf-8")  # type: ignore[return-value]  # text by its mode
    return path.open(mode, encoding="utf-8")


def _damaged_documents(connection: sqlite3.Connection, collection: str) -> list[str]:
    problems = []
    query = f"SELECT id, uuid, idx, blob, document FROM {collection}"  # noqa: S608 - our own names
    for row, *key, text in connection.execute(query):
        try:
            document = json_util.loads(text)
            stored = [document.get(field) for field in KEY]
        except (ValueError, AttributeError):
            problems.append(f"{collection}, row {row}: no readable document")
            continue
        if stored != key:
            problems.append(f"{collection}, row {row}: filed under {key}, but it is {stored}")
    return problems


def _missing_blobs(connection: sqlite3.Connection) -> list[str]:
    there = {blob for (blob,) in connection.execute("SELECT blob FROM data")}
    problems = []
    for name, text in connection.execute(
        "SELECT name, document FROM outputs WHERE document LIKE '%blob_uuid%' AND json_valid(document)"
    ):
        gone = set(_blobs(json.loads(text))) - there
        problems += [f"the output of {name!r} refers to a large object that is gone: {blob}" for blob in gone]
    return problems


def _blobs(value: Any) -> Iterator[str]:
    """Yield the large objects that a document refers to."""
    if isinstance(value, dict):
        if isinstance(value.get("blob_uuid"), str):
            yield value["blob_uuid"]
        for member in value.values():
            yield from _blobs(member)
    elif isinstance(value, list):
        for member in value:
            yield from _blobs(member)


def _missing_outputs(connection: sqlite3.Connection) -> list[str]:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name='jobs'").fetchone() is None:
        return []
    problems = []
    for name, text in connection.execute("SELECT name, job FROM jobs"):
        try:
            json.loads(text)
        except ValueError:
            problems.append(f"job {name!r} cannot be read")
    query = (
        "SELECT name FROM jobs WHERE state=? AND NOT EXISTS "
        "(SELECT 1 FROM outputs WHERE outputs.uuid=jobs.uuid AND outputs.idx=jobs.idx)"
    )
    for (name,) in connection.execute(query, [State.DONE]):
        problems.append(f"job {name!r} is done, but its output is gone: `mscflow resume` runs it again")
    return problems
