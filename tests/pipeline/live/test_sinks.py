"""Files that are whole or not there, and pushes in order, at the pace of their clock, past servers that come and go."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError

from engines import StreamError
from pipeline.brokers import MASKED, VERDICTS, Broker, Message
from pipeline.brokers.sqlite_broker import SqliteReader
from pipeline.live import sinks
from pipeline.live.resume import ResumePoint
from pipeline.live.sink_state import SinkState, state_names
from pipeline.live.sinks import push, write_file, write_verdicts
from pipeline.live.verdict_lines import FrameLine, read_line
from pipeline.live.written import Written
from pipeline.media import FileMuxer
from pipeline.media.new_file import NewFile
from pipeline.wire import End, Fate, FrameReport, Head, Ledger, Packet, Rational, StreamRecord, VerdictRecord
from tests.pipeline.live.clock import Clock
from tests.pipeline.live.crash import Crash
from tests.pipeline.live.masked_streams import (
    SOURCE,
    STREAM,
    feed,
    numbers_in,
    opened,
    publish,
    records_of,
    store,
    taken,
)

URL = "rtsp://me:secret@server/door"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = store(tmp_path / "store")
    yield broker
    broker.close()


# -- files ---------------------------------------------------------------------------------------------


def test_a_file_holds_what_was_masked(broker: Broker, tmp_path: Path) -> None:
    publish(broker, records_of(range(10), range(10, 15)))

    written = write_file(broker, STREAM, str(tmp_path / "out.mp4"))

    assert written.files == (str(tmp_path / "out.mp4"),)
    assert numbers_in(tmp_path / "out.mp4") == list(range(15))
    assert (End.FromString(written.end).ledger.shown, written.reason) == (15, "")


def test_what_two_owners_overlap_in_is_in_the_file_once(broker: Broker, tmp_path: Path) -> None:
    former = opened(low_latency=True)
    feed(former, range(8))
    heir = opened(ResumePoint(source=SOURCE, next_index=5), low_latency=True)
    feed(heir, range(5, 12))
    heir.end(End(ledger=Ledger(shown=12)))
    publish(broker, taken(former) + taken(heir))

    written = write_file(broker, STREAM, str(tmp_path / "out.mp4"))

    assert numbers_in(tmp_path / "out.mp4") == list(range(12))
    assert written.reason == ""


def test_each_size_has_a_file_of_its_own(broker: Broker, tmp_path: Path) -> None:
    publish(broker, records_of([1, 2], [3], [4, 5], sizes=((64, 48), (32, 48), (64, 48))))

    written = write_file(broker, STREAM, str(tmp_path / "out.mp4"))

    assert [Path(file).name for file in written.files] == ["out.mp4", "out.2.mp4", "out.3.mp4"]
    assert [numbers_in(file) for file in written.files] == [[1, 2], [3], [4, 5]]


def test_a_stream_without_a_shown_frame_leaves_no_file(broker: Broker, tmp_path: Path) -> None:
    publish(broker, [StreamRecord(end=End(reason="is empty"))])

    written = write_file(broker, STREAM, str(tmp_path / "out.mp4"))

    assert (written.files, End.FromString(written.end).reason, written.reason) == ((), "is empty", "")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_frames_that_are_missing_in_the_file_are_counted(broker: Broker, tmp_path: Path) -> None:
    records = records_of(range(6), ended=False)
    publish(broker, [*records, StreamRecord(end=End(ledger=Ledger(shown=8)))])

    written = write_file(broker, STREAM, str(tmp_path / "out.mp4"))

    assert written.reason == "2 of 8 shown frames are missing in the file"


def test_a_sink_that_breaks_off_leaves_nothing_and_the_next_writes_it_all(broker: Broker, tmp_path: Path) -> None:
    writer = broker.writer("worker")
    records = records_of(range(10))
    writer.write(
        STREAM, [*(Message(MASKED, r.SerializeToString()) for r in records[:5]), Message(MASKED, b"\xff")], b""
    )
    with pytest.raises(DecodeError):
        write_file(broker, STREAM, str(tmp_path / "out.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]

    for name in (STREAM, *state_names(STREAM)):
        broker.drop(name)
    publish(broker, records)
    write_file(broker, STREAM, str(tmp_path / "out.mp4"))

    assert numbers_in(tmp_path / "out.mp4") == list(range(10))
    writer.close()


def test_a_file_that_cannot_be_written_is_an_error(broker: Broker, tmp_path: Path) -> None:
    publish(broker, records_of([1]))

    with pytest.raises(StreamError, match=r"no/such.*cannot be written"):
        write_file(broker, STREAM, str(tmp_path / "no" / "such" / "out.mp4"))


def test_a_full_disk_leaves_no_rest_and_the_next_start_writes_it_all(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(broker, records_of(range(10)))
    write = NewFile.write

    def full(file: NewFile, data: bytes) -> int:  # noqa: ARG001
        file.error = OSError(errno.ENOSPC, "No space left on device")
        raise file.error

    monkeypatch.setattr(NewFile, "write", full)
    with pytest.raises(StreamError, match=r"out\.mp4: No space left on device"):
        write_file(broker, STREAM, str(tmp_path / "out.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    monkeypatch.setattr(NewFile, "write", write)

    write_file(broker, STREAM, str(tmp_path / "out.mp4"))

    assert numbers_in(tmp_path / "out.mp4") == list(range(10))


def test_a_beginning_that_the_broker_has_given_up_is_told_and_no_file_made_of_the_rest(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the retention of Kafka, between two lives of a sink."""
    publish(broker, records_of(range(10), range(10, 20)))
    monkeypatch.setattr(FileMuxer, "publish", _killed)
    with pytest.raises(Crash):
        write_file(broker, STREAM, str(tmp_path / "out.mp4"))
    monkeypatch.undo()
    reader = broker.reader(MASKED, STREAM)
    reader.forget(before=reader.read(0)[6].offset)

    with pytest.raises(StreamError, match="no longer keeps the first of what was masked"):
        write_file(broker, STREAM, str(tmp_path / "out.mp4"))

    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def _killed(*_: object, **__: object) -> None:
    raise Crash


