"""The file's options, what its errors say, and that a transaction is whole or nothing."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.brokers import MASKED, PACKETS, BrokerError, Message
from pipeline.brokers.sqlite_file import PENDING_STREAMS, Connection, Options, latest, make_file, replace
from tests.pipeline.brokers.conftest import messages, numbered, values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make_file(tmp_path / "facewarden.db", Options())
    return tmp_path / "facewarden.db"


@pytest.fixture
def connection(path: Path) -> Iterator[Connection]:
    with closing(Connection(path, Options())) as connection:
        yield connection


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, Options("normal", 5.0, 15.0)),
        ({"synchronous": "full"}, Options("full", 5.0, 15.0)),
        ({"lease_s": "0.5", "busy_s": "2"}, Options("normal", 0.5, 2.0)),
    ],
)
def test_options_are_parsed(texts: dict[str, str], expected: Options) -> None:
    assert Options.parse(texts) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"b": "1", "a": "2"}, "unknown option a, b; there are synchronous, lease_s, busy_s"),
        ({"synchronous": "off"}, "normal or full, not 'off'"),
        ({"busy_s": ""}, "are seconds"),
    ],
)
def test_what_is_no_option_is_refused(texts: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        Options.parse(texts)


@pytest.mark.parametrize(("synchronous", "level"), [("normal", 1), ("full", 2)])
def test_a_connection_writes_ahead_and_as_safely_as_asked(path: Path, synchronous: str, level: int) -> None:
    with closing(Connection(path, Options(synchronous))) as connection:
        found = [connection.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "secure_delete")]

    assert found == ["wal", level, 1]


def test_a_file_is_made_once_and_kept(path: Path, connection: Connection) -> None:
    with connection.transaction() as db:
        replace(db, "state", "cam", b"kept")

    make_file(path, Options())

    assert latest(connection, "state", "cam") == b"kept"


def test_records_come_out_as_they_went_in(connection: Connection) -> None:
    headers = {"version": b"\x00\xff", "key": b""}
    with connection.transaction():
        connection.append("cam", [Message(PACKETS, b"", headers), Message(MASKED, b"other"), Message(PACKETS, b"\x00")])
        connection.append("dog", messages(b"another"))

    found = connection.records(PACKETS, "cam", 0, 1000)

    assert [(record.value, record.headers) for record in found] == [(b"", headers), (b"\x00", {})]
    assert [record.next_offset for record in found] == [record.offset + 1 for record in found]
    assert connection.records(PACKETS, "cam", found[0].next_offset, 1000) == found[1:]
    assert connection.records(PACKETS, "cam", found[1].offset, 1000) == found[1:]


@pytest.mark.parametrize(("max_bytes", "count"), [(0, 1), (1, 1), (2, 2), (3, 3), (99, 3)])
def test_at_least_one_record_is_read_and_few_above_the_size(connection: Connection, max_bytes: int, count: int) -> None:
    with connection.transaction():
        connection.append("cam", messages(*numbered(0, 3)))

    assert values(connection.records(PACKETS, "cam", 0, max_bytes)) == numbered(0, count)


def test_the_newest_value_replaces_the_one_before(connection: Connection) -> None:
    with connection.transaction() as db:
        for value in (b"old", b"new"):
            replace(db, "state", "cam", value)

    assert latest(connection, "state", "cam") == b"new"
    assert latest(connection, "ingest", "cam") is latest(connection, "state", "dog") is None


def test_streams_with_packets_are_found_once_each(connection: Connection) -> None:
    with connection.transaction():
        for stream in ("b", "a", "b", "c", "a"):
            connection.append(stream, messages(b"0"))
        connection.append("masked only", messages(b"0", topic=MASKED))

    assert connection.rows(PENDING_STREAMS) == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_transaction_that_raises_is_undone(connection: Connection, error: type[BaseException]) -> None:
    with pytest.raises(error), connection.transaction():
        connection.append("cam", messages(b"lost"))
        raise error

    with connection.transaction():
        connection.append("cam", messages(b"kept"))
    assert values(connection.records(PACKETS, "cam", 0, 99)) == [b"kept"]


def test_what_sqlite_refuses_names_the_file_and_the_way_out(path: Path, connection: Connection) -> None:
    with (
        closing(Connection(path, Options(busy_s=0.01))) as other,
        connection.transaction(),
        pytest.raises(BrokerError, match=r"facewarden.db: another process has kept it locked for too long") as raised,
        other.transaction(),
    ):
        pass

    assert isinstance(raised.value.__cause__, sqlite3.OperationalError)
    with pytest.raises(BrokerError, match="it failed"):
        connection.rows("SELECT nothing FROM nowhere")
    connection.close()
    with pytest.raises(BrokerError, match="it failed"):
        connection.rows("SELECT 1")


def test_a_nap_ends_with_anothers_commit(path: Path, connection: Connection) -> None:
    connection.nap(time.monotonic() + 0.01)
    written: list[float] = []

    def write() -> None:
        with closing(Connection(path, Options())) as other, other.transaction():
            other.append("cam", messages(b"0"))
        written.append(time.monotonic())

    thread = threading.Timer(0.05, write)
    thread.start()
    connection.nap(time.monotonic() + 20)
    woken = time.monotonic()
    thread.join()

    assert woken < written[0] + 10
    assert values(connection.records(PACKETS, "cam", 0, 99)) == [b"0"]


def test_a_nap_ends_in_time_when_nothing_comes(connection: Connection) -> None:
    connection.nap(time.monotonic())
    connection.nap(time.monotonic() + 0.01)
    began = time.monotonic()

    connection.nap(began + 0.1)

    assert time.monotonic() >= began + 0.1
