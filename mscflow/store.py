"""The durable embedded store: a maggma `Store` on one SQLite file, no server.

A committed document survives the death of the process (`mscflow.database`). Documents are found by ``uuid``
and ``index`` through an SQL index, so that the cost of a job does not grow with the number of jobs; other
criteria have MongoDB's meaning and are applied to the documents that remain.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby as group_runs
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bson import json_util
from maggma.core import Sort, Store

from mscflow.database import COLLECTIONS, explain, open_database, transaction, upsert
from mscflow.errors import StoreError

if TYPE_CHECKING:
    from jobflow import JobStore

MEMORY = ":memory:"
"""Path of a store that ends with its process."""

IN_LIMIT = 500


class SQLiteStore(Store):
    """One collection of documents in an SQLite file.

    Parameters
    ----------
    path
        The file.
    collection_name
        ``"outputs"`` or ``"data"``.
    kwargs
        Passed on to maggma's `Store` (``key``, ``last_updated_field``, ...).
    """

    def __init__(self, path: str, collection_name: str = "outputs", **kwargs: Any) -> None:
        if collection_name not in COLLECTIONS:
            raise StoreError(f"unknown collection {collection_name!r}: known are {', '.join(COLLECTIONS)}")
        self.path = str(path)
        self.collection_name = collection_name
        self._connection: sqlite3.Connection | None = None
        super().__init__(**{"key": "uuid", **kwargs})

    @property
    def name(self) -> str:
        """A name for messages."""
        return f"sqlite://{self.path}/{self.collection_name}"

    @property
    def _collection(self) -> sqlite3.Connection:
        if self._connection is None:
            self.connect()
        assert self._connection is not None  # noqa: S101 - connect sets it or raises
        return self._connection

    def connect(self, force_reset: bool = False) -> None:
        """Open the file."""
        if self._connection is None or force_reset:
            self.close()
            self._connection = open_database(Path(self.path))

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the connection out: it belongs to this process."""
        return {**self.__dict__, "_connection": None}

    def __eq__(self, other: object) -> bool:
        """Two stores are equal when they are the same collection of the same file."""
        return isinstance(other, SQLiteStore) and self.name == other.name

    def __hash__(self) -> int:
        """Hash by file and collection."""
        return hash(self.name)

    def query(
        self,
        criteria: dict | None = None,
        properties: dict | list | None = None,
        sort: dict[str, Sort | int] | None = None,
        skip: int = 0,
        limit: int = 0,
    ) -> Iterator[dict]:
        """Yield documents that match MongoDB criteria; see `maggma.core.Store.query`."""
        found = self._matching(criteria)
        if sort:
            documents = list(found)
            for field, order in reversed(list(sort.items())):
                descending = (order.value if isinstance(order, Sort) else order) == -1
                documents.sort(key=lambda doc: _sort_key(_get(doc, field)), reverse=descending)
            found = iter(documents)
        for document in islice(found, skip, skip + limit if limit else None):
            yield _project(document, properties)

    def count(self, criteria: dict | None = None, hint: dict | None = None) -> int:  # noqa: ARG002
        """Return the number of matching documents."""
        if not criteria:
            return self._collection.execute(f"SELECT count(*) FROM {self.collection_name}").fetchone()[0]
        return sum(1 for _ in self._matching(criteria))

    def update(self, docs: list[dict] | dict, key: list | str | None = None) -> None:
        """Write documents; those that agree in `key` with one already there replace it."""
        documents = docs if isinstance(docs, list) else [docs]
        keys = [key] if isinstance(key, str) else list(key or [self.key])
        with transaction(self._collection, Path(self.path)) as connection:
            for document in documents:
                self._remove({field: document.get(field) for field in keys})
                upsert(connection, self.collection_name, [document])

    def ensure_index(self, key: str, unique: bool = False) -> bool:  # noqa: ARG002
        """Return whether a field is indexed; uuid, index and blob_uuid are, from the start."""
        return key in ("uuid", "index", "blob_uuid")

    def groupby(
        self,
        keys: list[str] | str,
        criteria: dict | None = None,
        properties: dict | list | None = None,
        sort: dict[str, Sort | int] | None = None,
        skip: int = 0,
        limit: int = 0,
    ) -> Iterator[tuple[dict, list[dict]]]:
        """Yield groups of documents that agree in `keys`."""
        fields = [keys] if isinstance(keys, str) else list(keys)
        having = [d for d in self.query(criteria, sort=sort) if all(_has(d, f) for f in fields)]
        ordered = sorted(having, key=lambda doc: [_sort_key(_get(doc, f)) for f in fields])
        runs = group_runs(ordered, key=lambda doc: [_sort_key(_get(doc, f)) for f in fields])
        for n, (_, group) in enumerate(runs):
            if n < skip or (limit and n >= skip + limit):
                continue
            members = list(group)
            group_id: dict[str, Any] = {}
            for field in fields:
                _set(group_id, field, _get(members[0], field))
            yield group_id, [_project(doc, properties) for doc in members]

    def remove_docs(self, criteria: dict) -> None:
        """Remove matching documents."""
        with transaction(self._collection, Path(self.path)):
            self._remove(criteria)

    def _remove(self, criteria: dict) -> None:
        gone = [(row,) for row, _ in self._rows(criteria)]
        self._collection.executemany(f"DELETE FROM {self.collection_name} WHERE id=?", gone)

    def _matching(self, criteria: dict | None) -> Iterator[dict]:
        return (document for _, document in self._rows(criteria or {}))

    def _rows(self, criteria: dict) -> list[tuple[int, dict]]:
        from mongomock_ng.filtering import filter_applies

        where, values = _pushed_down(criteria)
        sql = f"SELECT id, document FROM {self.collection_name} {where} ORDER BY id"
        try:
            rows = self._collection.execute(sql, values).fetchall()
        except sqlite3.Error as err:
            raise explain(err, Path(self.path)) from err
        documents = ((row, json_util.loads(text)) for row, text in rows)
        return [(row, document) for row, document in documents if filter_applies(criteria, document)]


