"""What earlier runs have computed, found by the hash of its input.

The driver of a run writes an index of other stores; its jobs, in whatever process, look results up in it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bson import json_util

from mscflow.database import open_to_read
from mscflow.whole_file import write_whole

VARIABLE = "MSCFLOW_EARLIER"
"""Environment variable with the path of the index; empty or missing: there is none."""

INDEX_FILE = "earlier.json"


def write_index(stores: Iterable[Path], path: Path) -> Path:
    """Write where the results of given stores lie: ``{input_hash: [[store, uuid, index], ...]}``.

    Parameters
    ----------
    stores
        SQLite files; one that cannot be read is left out, since nothing depends on it.
    path
        The JSON file.
    """
    found: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    query = (
        "SELECT json_extract(document, '$.output.input_hash') AS hash, uuid, idx FROM outputs "
        "WHERE hash IS NOT NULL ORDER BY id"
    )
    for store in stores:
        for digest, uuid, index in _rows(store, query):
            found[str(digest)].append((str(store.absolute()), uuid, index))
    return write_whole(path, json.dumps(found))


def earlier_outputs(input_hash: str) -> Iterator[tuple[str, Any]]:
    """Yield name of the run and output of every earlier job with this hash of its input."""
    path = Path(os.environ.get(VARIABLE) or INDEX_FILE)
    known = _index(path, path.stat().st_mtime_ns) if VARIABLE in os.environ and path.is_file() else {}
    for store, uuid, index in known.get(input_hash, []):
        for (text,) in _rows(Path(store), "SELECT document FROM outputs WHERE uuid=? AND idx=?", uuid, index):
            yield Path(store).parent.name, json_util.loads(text).get("output")


@cache
def _index(path: Path, changed: int) -> dict[str, list[tuple[str, str, int]]]:  # noqa: ARG001 - a new file is read
    return json.loads(path.read_text())


def _rows(store: Path, query: str, *values: object) -> list[tuple]:
    """Return rows of a store that is only read; none where it cannot be read."""
    try:
        connection = open_to_read(store)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return []
