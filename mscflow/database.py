"""The SQLite file of a run: opened to write or to read, changed in transactions.

A committed change survives the death of the process (full synchronisation). On a disk of this machine a
write-ahead log lets others read while a run goes on. On a file system that several machines share there is
none, since its readers must be on the machine of its writer (https://sqlite.org/wal.html).
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bson import json_util

from mscflow.errors import StoreError

APPLICATION_ID = 0x6D736366
"""Marks an SQLite file as ours ("mscf")."""

SCHEMA_VERSION = 1
COLLECTIONS = ("outputs", "data")
TIMEOUT_S = 30.0
"""How long to wait for another process that holds the file / s."""

MOUNTS = Path("/proc/self/mounts")
# fmt: off
SHARED = (
    "9p", "afs", "beegfs", "beegfs_nodev", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs",
    "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "panfs", "pvfs2", "smb3", "smbfs", "wekafs",
)
# fmt: on
"""Types of file systems that several machines share."""


def open_database(path: Path) -> sqlite3.Connection:
    """Open (or make) the SQLite file of a run; one in a directory that is read-only can only be read.

    Raises
    ------
    StoreError
        If a new file cannot be written, the disk is full, or the file is none of ours.
    """
    try:
        if path.is_file() and not _is_writable(path.parent):
            connection = open_to_read(path)
            _has_tables(connection, path)
            return connection
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False)
        has_tables = _has_tables(connection, path)
        connection.execute(f"PRAGMA journal_mode={'TRUNCATE' if is_shared(path.parent) else 'WAL'}")
        connection.execute("PRAGMA synchronous=FULL")
        if not has_tables:
            _make_tables(connection, path)
    except (sqlite3.Error, OSError) as err:
        raise explain(err, path) from err
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open an SQLite file that is there, without writing anything to it."""
    # Files beside it are needed to read it safely. Where they cannot be made and there is no log, nobody
    # writes.
    is_still = not _is_writable(path.parent) and not path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.absolute().as_uri()}?{'immutable=1' if is_still else 'mode=ro'}"
    return sqlite3.connect(uri, uri=True, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False)


def is_shared(directory: Path, mounts: str | None = None) -> bool:
    """Return whether several machines share the file system of a directory, as far as the system says.

    Parameters
    ----------
    directory
        The directory.
    mounts
        What is mounted, in the form of ``/proc/self/mounts``, which is read by default.
    """
    if mounts is None:
        mounts = MOUNTS.read_text() if MOUNTS.is_file() else ""
    place, kind, longest = directory.resolve(), "", 0
    for line in mounts.splitlines():
        _, point, found, *_ = line.split(" ")
        mount = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point))
        if place.is_relative_to(mount) and len(mount.parts) >= longest:
            kind, longest = found, len(mount.parts)
    return kind in SHARED


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _has_tables(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether there is anything in a file, and refuse what is none of ours."""
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and found != APPLICATION_ID:
        raise StoreError(f"{path}: this SQLite file is no mscflow store: choose another directory")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: written by a newer mscflow (store schema {version}, this one knows "
            f"{SCHEMA_VERSION}): update mscflow"
        )
    return bool(tables)


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection, path):
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        for name in COLLECTIONS:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name} (id INTEGER PRIMARY KEY, uuid TEXT, "
                "idx INTEGER, blob TEXT, name TEXT, document TEXT NOT NULL)"
            )
            connection.execute(f"CREATE INDEX IF NOT EXISTS {name}_key ON {name} (uuid, idx, blob)")
            connection.execute(f"CREATE INDEX IF NOT EXISTS {name}_blob ON {name} (blob)")


def explain(err: sqlite3.Error | OSError, path: Path) -> StoreError:
    """Return one line that says what is wrong with a store and what would help."""
    text = str(err)
    if "full" in text or getattr(err, "errno", None) == 28:
        return StoreError(f"{path}: the disk is full: free some space, then `mscflow resume` goes on")
    if "readonly" in text or "unable to open" in text or isinstance(err, OSError):
        return StoreError(
            f"{path.parent}: cannot be written ({text}): choose a writable directory with --dir"
        )
    if "malformed" in text or "not a database" in text:
        return StoreError(f"{path}: the store is damaged ({text}): restore it from a copy, or start anew")
    if "locked" in text:
        return StoreError(f"{path}: another process holds the store: wait for it or stop it")
    return StoreError(f"{path}: {text}")


class transaction:  # noqa: N801 - reads as a statement: with transaction(connection, path)
    """Do all of the block or nothing; SQLite's errors become a `StoreError`.

    Parameters
    ----------
    connection
        The connection.
    path
        The file, for the message.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    def __enter__(self) -> sqlite3.Connection:
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as err:
            raise explain(err, self.path) from err
        return self.connection

    def __exit__(self, kind: type | None, err: BaseException | None, trace: object) -> None:
        try:
            self.connection.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.Error as failure:
            if kind is None:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise explain(failure, self.path) from failure
        if isinstance(err, sqlite3.Error):
            raise explain(err, self.path) from err


def upsert(connection: sqlite3.Connection, collection: str, documents: Sequence[dict[str, Any]]) -> None:
    """Write documents inside a transaction; one with the same uuid, index and blob is replaced."""
    for document in documents:
        key = (document.get("uuid"), document.get("index"), document.get("blob_uuid"))
        connection.execute(f"DELETE FROM {collection} WHERE uuid IS ? AND idx IS ? AND blob IS ?", key)
        connection.execute(
            f"INSERT INTO {collection} (uuid, idx, blob, name, document) VALUES (?, ?, ?, ?, ?)",
            (*key, document.get("name"), json_util.dumps(document)),
        )
