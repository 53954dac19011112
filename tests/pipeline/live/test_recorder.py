"""Cameras are recorded in parts: none replaces another, and whoever dies or has no room goes on where the disk is."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from engines import StreamError
from pipeline.brokers import INGEST, MASKED, Broker, BrokerError
from pipeline.live import recorder
from pipeline.live.recorder import Recorder
from pipeline.live.sink_state import SinkState
from pipeline.live.written import Written
from pipeline.media.new_file import NewFile
from pipeline.wire import End, Ledger, StreamRecord
from tests.pipeline.live.crash import Crash, die_around_saves, die_before_frame
from tests.pipeline.live.masked_streams import STREAM, live, numbers_in, publish, store

END = [StreamRecord(end=End(ledger=Ledger(packets=50, shown=50)))]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "STORE_S", 0)
    monkeypatch.setattr(recorder, "ROOM_PAUSE_S", 0.01)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = store(tmp_path / "store")
    yield broker
    broker.close()


def recorded(broker: Broker, folder: Path, *, said: list[str] | None = None, stopping: bool = False) -> Written:
    tell = (said if said is not None else []).append
    return Recorder(broker, STREAM, folder / "door.mp4", lambda: stopping, tell).record()


def recordings(folder: Path) -> dict[str, list[int]]:
    """In the order in which they were begun."""
    paths = sorted(folder.glob("door*"), key=lambda path: (path.name.split(".")[0], len(path.name), path.name))
    return {path.name: numbers_in(path) for path in paths}


def test_a_recording_is_named_by_when_it_began_and_stands_beside_those_before_it(
    broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "door.mp4").write_bytes(b"of yesterday")
    (tmp_path / "door_20260506T070809Z.mp4").write_bytes(b"of the same second")
    publish(broker, [*live(range(50)), *END])

    written = recorded(broker, tmp_path)

    assert [Path(file).name for file in written.files] == ["door_20260506T070809Z.2.mp4"]
    assert numbers_in(written.files[0]) == list(range(50))
    assert written.reason == ""
    assert (tmp_path / "door.mp4").read_bytes() == b"of yesterday"
    assert (tmp_path / "door_20260506T070809Z.mp4").read_bytes() == b"of the same second"


def test_a_short_outage_is_in_the_clock_and_a_long_one_begins_a_part(broker: Broker, tmp_path: Path) -> None:
    publish(broker, [*live(range(10), range(10, 20), range(20, 50), pauses_s=(5, 100)), *END])

    recorded(broker, tmp_path)

    parts = recordings(tmp_path)
    assert parts == {
        "door_20260506T070809Z.mp4": list(range(20)),
        "door_20260506T070954Z.mp4": list(range(20, 50)),
    }
    with av.open(str(tmp_path / "door_20260506T070809Z.mp4")) as container:
        times = [round(float(frame.time or 0), 2) for frame in container.decode(video=0)]
    assert round(times[10] - times[9], 2) == 5.04


def test_a_new_size_begins_a_part(broker: Broker, tmp_path: Path) -> None:
    publish(broker, [*live(range(25), range(25, 50), sizes=[(64, 48), (32, 48)]), *END])

    recorded(broker, tmp_path)

    assert list(recordings(tmp_path).values()) == [list(range(25)), list(range(25, 50))]


@pytest.mark.parametrize("dies_at", [0, 3, 19, 20, 25, 39, 41, 49])
def test_one_that_is_killed_loses_and_doubles_nothing(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    publish(broker, [*live(range(20), range(20, 40), range(40, 50)), *END])
    written = die_before_frame(monkeypatch, dies_at)
    with pytest.raises(Crash):
        recorded(broker, tmp_path)

    written.clear()
    result = recorded(broker, tmp_path)

    parts = recordings(tmp_path)
    assert [number for numbers in parts.values() for number in numbers] == list(range(50))
    assert result.files == tuple(str(tmp_path / name) for name in parts)
    assert result.reason == ""


@pytest.mark.parametrize("call", range(8))
def test_it_may_die_whenever_it_stores(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Before or after: what is stored and what is on the disk fit at any instant."""
    publish(broker, [*live(range(20), range(20, 40), range(40, 50), sizes=[(64, 48), (32, 48), (64, 48)]), *END])
    die_around_saves(monkeypatch, call)
    for _ in range(2):
        with pytest.raises(Crash):
            recorded(broker, tmp_path)
    recorded(broker, tmp_path)

    found = [number for path in sorted(tmp_path.glob("door*")) if path.stat().st_size for number in numbers_in(path)]
    assert sorted(found) == list(range(50))


