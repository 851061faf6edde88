"""A MongoDB server for tests: the wire protocol in front of mongomock, one command at a time.

There is no MongoDB in the package registries, and jobflow-remote talks to nothing else. What it sends goes
over a socket through PyMongo as it would to the real one; commands that are missing here are refused.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import bson
import mongomock_ng
from bson.codec_options import CodecOptions
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

QUERY, REPLY, MESSAGE = 2004, 1, 2013
CODEC: CodecOptions = CodecOptions(tz_aware=False)
Document = dict[str, Any]

HELLO = {
    "ismaster": True,
    "isWritablePrimary": True,
    "helloOk": True,
    "maxBsonObjectSize": 16 * 2**20,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30,
    "minWireVersion": 0,
    "maxWireVersion": 17,
    "readOnly": False,
}


@contextmanager
def mongo_server() -> Iterator[int]:
    """Serve on a free port of the loopback interface and give its number."""
    server = Server(("127.0.0.1", 0), Connection)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Server(socketserver.ThreadingTCPServer):
    """One database for all connections."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.client = mongomock_ng.MongoClient()
        self.lock = threading.Lock()

    def answer(self, database: str, command: Document) -> Document:
        """Return the reply to a command."""
        name = next(iter(command))
        handler = COMMANDS.get(name.lower())
        if handler is None:
            return {
                "ok": 0.0,
                "errmsg": f"no such command: {name}",
                "code": 59,
                "codeName": "CommandNotFound",
            }
        try:
            with self.lock:
                return {**handler(self.client[database], command), "ok": 1.0}
        except (DuplicateKeyError, BulkWriteError) as err:
            return {"n": 0, "writeErrors": [{"index": 0, "code": 11000, "errmsg": str(err)}], "ok": 1.0}
        except (PyMongoError, NotImplementedError, ValueError) as err:
            return {"ok": 0.0, "errmsg": f"{name}: {err}", "code": 2, "codeName": "BadValue"}


class Connection(socketserver.BaseRequestHandler):
    """Messages of one client in turn."""

    server: Server

    def handle(self) -> None:
        """Answer until the client leaves."""
        while header := self._receive(16):
            length, number, _, code = struct.unpack("<iiii", header)
            body = self._receive(length - 16)
            if code == QUERY:
                database, command = query(body)
                reply = struct.pack("<iqii", 0, 0, 0, 1) + bson.encode(self.server.answer(database, command))
                self._send(REPLY, number, reply)
            elif code == MESSAGE:
                command, wants_reply = message(body)
                found = self.server.answer(str(command.pop("$db", "admin")), command)
                if wants_reply:
                    self._send(MESSAGE, number, struct.pack("<IB", 0, 0) + bson.encode(found))
            else:
                return

    def _receive(self, length: int) -> bytes:
        parts = b""
        while len(parts) < length:
            part = self.request.recv(length - len(parts))
            if not part:
                return b""
            parts += part
        return parts

    def _send(self, code: int, to: int, body: bytes) -> None:
        self.request.sendall(struct.pack("<iiii", 16 + len(body), 0, to, code) + body)


def query(body: bytes) -> tuple[str, Document]:
    """Return database and command of an old message, which drivers open a connection with."""
    end = body.index(b"\0", 4)
    start = end + 9
    (size,) = struct.unpack_from("<i", body, start)
    return body[4:end].decode().split(".")[0], bson.decode(body[start : start + size], CODEC)


def message(body: bytes) -> tuple[Document, bool]:
    """Return the command of a message with its sequences of documents, and whether a reply is wanted."""
    (flags,) = struct.unpack_from("<I", body)
    end = len(body) - (4 if flags & 1 else 0)
    position, command, sequences = 4, {}, {}
    while position < end:
        kind = body[position]
        (size,) = struct.unpack_from("<i", body, position + 1)
        part = body[position + 1 : position + 1 + size]
        if kind == 0:
            command = bson.decode(part, CODEC)
        else:
            stop = part.index(b"\0", 4)
            sequences[part[4:stop].decode()] = bson.decode_all(part[stop + 1 :], CODEC)
        position += 1 + size
    return {**command, **sequences}, not flags & 2


def cursor(database: Any, collection: str, documents: Any) -> Document:
    """Return everything in one batch."""
    return {"cursor": {"id": 0, "ns": f"{database.name}.{collection}", "firstBatch": list(documents)}}


