"""The embedded broker: topics, leases and fences as tables of one SQLite file that several processes share.

    sqlite:///folder/facewarden.db?synchronous=full&lease_s=5&busy_s=15

Everything that belongs together is one SQL transaction, so a process may be killed at any instant. What was
committed survives a killed process; with `synchronous=full` also a power cut. Values travel whole whatever their size:
SQLite takes blobs of up to 1 GB. Folder and files are for their owner only, and deleted records are overwritten with
zeros; the write-ahead log beside the file may hold them until `drop`, or until the last process closes it.

A member keeps its leases alive from a thread of its own. A lease carries a generation that grows with every claim and
is looked at inside the committing transaction: a member that slept through the end of its lease is fenced then.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from engines import ConfigError
from pipeline.brokers import INGEST, PACKETS, STATE, BrokerError, Fenced, Message, Record

log = logging.getLogger(__name__)

VERSION = 1
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
# Each step of the recursion is one seek in the index, however many records lie between two streams.
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
    "SQLITE_CANTOPEN": "it cannot be opened; check that the folder exists and may be written",
    "SQLITE_CORRUPT": "it is damaged; name another file",
    "SQLITE_FULL": "the disk is full; make room",
    "SQLITE_NOTADB": "it is not a database; name another file",
    "SQLITE_PERM": "it may not be written",
    "SQLITE_READONLY": "it may not be written",
}
CLAIM_EVERY_S = 0.2
FIRST_NAP_S, LONGEST_NAP_S = 0.002, 0.02


@dataclass(frozen=True, slots=True)
class Options:
    """What the URL or the caller may choose.

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
    """One connection to the file; every failure of SQLite comes out as a `BrokerError` that says what to do."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        with self._errors():
            # One thread uses it at a time, but not always the thread that made it.
            self._db = sqlite3.connect(path, timeout=options.busy_s, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(options)
            except sqlite3.Error:
                self._db.close()
                raise
        self._seen = -1

    def _prepare(self, options: Options) -> None:
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute("PRAGMA page_size = 8192")  # takes effect in a new file only
        give_up = time.monotonic() + options.busy_s
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                # Two first openers meet here, and SQLite does not wait for this lock by itself.
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

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and alone among writers from its first line on."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._db.execute(sql, values).fetchall()

    def records(self, topic: str, stream: str, offset: int, max_bytes: int) -> list[Record]:
        """Records from `offset` on: as many as fit into `max_bytes`, and one at the least."""
        found: list[Record] = []
        sql = "SELECT id, value, headers FROM records WHERE topic = ? AND stream = ? AND id >= ? ORDER BY id"
        with self._errors():
            for at, value, headers in self._db.execute(sql, (topic, stream, offset)):
                found.append(Record(topic, stream, at, at + 1, value, _unpack(headers)))
                max_bytes -= len(value)
                if max_bytes <= 0:
                    break
        return found

    def nap(self, until: float) -> None:
        """Sleeps until another connection has committed something, or until the (monotonic) time has come."""
        nap_s = FIRST_NAP_S
        while (left_s := until - time.monotonic()) > 0:
            (version,) = self.rows("PRAGMA data_version")[0]
            if version != self._seen:
                self._seen = version
                return
            time.sleep(min(nap_s, left_s))
            nap_s = min(nap_s * 1.5, LONGEST_NAP_S)

    def close(self) -> None:
        with self._errors():
            self._db.close()


def _append(db: sqlite3.Connection, stream: str, messages: Sequence[Message]) -> None:
    db.executemany(
        "INSERT INTO records (topic, stream, headers, value) VALUES (?, ?, ?, ?)",
        [(m.topic, stream, _pack(m.headers), m.value) for m in messages],
    )


def _replace(db: sqlite3.Connection, topic: str, stream: str, value: bytes) -> None:
    db.execute("INSERT OR REPLACE INTO latest VALUES (?, ?, ?)", (topic, stream, value))


def _pack(headers: Mapping[str, bytes]) -> str | None:
    return json.dumps({key: value.decode("latin-1") for key, value in headers.items()}) if headers else None


def _unpack(headers: str | None) -> dict[str, bytes]:
    return {key: value.encode("latin-1") for key, value in json.loads(headers).items()} if headers else {}


class SqliteWriter:
    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self._name = connection, name
        claim = (
            "INSERT INTO writers VALUES (?, 1) "
            "ON CONFLICT DO UPDATE SET generation = generation + 1 RETURNING generation"
        )
        with connection.transaction() as db:
            ((self._generation,),) = db.execute(claim, (name,)).fetchall()

    def write(self, stream: str, messages: Sequence[Message], state: bytes) -> None:
        with self._connection.transaction() as db:
            now = db.execute("SELECT generation FROM writers WHERE name = ?", (self._name,)).fetchone()
            if now != (self._generation,):
                raise Fenced(f"writer {self._name}: a newer one of this name has begun; end this one")
            _append(db, stream, messages)
            _replace(db, INGEST, stream, state)

    def backlog(self, stream: str) -> int:
        # What lies below the committed resume offset has been deleted by the commit.
        sql = "SELECT count(*) FROM records WHERE topic = ? AND stream = ?"
        return int(self._connection.rows(sql, PACKETS, stream)[0][0])

    def close(self) -> None:
        self._connection.close()


@dataclass(slots=True)
class _Lease:
    generation: int
    next_offset: int = 0
    polled: bool = False


class SqliteMember:
    """A member whose name joins again is inert from then on: it polls nothing, and its commits are fenced."""

    def __init__(self, path: Path, options: Options, group: str, name: str) -> None:
        self._group, self._name, self._lease_s = group, name, options.lease_s
        self._connection = Connection(path, options)
        self._owned: dict[str, _Lease] = {}
        self._claim_at = 0.0
        join = (
            "INSERT INTO members VALUES (?, ?, 1, ?) ON CONFLICT (grp, name) "
            "DO UPDATE SET generation = generation + 1, expires = excluded.expires RETURNING generation"
        )
        take_over = (
            "UPDATE leases SET generation = generation + 1 WHERE grp = ? AND member = ? RETURNING stream, generation"
        )
        with self._connection.transaction() as db:
            ((self._generation,),) = db.execute(join, (group, name, time.time() + self._lease_s)).fetchall()
            for stream, generation in db.execute(take_over, (group, name)).fetchall():
                self._owned[stream] = _Lease(generation)
        self._closed = threading.Event()
        self._pulse = threading.Thread(target=self._beat, args=(Connection(path, options),), daemon=True)
        self._pulse.start()

    def _beat(self, connection: Connection) -> None:
        beat = "UPDATE members SET expires = ? WHERE grp = ? AND name = ? AND generation = ?"
        while not self._closed.wait(self._lease_s / 4):
            try:
                with connection.transaction() as db:
                    db.execute(beat, (time.time() + self._lease_s, self._group, self._name, self._generation))
            except BrokerError as error:
                log.warning("heartbeat of %s: %s", self._name, error)
        connection.close()

    def poll(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        until = time.monotonic() + timeout_s
        while True:
            self._notice_losses()
            if time.monotonic() >= self._claim_at:
                self._claim()
                self._claim_at = time.monotonic() + min(CLAIM_EVERY_S, self._lease_s / 4)
            records = self._next(max_bytes)
            if records or time.monotonic() >= until:
                return records
            self._connection.nap(min(until, self._claim_at))

    def _notice_losses(self) -> None:
        leases = self._leases()
        for stream in [s for s, lease in self._owned.items() if leases.get(s) != lease.generation]:
            del self._owned[stream]

    def _leases(self) -> dict[str, int]:
        sql = (
            "SELECT stream, leases.generation FROM leases JOIN members ON members.grp = leases.grp AND name = member "
            "WHERE leases.grp = ? AND member = ? AND members.generation = ?"
        )
        return dict(self._connection.rows(sql, self._group, self._name, self._generation))

    def _next(self, max_bytes: int) -> list[Record]:
        records: list[Record] = []
        # Who was served is asked last the next time, so that no stream starves behind a fast one.
        for stream, lease in list(self._owned.items()):
            if max_bytes <= 0:
                break
            found = self._connection.records(PACKETS, stream, lease.next_offset, max_bytes)
            if found:
                lease.next_offset, lease.polled = found[-1].next_offset, True
                max_bytes -= sum(len(record.value) for record in found)
                self._owned[stream] = self._owned.pop(stream)
                records += found
        return records

    def _claim(self) -> None:
        """Takes free streams up to a fair share, and lets go of what is above it."""
        if not any(self._plan()):
            return
        claim = (
            "INSERT INTO leases VALUES (?, ?, ?, 1) ON CONFLICT (grp, stream) "
            "DO UPDATE SET member = excluded.member, generation = generation + 1 RETURNING generation"
        )
        with self._connection.transaction() as db:
            take, leave = self._plan()
            for stream in take:
                ((generation,),) = db.execute(claim, (self._group, stream, self._name)).fetchall()
                self._owned[stream] = _Lease(generation)
            for stream in leave:
                db.execute("UPDATE leases SET member = NULL WHERE grp = ? AND stream = ?", (self._group, stream))
                del self._owned[stream]

    def _plan(self) -> tuple[list[str], list[str]]:
        """Streams to take and streams to leave."""
        rows = self._connection.rows
        live = dict(
            rows("SELECT name, generation FROM members WHERE grp = ? AND expires > ?", self._group, time.time())
        )
        if live.get(self._name, self._generation) != self._generation:
            return [], []
        owners = rows("SELECT stream, member FROM leases WHERE grp = ? AND member IS NOT NULL", self._group)
        owned = {stream for stream, member in owners if member in live or member == self._name}
        pending = [stream for (stream,) in rows(PENDING_STREAMS)]
        share = -(-len(owned.union(pending)) // max(1, len(live)))
        free = [stream for stream in pending if stream not in owned]
        mine = list(self._owned)
        return free[: max(0, share - len(mine))], mine[share:]

    def streams(self) -> frozenset[str]:
        return frozenset(stream for stream, lease in self._owned.items() if lease.polled)

    def state(self, stream: str) -> bytes | None:
        return _latest(self._connection, STATE, stream)

    def commit(
        self, stream: str, messages: Sequence[Message], state: bytes, *, resume_offset: int, ended: bool = False
    ) -> None:
        with self._storing(stream) as (db, lease):
            if ended:
                # Nobody resumes: all that this member has been given is done with.
                resume_offset = max(resume_offset, lease.next_offset)
                db.execute("UPDATE leases SET member = NULL WHERE grp = ? AND stream = ?", (self._group, stream))
            _append(db, stream, messages)
            _replace(db, STATE, stream, state)
            db.execute(
                "DELETE FROM records WHERE topic = ? AND stream = ? AND id < ?", (PACKETS, stream, resume_offset)
            )
        if ended:
            del self._owned[stream]

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        with self._storing(stream) as (db, _):
            _append(db, stream, messages)

    @contextmanager
    def _storing(self, stream: str) -> Iterator[tuple[sqlite3.Connection, _Lease]]:
        """A transaction that begins with a look at the lease."""
        try:
            with self._connection.transaction() as db:
                lease = self._owned.get(stream)
                if lease is None or self._leases().get(stream) != lease.generation:
                    raise Fenced(f"{stream}: {self._name} does not own it; drop what is in memory of it")
                yield db, lease
        except Fenced:
            self._owned.pop(stream, None)
            raise
        except BrokerError:
            self.rewind(stream)
            raise

    def rewind(self, stream: str) -> None:
        if stream in self._owned:
            self._owned[stream].next_offset = 0

    def close(self) -> None:
        self._closed.set()
        leave = "DELETE FROM members WHERE grp = ? AND name = ? AND generation = ? RETURNING name"
        try:
            with self._connection.transaction() as db:
                if db.execute(leave, (self._group, self._name, self._generation)).fetchall():
                    free = "UPDATE leases SET member = NULL WHERE grp = ? AND member = ?"
                    db.execute(free, (self._group, self._name))
        except BrokerError as error:
            log.warning("%s could not leave, its leases lapse by themselves: %s", self._name, error)
        self._pulse.join()
        self._connection.close()


class SqliteReader:
    def __init__(self, connection: Connection, topic: str, stream: str, offset: int) -> None:
        self._connection, self._topic, self._stream, self._offset = connection, topic, stream, offset

    def read(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        until = time.monotonic() + timeout_s
        while True:
            records = self._connection.records(self._topic, self._stream, self._offset, max_bytes)
            if records:
                self._offset = records[-1].next_offset
                return records
            if time.monotonic() >= until:
                return []
            self._connection.nap(until)

    def close(self) -> None:
        self._connection.close()


def _latest(connection: Connection, topic: str, stream: str) -> bytes | None:
    rows = connection.rows("SELECT value FROM latest WHERE topic = ? AND stream = ?", topic, stream)
    return rows[0][0] if rows else None


class SqliteBroker:
    """See the module. Every part has a connection of its own; an error leaves it usable.

    Raises:
        ConfigError: an unknown option.
        BrokerError: the file cannot be made or opened, or is something else.
    """

    def __init__(self, url: str, **options: str) -> None:
        path, _, query = url.removeprefix("sqlite://").partition("?")
        if not path:
            raise ConfigError(f"{url}: names no file; use sqlite:///folder/facewarden.db")
        self._options = Options.parse({**dict(parse_qsl(query)), **options})
        self._path = Path(path)
        self._make()
        self._lock = threading.Lock()
        self._connection = Connection(self._path, self._options)
        with self._connection.transaction() as db:
            ((version,),) = db.execute("PRAGMA user_version").fetchall()
            if version == 0:
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise BrokerError(f"{path}: has layout {version}, this is made for {VERSION}; name another file")

    def _make(self) -> None:
        # SQLite gives its side files the mode of the main one, so it must be right before the first byte.
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._path.chmod(0o600)
        except OSError as error:
            raise BrokerError(f"{self._path}: cannot be made or opened ({error.strerror}); check the folder") from error

    def writer(self, name: str) -> SqliteWriter:
        return SqliteWriter(Connection(self._path, self._options), name)

    def member(self, group: str, name: str) -> SqliteMember:
        return SqliteMember(self._path, self._options, group, name)

    def reader(self, topic: str, stream: str, offset: int = 0) -> SqliteReader:
        return SqliteReader(Connection(self._path, self._options), topic, stream, offset)

    def latest(self, topic: str, stream: str) -> bytes | None:
        with self._lock:
            return _latest(self._connection, topic, stream)

    def drop(self, stream: str) -> None:
        """Deletes all records, values and leases of the stream, and empties the write-ahead log if nobody reads it."""
        with self._lock:
            with self._connection.transaction() as db:
                for table in ("records", "latest", "leases"):
                    db.execute(f"DELETE FROM {table} WHERE stream = ?", (stream,))  # noqa: S608
            with suppress(BrokerError):
                self._connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with self._lock:
            self._connection.close()
