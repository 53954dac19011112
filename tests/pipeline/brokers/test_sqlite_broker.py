"""What only the file can get wrong: rights, clear pictures that stay behind, and a disk that says no."""

from __future__ import annotations

import pickle
import resource
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engines import ConfigError, StreamError
from pipeline.brokers import MASKED, PACKETS, STATE, BrokerError, open_broker
from pipeline.private.key_chains import KeyChains, Unreadable
from tests.pipeline.brokers.conftest import collect, messages, values


def test_folder_and_files_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with closing(open_broker(f"sqlite://{folder}/facewarden.db")) as broker, closing(broker.writer("w")) as writer:
        writer.write("cam", messages(b"0"), b"")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {f"facewarden.db{end}": 0o600 for end in ("", "-wal", "-shm")} | {"facewarden.db.keys": 0o700}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


CLEAR = [f"a clear picture, number {number} ".encode() * 300 for number in range(40)]
KILLED = """
import os, pickle, sys
from pipeline.brokers import PACKETS, Message, open_broker
from tests.pipeline.brokers.test_sqlite_broker import CLEAR
broker = open_broker(f"sqlite://{sys.argv[1]}/facewarden.db")
writer, member = broker.writer("w"), broker.member("g", "one")
for clear in CLEAR:
    writer.write("cam", [Message(PACKETS, clear)], b"")
records = []
while len(records) < len(CLEAR):
    records += member.poll(1)
assert [record.value for record in records] == CLEAR
sealed = broker._connection.rows("SELECT value FROM records ORDER BY id")
with open(sys.argv[1] + ".sealed", "wb") as file:
    pickle.dump([value for value, in sealed], file)
for number in (9, 24):
    member.commit("cam", [], b"", resume_offset=records[number].next_offset)
os.kill(os.getpid(), 9)
"""