def find(database: Any, command: Document) -> Document:
    """Find documents."""
    found = database[command["find"]].find(command.get("filter", {}), command.get("projection") or None)
    if command.get("sort"):
        found = found.sort(list(command["sort"].items()))
    found = found.skip(command.get("skip", 0))
    limit = abs(command.get("limit", 0))
    return cursor(database, command["find"], found.limit(limit) if limit else found)


def aggregate(database: Any, command: Document) -> Document:
    """Run a pipeline."""
    name = command["aggregate"]
    return cursor(database, name, database[name].aggregate(command["pipeline"]))


def insert(database: Any, command: Document) -> Document:
    """Insert documents."""
    return {"n": len(database[command["insert"]].insert_many(command["documents"]).inserted_ids)}


def update(database: Any, command: Document) -> Document:
    """Update documents one statement after the other."""
    collection = database[command["update"]]
    n = modified = 0
    upserted = []
    for index, statement in enumerate(command["updates"]):
        change, upsert = statement["u"], statement.get("upsert", False)
        if isinstance(change, dict) and not any(key.startswith("$") for key in change):
            result = collection.replace_one(statement["q"], change, upsert=upsert)
        else:
            method = collection.update_many if statement.get("multi") else collection.update_one
            result = method(statement["q"], change, upsert=upsert)
        n += result.matched_count
        modified += result.modified_count
        if result.upserted_id is not None:
            n += 1
            upserted.append({"index": index, "_id": result.upserted_id})
    return {"n": n, "nModified": modified, **({"upserted": upserted} if upserted else {})}


def delete(database: Any, command: Document) -> Document:
    """Delete documents."""
    collection = database[command["delete"]]
    results = [
        (collection.delete_one if statement.get("limit") else collection.delete_many)(statement["q"])
        for statement in command["deletes"]
    ]
    return {"n": sum(result.deleted_count for result in results)}


def find_and_modify(database: Any, command: Document) -> Document:
    """Change one document and give it back as it was, or as it is."""
    collection = database[command.get("findAndModify") or command["findandmodify"]]
    options = {"projection": command.get("fields") or None}
    if command.get("sort"):
        options["sort"] = list(command["sort"].items())
    if command.get("remove"):
        value = collection.find_one_and_delete(command.get("query", {}), **options)
    else:
        value = collection.find_one_and_update(
            command.get("query", {}),
            command["update"],
            upsert=command.get("upsert", False),
            return_document=ReturnDocument.AFTER if command.get("new") else ReturnDocument.BEFORE,
            **options,
        )
    return {"value": value, "lastErrorObject": {"n": int(value is not None)}}


def create_indexes(database: Any, command: Document) -> Document:
    """Make indices."""
    collection = database[command["createIndexes"]]
    for index in command["indexes"]:
        collection.create_index(list(index["key"].items()), unique=index.get("unique", False))
    return {}


def drop(database: Any, command: Document) -> Document:
    """Drop a collection."""
    database.drop_collection(command["drop"])
    return {}


def list_collections(database: Any, _command: Document) -> Document:
    """List collections."""
    names = [{"name": name, "type": "collection"} for name in database.list_collection_names()]
    return cursor(database, "$cmd.listCollections", names)


COMMANDS: dict[str, Callable[[Any, Document], Document]] = {
    "hello": lambda database, command: {**HELLO, "localTime": datetime.now()},
    "ismaster": lambda database, command: {**HELLO, "localTime": datetime.now()},
    "ping": lambda database, command: {},
    "endsessions": lambda database, command: {},
    "killcursors": lambda database, command: {},
    "buildinfo": lambda database, command: {"version": "6.0.0", "versionArray": [6, 0, 0, 0]},
    "find": find,
    "aggregate": aggregate,
    "insert": insert,
    "update": update,
    "delete": delete,
    "findandmodify": find_and_modify,
    "createindexes": create_indexes,
    "drop": drop,
    "dropindexes": lambda database, command: {},
    "listcollections": list_collections,
    "distinct": lambda database, command: {
        "values": database[command["distinct"]].distinct(command["key"], command.get("query"))
    },
    "count": lambda database, command: {
        "n": database[command["count"]].count_documents(command.get("query", {}))
    },
}
