"""The file of the embedded broker: its tables, its options, connections to it, and what their errors mean."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import ConfigError, StreamError
from engines.undo import undone_on_failure
from pipeline.brokers import PACKETS, BrokerError, Message, Record
from pipeline.private.files import create_new, require_own_file
from pipeline.private.key_chains import KeyChains, Unreadable, number_of

VERSION = 2
SCHEMA = """
CREATE TABLE records (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, stream TEXT NOT NULL,
    headers TEXT, value BLOB NOT NULL
) STRICT;
CREATE INDEX records_of_stream ON records (topic, stream);
CREATE TABLE latest (
    topic TEXT, stream TEXT, value BLOB NOT NULL, PRIMARY KEY (topic, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE writers (name TEXT PRIMARY KEY, generation INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE members (
    grp TEXT, name TEXT, generation INTEGER NOT NULL, expires REAL NOT NULL, PRIMARY KEY (grp, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE leases (
    grp TEXT, stream TEXT, member TEXT, generation INTEGER NOT NULL, PRIMARY KEY (grp, stream)
) STRICT, WITHOUT ROWID;
"""
# Each step of the recursion is one search in the index, however many records are between two streams.
PENDING_STREAMS = """
WITH RECURSIVE pending (stream) AS (
    SELECT min(stream) FROM records WHERE topic = 'packets'
    UNION ALL
    SELECT (SELECT min(stream) FROM records WHERE topic = 'packets' AND stream > pending.stream)
    FROM pending WHERE pending.stream IS NOT NULL
) SELECT stream FROM pending WHERE stream IS NOT NULL
"""
HINTS = {
    "SQLITE_BUSY": "another process has kept it locked for too long",
    "SQLITE_CANTOPEN": "it cannot be opened; check the folder and its rights",
    "SQLITE_CORRUPT": "it is damaged; name another file",
    "SQLITE_FULL": "the disk is full; make room",
    "SQLITE_NOTADB": "it is not a database; name another file",
    "SQLITE_PERM": "it may not be written",
    "SQLITE_READONLY": "it may not be written",
}
_MAKING = threading.Lock()
FIRST_NAP_S, LONGEST_NAP_S = 0.002, 0.05


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the URL or of the caller.

    Attributes:
        synchronous: `normal`, or `full` to survive a power cut.
        lease_s: how long a silent member keeps its streams.
        busy_s: how long to wait for another process's lock.
    """

    synchronous: str = "normal"
    lease_s: float = 5.0
    busy_s: float = 15.0

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> Options:
        unknown = sorted(set(texts) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise ConfigError(f"sqlite: unknown option {', '.join(unknown)}; there are {known}")
        if texts.get("synchronous", "normal") not in ("normal", "full"):
            raise ConfigError(f"sqlite: synchronous is normal or full, not {texts['synchronous']!r}")
        try:
            numbers = {name: float(texts[name]) for name in ("lease_s", "busy_s") if name in texts}
        except ValueError as error:
            raise ConfigError(f"sqlite: lease_s and busy_s are seconds: {error}") from error
        return cls(synchronous=texts.get("synchronous", "normal"), **numbers)


class Connection:
    """One connection to the file. Every error of SQLite is raised as a `BrokerError` that says what to do."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._seals = KeyChains(path.with_name(f"{path.name}.keys"))
        with self._errors():
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    require_own_file(path.with_name(path.name + suffix))
            # One thread uses it at a time, but not always the thread that opened it.
            self._db = sqlite3.connect(path, timeout=options.busy_s, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(options)
            except sqlite3.Error:
                self._db.close()
                raise
        self._seen, self._nap_s = -1, FIRST_NAP_S

    def _prepare(self, options: Options) -> None:
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute("PRAGMA page_size = 8192")  # takes effect in a new file only
        give_up = time.monotonic() + options.busy_s
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                # Two connections that open a new file meet here, and SQLite does not wait for this lock by itself.
                if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > give_up:
                    raise
                time.sleep(FIRST_NAP_S)
        self._db.execute(f"PRAGMA synchronous = {options.synchronous}")
        self._db.execute("PRAGMA journal_size_limit = 16777216")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            hint = next((text for prefix, text in HINTS.items() if name.startswith(prefix)), "")
            raise BrokerError(f"{self._path}: {hint or 'it failed'} ({error})") from error
        except OSError as error:
            raise BrokerError(f"{self._path}: its keys cannot be used ({error.strerror}); check the folder") from error
        except Unreadable as error:
            raise StreamError(
                f"{self._path}: {error}; after a power cut its keys may be ahead of it: delete it, and run anew"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. No other connection can write from its first line on."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            with undone_on_failure(self._roll_back):
                yield self._db
                self._db.execute("COMMIT")

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._db.execute(sql, values).fetchall()

    def records(self, topic: str, stream: str, offset: int, max_bytes: int) -> list[Record]:
        """Records from `offset` on, until they have `max_bytes` or more; at least one if there is any."""
        found: list[Record] = []
        sql = "SELECT id, value, headers FROM records WHERE topic = ? AND stream = ? AND id >= ? ORDER BY id"
        with self._errors():
            for row_id, value, headers in self._db.execute(sql, (topic, stream, offset)):
                if topic == PACKETS:
                    value = self._seals.open(stream, value)
                found.append(Record(topic, stream, row_id, row_id + 1, value, _unpack(headers)))
                max_bytes -= len(value)
                if max_bytes <= 0:
                    break
        return found

    def append(self, stream: str, messages: Sequence[Message]) -> None:
        """Within a transaction: stores messages, the clear ones sealed."""
        insert = "INSERT INTO records (topic, stream, headers, value) VALUES (?, ?, ?, ?)"
        number = -1
        with self._errors():
            for message in messages:
                value = message.value
                if message.topic == PACKETS:
                    number = self._next_number(stream) if number < 0 else number + 1
                    value = self._seals.seal(stream, number, value)
                self._db.execute(insert, (message.topic, stream, _pack(message.headers), value))

    def _next_number(self, stream: str) -> int:
        first = self._seals.begin(stream)
        last = self._number("ORDER BY id DESC", stream, 1 << 62)
        return first if last is None else max(first, last + 1)

    def _number(self, order: str, stream: str, below: int) -> int | None:
        sql = f"SELECT substr(value, 1, 8) FROM records WHERE topic = ? AND stream = ? AND id < ? {order} LIMIT 1"  # noqa: S608
        row = self._db.execute(sql, (PACKETS, stream, below)).fetchone()
        return None if row is None else number_of(row[0])

    def delete_packets(self, stream: str, below: int) -> int | None:
        """Within a transaction: deletes a stream's packets below an offset; returns the number of their last key, for
        `destroy_keys` after the transaction."""
        with self._errors():
            last = self._number("ORDER BY id DESC", stream, below)
            self._db.execute("DELETE FROM records WHERE topic = ? AND stream = ? AND id < ?", (PACKETS, stream, below))
        return last

    def destroy_keys(self, stream: str, last: int | None) -> None:
        """Makes unreadable what was deleted, wherever it still lies: in the write-ahead log, on the disk."""
        if last is not None:
            with self._errors():
                self._seals.destroy(stream, last + 1)

    def drop_keys(self, stream: str | None = None) -> None:
        """Of a stream, or of all."""
        with self._errors():
            if stream is None:
                self._seals.drop_all()
            else:
                self._seals.drop(stream)

    def nap(self, until: float) -> None:
        """Sleeps until another connection has committed something, or until the (monotonic) time `until`.

        While there is no commit, it checks less and less often, also across several naps.
        """
        while (left_s := until - time.monotonic()) > 0:
            (version,) = self.rows("PRAGMA data_version")[0]
            if version != self._seen:
                self._seen, self._nap_s = version, FIRST_NAP_S
                return
            time.sleep(min(self._nap_s, left_s))
            self._nap_s = min(self._nap_s * 1.5, LONGEST_NAP_S)

    def close(self) -> None:
        with self._errors():
            self._db.close()


def replace(db: sqlite3.Connection, topic: str, stream: str, value: bytes) -> None:
    db.execute("INSERT OR REPLACE INTO latest VALUES (?, ?, ?)", (topic, stream, value))


def _pack(headers: Mapping[str, bytes]) -> str | None:
    return json.dumps({key: value.decode("latin-1") for key, value in headers.items()}) if headers else None


def _unpack(headers: str | None) -> dict[str, bytes]:
    return {key: value.encode("latin-1") for key, value in json.loads(headers).items()} if headers else {}


def latest(connection: Connection, topic: str, stream: str) -> bytes | None:
    rows = connection.rows("SELECT value FROM latest WHERE topic = ? AND stream = ?", topic, stream)
    return rows[0][0] if rows else None


def make_file(path: Path, options: Options) -> None:
    """Creates folder, file and tables if they are missing.

    Raises:
        BrokerError: it cannot be created or opened, or is no database of this layout.
    """
    try:
        with _MAKING:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its side files the mode of the main file, so that must be set before the first byte. An
            # existing file must not be opened here: closing it would release the locks of all connections of this
            # process, and another process would then treat the write-ahead log as its own and delete it.
            with suppress(FileExistsError):
                os.close(create_new(path))
            require_own_file(path)
    except OSError as error:
        raise BrokerError(f"{path}: cannot be made or opened ({error.strerror}); check the folder") from error
    connection = Connection(path, options)
    try:
        with connection.transaction() as db:
            ((version,),) = db.execute("PRAGMA user_version").fetchall()
            if version == 0:
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise BrokerError(f"{path}: has layout {version}, this is made for {VERSION}; name another file")
    finally:
        connection.close()