def test_what_is_on_the_disk_is_deleted_from_the_broker_and_nothing_else(broker: Broker, tmp_path: Path) -> None:
    records = live(range(20), range(20, 40), range(40, 50))
    publish(broker, records)
    left: list[StreamRecord] = []

    publish(broker, END)
    take = Recorder._conclude

    def look(self: Recorder, *arguments: Any) -> Written:
        reader = broker.reader(MASKED, STREAM)
        left.extend(StreamRecord.FromString(record.value) for record in reader.read(0))
        reader.close()
        return take(self, *arguments)

    patched = pytest.MonkeyPatch()
    patched.setattr(Recorder, "_conclude", look)
    recorded(broker, tmp_path)
    patched.undo()

    numbers = [record.packet.number for record in left if record.HasField("packet")]
    assert 0 < len(numbers) < 50
    assert sorted(numbers) == list(range(min(numbers), 50))


def test_a_recorder_that_had_ended_says_so_again(broker: Broker, tmp_path: Path) -> None:
    publish(broker, [*live(range(50)), *END])
    first = recorded(broker, tmp_path)

    assert recorded(broker, tmp_path) == first
    assert len(list(tmp_path.glob("door*"))) == 1


def test_retention_may_have_passed_what_is_written(broker: Broker, tmp_path: Path) -> None:
    publish(broker, live(range(20), range(20, 40)))
    monkeypatch = pytest.MonkeyPatch()
    die_before_frame(monkeypatch, 39)
    with pytest.raises(Crash):
        recorded(broker, tmp_path)
    monkeypatch.undo()
    offset = json.loads(broker.latest(INGEST, f"file.{STREAM}") or b"")["offset"]
    reader = broker.reader(MASKED, STREAM)
    assert reader.read(0)[0].offset <= offset
    publish(broker, END)

    recorded(broker, tmp_path)

    assert [n for numbers in recordings(tmp_path).values() for n in numbers] == list(range(40))


# -- no room -------------------------------------------------------------------------------------------


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A disk with `room` bytes, of which `used` are."""
    disk = {"room": 1 << 40, "used": 0}
    write = NewFile.write

    def limited(file: NewFile, data: bytes) -> int:
        if disk["used"] + len(data) > disk["room"]:
            file.error = OSError(errno.ENOSPC, "No space left on device")
            raise file.error
        disk["used"] += len(data)
        return write(file, data)

    monkeypatch.setattr(NewFile, "write", limited)
    monkeypatch.setattr(recorder, "has_room", lambda _: disk["room"] - disk["used"] > 10_000)
    return disk


@pytest.mark.parametrize("room", [0, 100, 2800, 4200, 5600])
def test_a_full_disk_is_said_and_what_it_has_no_room_for_is_written_later(
    broker: Broker, tmp_path: Path, disk: dict[str, int], room: int
) -> None:
    publish(broker, [*live(range(20), range(20, 40), range(40, 50)), *END])
    disk["room"] = room
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        disk["room"] = 1 << 30

    written = Recorder(broker, STREAM, tmp_path / "door.mp4", lambda: False, tell).record()

    assert [n for numbers in recordings(tmp_path).values() for n in numbers] == list(range(50))
    assert len(said) == 1 and "No space left on device; what is masked waits for room" in said[0]
    assert written.reason == ""


def test_a_run_that_ends_on_a_full_disk_keeps_what_is_not_written(
    broker: Broker, tmp_path: Path, disk: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(broker, [*live(range(20), range(20, 40), range(40, 50)), *END])
    disk["room"] = 4200
    monkeypatch.setattr(recorder, "PATIENCE_S", 0.02)
    with pytest.raises(StreamError, match="what is missing in the file is kept: make room, and give the same command"):
        recorded(broker, tmp_path, stopping=True)
    before = [n for numbers in recordings(tmp_path).values() for n in numbers]
    disk["room"] = 1 << 30

    recorded(broker, tmp_path)

    assert 0 < len(before) < 50
    assert [n for numbers in recordings(tmp_path).values() for n in numbers] == list(range(50))


def test_a_broker_that_fails_meanwhile_costs_nothing(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(broker, [*live(range(20), range(20, 40), range(40, 50)), *END])
    save, calls = SinkState.save, iter(range(100))

    def failing(state: SinkState, **values: Any) -> None:
        if next(calls) == 2:
            raise BrokerError("gone")
        save(state, **values)

    monkeypatch.setattr(SinkState, "save", failing)
    with pytest.raises(BrokerError):
        recorded(broker, tmp_path)

    recorded(broker, tmp_path)

    assert [n for numbers in recordings(tmp_path).values() for n in numbers] == list(range(50))