def _pushed_down(criteria: dict) -> tuple[str, list[Any]]:
    """Return an SQL condition that every matching document fulfils, from the indexed fields."""
    clauses: list[str] = []
    values: list[Any] = []
    for field, column in (("uuid", "uuid"), ("index", "idx"), ("blob_uuid", "blob"), ("name", "name")):
        condition = criteria.get(field)
        if isinstance(condition, str | int):
            clauses.append(f"{column} = ?")
            values.append(condition)
        elif isinstance(condition, dict) and isinstance(condition.get("$in"), list | tuple):
            members = [member for member in condition["$in"] if isinstance(member, str | int)]
            if members and len(members) == len(condition["$in"]) <= IN_LIMIT:
                clauses.append(f"{column} IN ({','.join('?' * len(members))})")
                values += members
    return ("WHERE " + " AND ".join(clauses) if clauses else ""), values


def _walk(document: Any, field: str) -> Any:
    for part in field.split("."):
        document = document[int(part) if isinstance(document, list) and part.isdigit() else part]
    return document


def _get(document: dict, field: str) -> Any:
    try:
        return _walk(document, field)
    except (KeyError, IndexError, TypeError):
        return None


def _has(document: dict, field: str) -> bool:
    try:
        _walk(document, field)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _set(document: dict, field: str, value: Any) -> None:
    *parents, last = field.split(".")
    for part in parents:
        document = document.setdefault(part, {})
    document[last] = value


def _sort_key(value: Any) -> tuple[int, Any]:
    """Order values as MongoDB does across types: null, numbers, text, the rest by its text."""
    if value is None:
        return (0, 0)
    if isinstance(value, bool):
        return (8, value)
    if isinstance(value, int | float):
        return (1, value)
    return (2, value) if isinstance(value, str) else (3, str(value))


def _project(document: dict, properties: dict | list | None) -> dict:
    if not properties:
        return document
    chosen = properties if isinstance(properties, dict) else dict.fromkeys(properties, 1)
    dropped = [field for field, keep in chosen.items() if not keep]
    if dropped and len(dropped) == len(chosen):
        for field in dropped:
            *parents, last = field.split(".")
            home: Any = _get(document, ".".join(parents)) if parents else document
            if isinstance(home, dict):
                home.pop(last, None)
        return document
    projected: dict = {}
    for field, keep in chosen.items():
        if keep and _has(document, field):
            _set(projected, field, _get(document, field))
    return projected


def job_store(path: str | Path) -> JobStore:
    """Return a jobflow `JobStore` on the SQLite file `path`, with ``data`` for large objects."""
    from jobflow import JobStore

    return JobStore(
        SQLiteStore(str(path), "outputs"), additional_stores={"data": SQLiteStore(str(path), "data")}
    )