@pytest.mark.parametrize("call", range(10))
def test_it_may_die_whenever_it_stores_and_what_others_have_put_there_stays(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    publish(broker, records_of([1, 2], [3], sizes=((64, 48), (32, 48))))
    former = tmp_path / "out.mp4"
    former.write_bytes(b"of yesterday")
    save, calls = SinkState.save, iter(range(100))

    def dying(state: SinkState, **values: Any) -> None:
        number = next(calls)
        if number * 2 == call:
            raise Crash
        save(state, **values)
        if number * 2 + 1 == call:
            raise Crash

    monkeypatch.setattr(SinkState, "save", dying)
    with pytest.raises(Crash):
        write_file(broker, STREAM, str(former))
    monkeypatch.setattr(SinkState, "save", save)

    written = write_file(broker, STREAM, str(former))

    assert [numbers_in(file) for file in written.files] == [[1, 2], [3]]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["store", "out.mp4", *(Path(file).name for file in written.files)]
    )
    assert former.read_bytes() == b"of yesterday"


# -- pushes --------------------------------------------------------------------------------------------


class Server:
    """An RTSP server in memory.

    Attributes:
        arrived: for each connection, the numbers of the frames that it took.
        times: when each frame arrived, in seconds since the first.
        sounds: numbers of the sound that arrived.
        refuses: so many connections are not taken.
        breaks_at, kills_at: the connection breaks, or the process dies, before this frame arrives.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, clock.now
        self.arrived: list[list[int]] = []
        self.times: list[float] = []
        self.sounds: list[int] = []
        self.ended: list[str] = []
        self.refuses = 0
        self.breaks_at = self.kills_at = -1

    def connect(self, url: str, head: Head) -> Connection:
        assert (url, head.codec) == (URL, "h264")
        if self.refuses:
            self.refuses -= 1
            raise StreamError("rtsp://server/door: cannot be written as rtsp: connection refused")
        self.arrived.append([])
        return Connection(self)

    def take(self, packet: Packet) -> None:
        if packet.number == self.kills_at:
            raise Crash
        if packet.number == self.breaks_at:
            self.breaks_at = -1
            raise StreamError("rtsp://server/door: broken pipe")
        if packet.track:
            self.sounds.append(packet.number)
        else:
            self.arrived[-1].append(packet.number)
            self.times.append(round(self._clock.now - self._began, 6))


class Connection:
    def __init__(self, server: Server) -> None:
        self._server = server

    def write(self, packet: Packet, *, shift: Fraction = Fraction(0)) -> None:  # noqa: ARG002
        self._server.take(packet)

    def close(self) -> None:
        self._server.ended.append("closed")

    def abort(self) -> None:
        self._server.ended.append("aborted")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sinks, "time", clock)
    return clock


@pytest.fixture
def server(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server(clock)
    monkeypatch.setattr(sinks, "RtspPusher", server.connect)
    return server


def head(epoch: int = 0, *, width: int = 64) -> StreamRecord:
    return StreamRecord(head=Head(epoch=epoch, codec="h264", width=width, time_base=Rational(num=1, den=10)))


def frames(*numbers: int, keys: tuple[int, ...] = (0,), epoch: int = 0, clock: int = 0) -> list[StreamRecord]:
    """A frame lasts a tenth of a second."""
    made = [Packet(epoch=epoch, number=n, key=n in keys, pts=n + clock, duration=1) for n in numbers]
    return [StreamRecord(packet=packet) for packet in made]


END = StreamRecord(end=End(reason="over"))


def pushed(broker: Broker, *records: StreamRecord) -> Written:
    publish(broker, records)
    return push(broker, STREAM, URL, "rtsp://server/door")


def test_frames_are_pushed_at_the_pace_of_their_clock(broker: Broker, server: Server, clock: Clock) -> None:
    written = pushed(broker, head(), *frames(0, 1, 2, 5), END)

    assert server.arrived == [[0, 1, 2, 5]]
    assert server.times == [0, 0.1, 0.2, 0.5]
    assert clock.naps == [0.1, 0.1, 0.3]
    assert server.ended == ["closed"]
    assert (written.files, End.FromString(written.end).reason) == (("rtsp://server/door",), "over")


@pytest.mark.parametrize(
    ("pts", "times"),
    [
        ((0, 1, 52, 53), [0, 0.1, 0.1, 0.2]),
        ((100, 101, 0, 1), [0, 0.1, 0.1, 0.2]),
        ((0, 49, 50), [0, 4.9, 5.0]),
    ],
    ids=["ahead", "back", "within patience"],
)
def test_a_clock_that_leaps_is_not_waited_for(
    broker: Broker, server: Server, pts: tuple[int, ...], times: list[float]
) -> None:
    packets = [Packet(number=n, key=True, pts=time, duration=1) for n, time in enumerate(pts)]

    pushed(broker, head(), *(StreamRecord(packet=packet) for packet in packets), END)

    assert server.times == times


def test_a_clock_that_began_anew_is_followed_where_it_was_shifted_to(broker: Broker, server: Server) -> None:
    pushed(broker, head(), *frames(0, 1), head(1), *frames(2, 3, keys=(2,), epoch=1, clock=20), END)

    assert server.times == [0, 0.1, 0.2, 0.3]


def test_a_source_that_is_late_is_not_hurried_after(broker: Broker, server: Server, clock: Clock) -> None:
    take = server.take

    def slowly(packet: Packet) -> None:
        clock.now += 0.3 if packet.number == 1 else 0
        take(packet)

    server.take = slowly  # type: ignore[method-assign]

    pushed(broker, head(), *frames(0, 1, 2, 3), END)

    assert server.times == [0, 0.4, 0.4, 0.5]


def test_a_lost_server_is_tried_again_at_the_next_keyframe(broker: Broker, server: Server) -> None:
    server.breaks_at = 2

    pushed(broker, head(), *frames(*range(8), keys=(0, 4, 6)), END)

    assert server.arrived == [[0, 1], [4, 5, 6, 7]]
    assert server.ended == ["aborted", "closed"]


def test_a_server_that_is_not_there_yet_is_tried_at_each_keyframe(broker: Broker, server: Server) -> None:
    server.refuses = 2

    pushed(broker, head(), *frames(*range(8), keys=(0, 3, 6)), END)

    assert server.arrived == [[6, 7]]


def test_sound_does_not_begin_a_connection_and_waits_for_nothing(broker: Broker, server: Server, clock: Clock) -> None:
    with_sound = head()
    with_sound.head.audio.add(track=1, codec="aac", time_base=Rational(num=1, den=1))
    sound = [StreamRecord(packet=Packet(track=1, number=n, pts=n, key=True)) for n in (0, 30)]
    server.refuses = 1

    pushed(broker, with_sound, *frames(0), sound[0], *frames(1, keys=(1,)), sound[1], *frames(2), END)

    assert (server.arrived, server.sounds) == ([[1, 2]], [30])
    assert clock.naps == [0.1]


def test_a_new_size_needs_a_new_connection(broker: Broker, server: Server) -> None:
    pushed(broker, head(), *frames(0, 1), head(1, width=32), *frames(2, 3, keys=(2,), epoch=1), END)

    assert server.arrived == [[0, 1], [2, 3]]
    assert server.ended == ["closed", "closed"]


@pytest.mark.parametrize("deletes", [True, False], ids=["a broker that deletes", "one that cannot"])
def test_a_sink_that_was_killed_goes_on_after_what_it_had_done_with(
    broker: Broker, server: Server, monkeypatch: pytest.MonkeyPatch, deletes: bool
) -> None:
    if not deletes:
        monkeypatch.setattr(SqliteReader, "forget", lambda _, **__: None)
    publish(broker, [head(), *frames(0, 1, 2)])
    take, later = server.take, [head(), *frames(3, 4, 5, keys=(3,)), END]

    def publish_more(packet: Packet) -> None:
        if packet.number == 2:
            publish(broker, later)
        take(packet)

    server.take, server.kills_at = publish_more, 3  # type: ignore[method-assign]
    with pytest.raises(Crash):
        push(broker, STREAM, URL, "shown")
    server.kills_at = -1

    push(broker, STREAM, URL, "shown")

    assert server.arrived == [[0, 1, 2], [3, 4, 5]]


def test_what_was_pushed_is_deleted(broker: Broker, server: Server) -> None:
    publish(broker, [head(), *frames(0, 1)])
    take, left = server.take, []

    def look(packet: Packet) -> None:
        if packet.number == 1:
            publish(broker, [*frames(2), END])
        if packet.number == 2:
            reader = broker.reader(MASKED, STREAM)
            left.extend(reader.read(0))
            reader.close()
        take(packet)

    server.take = look  # type: ignore[method-assign]

    push(broker, STREAM, URL, "shown")

    assert [StreamRecord.FromString(record.value).packet.number for record in left] == [2, 0]
    assert all(earlier < later for earlier, later in pairwise(server.times))


@pytest.mark.parametrize("dies_at", range(6))
def test_a_push_that_is_killed_pushes_no_frame_twice(
    broker: Broker, server: Server, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """Within a batch, and without a last word."""
    publish(broker, [head(), *frames(*range(6), keys=(0, 2, 4)), END])
    saved = sinks._save_push
    monkeypatch.setattr(sinks, "_save_push", lambda *values: None if values[-1] is None else saved(*values))
    server.kills_at = dies_at
    with pytest.raises(Crash):
        push(broker, STREAM, URL, "shown")
    server.kills_at = -1

    push(broker, STREAM, URL, "shown")

    arrived = [number for connection in server.arrived for number in connection]
    assert arrived == sorted(set(arrived))


def test_frames_that_nobody_took_are_counted_and_said(broker: Broker, server: Server) -> None:
    server.refuses = 100
    said: list[str] = []
    publish(broker, [head(), *frames(0, 1, 2), StreamRecord(end=End(ledger=Ledger(shown=3)))])

    written = push(broker, STREAM, URL, "rtsp://server/door", said.append)

    assert written.files == ()
    assert written.reason.startswith("3 of 3 shown frames are missing in the push; rtsp://server/door: ")
    assert said and "connection refused" in said[0]


def test_reports_go_on_where_they_were(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "STORE_S", 0)
    reports = [VerdictRecord(frames=[FrameReport(index=n, fate=Fate.FATE_MASKED)]) for n in range(6)]
    messages = [Message(VERDICTS, record.SerializeToString()) for record in reports]
    writer = broker.writer("worker")
    writer.write(STREAM, [*messages[:4], Message(VERDICTS, b"\xff")], b"")
    with pytest.raises(DecodeError):
        write_verdicts(broker, STREAM, str(tmp_path / "part"), "door")
    with (tmp_path / "part").open("ab") as file:
        file.write(b"what was not stored")
    broker.drop(STREAM)
    end = Message(VERDICTS, VerdictRecord(end=End()).SerializeToString())
    writer.write(STREAM, [*messages[4:], end], b"")

    for _ in range(2):
        write_verdicts(broker, STREAM, str(tmp_path / "part"), "door")

    lines = [read_line(line) for line in (tmp_path / "part").read_text().splitlines()]
    assert [line.index for line in lines if isinstance(line, FrameLine)] == list(range(6))
    assert len(lines) == 7
    writer.close()