def test_after_a_kill_nothing_committed_can_be_read(tmp_path: Path) -> None:
    """Neither in the raw files, nor by whoever has kept the sealed bytes and finds the keys."""
    store = tmp_path / "store"
    done = subprocess.run([sys.executable, "-c", KILLED, str(store)], check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -9

    raw = {path.name: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    assert len(raw["facewarden.db-wal"]) > 100_000 and len(raw) == 4
    assert not any(b"a clear picture" in content for content in raw.values())
    sealed = pickle.loads((tmp_path / "store.sealed").read_bytes())  # noqa: S301
    assert any(value[40:200] in raw["facewarden.db-wal"] for value in sealed[:25])  # what the log still holds
    keys = KeyChains(store / "facewarden.db.keys")
    for value in sealed[:25]:
        with pytest.raises(Unreadable, match="is destroyed, the first that is left is 25"):
            keys.open("cam", value)

    with (
        closing(open_broker(f"sqlite://{store}/facewarden.db")) as broker,
        closing(broker.member("g", "two")) as member,
    ):
        assert [record.value for record in collect(member.poll, 15)] == CLEAR[25:]
        broker.drop("cam")
    assert not list((store / "facewarden.db.keys").iterdir())


def test_a_stream_that_was_dropped_may_begin_anew(tmp_path: Path) -> None:
    with (
        closing(open_broker(f"sqlite://{tmp_path}/facewarden.db")) as broker,
        closing(broker.writer("w")) as writer,
        closing(broker.reader(PACKETS, "cam")) as reader,
    ):
        for value in (b"first", b"second"):
            writer.write("cam", messages(value), b"")
            assert values(reader.read(1)) == [value]
            broker.drop("cam")


def test_keys_that_are_ahead_end_the_work_in_words(tmp_path: Path) -> None:
    """As after a power cut: no broker will ever have these packets again."""
    with closing(open_broker(f"sqlite://{tmp_path}/facewarden.db")) as broker:
        with closing(broker.writer("w")) as writer:
            writer.write("cam", messages(b"0", b"1"), b"")
        KeyChains(tmp_path / "facewarden.db.keys").destroy("cam", 1)

        with closing(broker.member("g", "one")) as member, pytest.raises(StreamError, match="power cut") as caught:
            collect(member.poll, 1)

    assert not isinstance(caught.value, BrokerError)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("plant", ["link", "writable"])
def test_files_that_were_planted_are_refused(tmp_path: Path, suffix: str, plant: str) -> None:
    planted, theirs = tmp_path / f"facewarden.db{suffix}", tmp_path / "theirs"
    theirs.touch()
    if plant == "link":
        planted.symlink_to(theirs)
    else:
        planted.touch()
        planted.chmod(0o666)

    with pytest.raises(ConfigError):
        open_broker(f"sqlite://{tmp_path}/facewarden.db")

    assert theirs.read_bytes() == b""


def test_another_process_that_leaves_takes_nothing_along(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/facewarden.db"
    script = (
        "import sys; from pipeline.brokers import Message, open_broker; broker = open_broker(sys.argv[1]);"
        "writer = broker.writer('w'); writer.write('cam', [Message('packets', b'0')], b'');"
        "writer.close(); broker.close()"
    )
    with closing(open_broker(url)) as broker, closing(broker.reader(PACKETS, "cam")) as reader:
        assert reader.read(0) == []
        with closing(open_broker(url)):
            subprocess.run([sys.executable, "-c", script, url], check=True, cwd=Path(__file__).parents[3])
        assert values(reader.read(1)) == [b"0"]


@pytest.mark.parametrize(
    ("name", "expected"), [("text.db", "not a database"), ("folder", "expected a file"), ("text.db/a.db", "check the")]
)
def test_what_is_no_database_is_refused(name: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, but some text that is long enough to be told from one\n" * 9)
    (tmp_path / "folder").mkdir()
    with pytest.raises((BrokerError, ConfigError), match=expected):
        open_broker(f"sqlite://{tmp_path / name}")


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(BrokerError, match="layout 99"):
        open_broker(f"sqlite://{tmp_path}/a.db")


def test_a_lock_that_is_held_for_too_long_is_an_error_and_no_end(tmp_path: Path) -> None:
    path = tmp_path / "facewarden.db"
    with (
        closing(open_broker(f"sqlite://{path}", busy_s="0.1")) as broker,
        closing(broker.writer("w")) as writer,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerError, match="locked for too long"):
            writer.write("cam", messages(b"0"), b"")
        other.execute("ROLLBACK")
        writer.write("cam", messages(b"1"), b"")
        assert writer.backlog("cam") == 1


def test_a_full_disk_stores_nothing_by_halves(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (
        closing(open_broker(f"sqlite://{tmp_path}/facewarden.db")) as broker,
        closing(broker.writer("w")) as writer,
        closing(broker.member("g", "one")) as member,
    ):
        writer.write("cam", messages(b"0"), b"")
        (record,) = collect(member.poll, 1)
        output = messages(*[bytes(100_000)] * 9, topic=MASKED)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, limits[1]))
            with pytest.raises(BrokerError):
                member.commit("cam", output, b"state", resume_offset=record.next_offset)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert broker.latest(STATE, "cam") is None
        assert values(collect(member.poll, 1)) == [b"0"]
        member.commit("cam", output, b"state", resume_offset=record.next_offset)
        assert len(collect(broker.reader(MASKED, "cam").read, 9)) == 9


def test_a_fast_stream_starves_no_other(tmp_path: Path) -> None:
    with (
        closing(open_broker(f"sqlite://{tmp_path}/facewarden.db")) as broker,
        closing(broker.writer("w")) as writer,
        closing(broker.member("g", "one")) as member,
    ):
        writer.write("fast", messages(*[b"fast"] * 9), b"")
        writer.write("slow", messages(*[b"slow"] * 2), b"")

        found = [record for _ in range(4) for record in member.poll(0, max_bytes=1)]

    assert sorted(values(found[:2])) == sorted(values(found[2:])) == [b"fast", b"slow"]


def test_a_former_self_that_closes_takes_nothing_from_the_newer(tmp_path: Path) -> None:
    with (
        closing(open_broker(f"sqlite://{tmp_path}/facewarden.db")) as broker,
        closing(broker.writer("w")) as writer,
    ):
        writer.write("cam", messages(b"0"), b"")
        former = broker.member("g", "one")
        assert values(former.poll(1)) == [b"0"]
        with closing(broker.member("g", "one")) as newer:
            (record,) = newer.poll(1)

            former.close()
            newer.commit("cam", [], b"state", resume_offset=record.next_offset)

            assert newer.streams() == {"cam"}
            assert broker.latest(STATE, "cam") == b"state"
