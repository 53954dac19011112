"""The embedded broker: topics, leases and generations as tables of one SQLite file that several processes share.

    sqlite:///folder/facewarden.db?synchronous=full&lease_s=5&busy_s=15

Each call that stores something is one SQL transaction, so a process may be killed at any instant. What was committed
survives a killed process, and with `synchronous=full` also a power cut. Values are stored whole whatever their size:
SQLite accepts blobs of up to 1 GB. Folder and files are accessible to their owner only. Packets, which are clear, are
encrypted, each with a key of its own; after the commit that deletes them their keys are destroyed, so that what the
write-ahead log or the disk keep of them cannot be read (`private.key_chains`). The keys lie in `facewarden.db.keys`
next to it. After a power cut they may be ahead of a file with `synchronous=normal`, which then has to be deleted. A
member renews its leases from a thread of its own. A lease has a generation that increases with every claim and is
checked inside the committing transaction: a member that was suspended beyond the end of its lease is fenced there.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from engines import ConfigError
from pipeline.brokers import INGEST, PACKETS, STATE, BrokerError, Fenced, Message, Record
from pipeline.brokers.sqlite_file import PENDING_STREAMS, Connection, Options, latest, make_file, replace

log = logging.getLogger(__name__)

CLAIM_EVERY_S = 0.2


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
            self._connection.append(stream, messages)
            replace(db, INGEST, stream, state)

    def backlog(self, stream: str) -> int:
        # Records below the committed resume offset have been deleted by the commit.
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
    """Once another member joins under its name, it is inert: it polls nothing, and its commits are fenced."""

    def __init__(self, path: Path, options: Options, group: str, name: str, streams: str = "") -> None:
        self._streams = streams
        self._group, self._name, self._lease_s = group, name, options.lease_s
        self._connection = Connection(path, options)
        self._owned: dict[str, _Lease] = {}
        self._claim_at = 0.0
        join = (
            "INSERT INTO members VALUES (?, ?, 1, ?) ON CONFLICT (grp, name) "
            "DO UPDATE SET generation = generation + 1, expires = excluded.expires RETURNING generation"
        )
        take_over = "UPDATE leases SET generation = generation + 1 WHERE grp = ? AND member = ?"
        with self._connection.transaction() as db:
            ((self._generation,),) = db.execute(join, (group, name, time.time() + self._lease_s)).fetchall()
            db.execute(take_over, (group, name))
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
            self._look()
            if time.monotonic() >= self._claim_at:
                self._claim()
                self._claim_at = time.monotonic() + min(CLAIM_EVERY_S, self._lease_s / 4)
            records = self._next(max_bytes)
            if records or time.monotonic() >= until:
                return records
            self._connection.nap(min(until, self._claim_at))

    def _look(self) -> None:
        """Updates which streams are owned."""
        leases = self._leases()
        for stream in [s for s, lease in self._owned.items() if leases.get(s) != lease.generation]:
            del self._owned[stream]
        for stream, generation in leases.items():
            self._owned.setdefault(stream, _Lease(generation))

    def _leases(self) -> dict[str, int]:
        sql = (
            "SELECT stream, leases.generation FROM leases JOIN members ON members.grp = leases.grp AND name = member "
            "WHERE leases.grp = ? AND member = ? AND members.generation = ?"
        )
        return dict(self._connection.rows(sql, self._group, self._name, self._generation))

    def _next(self, max_bytes: int) -> list[Record]:
        records: list[Record] = []
        # A stream that was served is the last one in the next call, so that a fast stream cannot starve the others.
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
        """Claims free streams up to a fair share, and releases streams above it."""
        if not any(self._plan()):
            return
        claim = (
            "INSERT INTO leases VALUES (?, ?, ?, 1) ON CONFLICT (grp, stream) "
            "DO UPDATE SET member = excluded.member, generation = generation + 1"
        )
        with self._connection.transaction() as db:
            self._look()
            take, leave = self._plan()
            db.executemany(claim, [(self._group, stream, self._name) for stream in take])
            db.executemany(
                "UPDATE leases SET member = NULL WHERE grp = ? AND stream = ?",
                [(self._group, stream) for stream in leave],
            )
        self._look()

    def _plan(self) -> tuple[list[str], list[str]]:
        """Streams to claim and streams to release."""
        rows = self._connection.rows
        live = dict(
            rows("SELECT name, generation FROM members WHERE grp = ? AND expires > ?", self._group, time.time())
        )
        if live.get(self._name, self._generation) != self._generation:
            return [], []
        owners = rows("SELECT stream, member FROM leases WHERE grp = ? AND member IS NOT NULL", self._group)
        owned = {stream for stream, member in owners if member in live or member == self._name}
        pending = [stream for (stream,) in rows(PENDING_STREAMS) if stream.startswith(self._streams)]
        share = -(-len(owned.union(pending)) // max(1, len(live)))
        free = [stream for stream in pending if stream not in owned]
        mine = list(self._owned)
        # The stream that was served longest ago has the smallest state in its owner's memory.
        return free[: max(0, share - len(mine))], mine[: max(0, len(mine) - share)]

    def streams(self) -> frozenset[str]:
        return frozenset(stream for stream, lease in self._owned.items() if lease.polled)

    def state(self, stream: str) -> bytes | None:
        return latest(self._connection, STATE, stream)

    def commit(
        self, stream: str, messages: Sequence[Message], state: bytes, *, resume_offset: int, ended: bool = False
    ) -> None:
        with self._storing(stream) as (db, lease):
            if ended:
                # Nobody resumes: all that this member has been given is done with.
                resume_offset = max(resume_offset, lease.next_offset)
                db.execute("UPDATE leases SET member = NULL WHERE grp = ? AND stream = ?", (self._group, stream))
            self._connection.append(stream, messages)
            replace(db, STATE, stream, state)
            last = self._connection.delete_packets(stream, resume_offset)
        try:
            self._connection.destroy_keys(stream, last)
        except BrokerError as error:
            log.warning("%s", error)  # it is stored; the next commit destroys these too
        if ended:
            del self._owned[stream]

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        with self._storing(stream):
            self._connection.append(stream, messages)

    @contextmanager
    def _storing(self, stream: str) -> Iterator[tuple[sqlite3.Connection, _Lease]]:
        """A transaction that begins by checking the lease."""
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

    def forget(self, *, before: int | None = None) -> None:
        end = self._offset if before is None else min(before, self._offset)
        with self._connection.transaction() as db:
            db.execute(
                "DELETE FROM records WHERE topic = ? AND stream = ? AND id < ?", (self._topic, self._stream, end)
            )

    def close(self) -> None:
        self._connection.close()


class SqliteBroker:
    """See the module. Each writer, member and reader has its own connection, which stays usable after an error.

    Raises:
        ConfigError: an unknown option.
        BrokerError: the file cannot be created or opened, or is no database of this layout.
    """

    def __init__(self, url: str, **options: str) -> None:
        path, _, query = url.removeprefix("sqlite://").partition("?")
        if not path:
            raise ConfigError(f"{url}: names no file; use sqlite:///folder/facewarden.db")
        self._options = Options.parse({**dict(parse_qsl(query)), **options})
        self._path = Path(path)
        make_file(self._path, self._options)
        self._lock = threading.Lock()
        self._connection = Connection(self._path, self._options)

    def writer(self, name: str) -> SqliteWriter:
        return SqliteWriter(Connection(self._path, self._options), name)

    def member(self, group: str, name: str, *, streams: str = "") -> SqliteMember:
        return SqliteMember(self._path, self._options, group, name, streams)

    def reader(self, topic: str, stream: str, offset: int = 0) -> SqliteReader:
        return SqliteReader(Connection(self._path, self._options), topic, stream, offset)

    def latest(self, topic: str, stream: str) -> bytes | None:
        with self._lock:
            return latest(self._connection, topic, stream)

    def drop(self, stream: str) -> None:
        """Deletes all records, values and leases of the stream, and empties the write-ahead log if no one reads it."""
        with self._lock:
            with self._connection.transaction() as db:
                for table in ("records", "latest", "leases"):
                    db.execute(f"DELETE FROM {table} WHERE stream = ?", (stream,))  # noqa: S608
            self._connection.drop_keys(stream)
            with suppress(BrokerError):
                self._connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def erase(self) -> None:
        with self._lock:
            with self._connection.transaction() as db:
                for table in ("records", "latest", "leases", "writers"):
                    db.execute(f"DELETE FROM {table}")  # noqa: S608
            self._connection.drop_keys()
            with suppress(BrokerError):
                self._connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with self._lock:
            self._connection.close()
