"""What is read is numbered, chained and written once, whatever breaks in between, and not too far ahead of workers."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from engines import StreamError
from pipeline.brokers import INGEST, PACKETS, REJECTS, STATE, Broker, BrokerError, Fenced, Message, Writer
from pipeline.config import Config, Step
from pipeline.live import backlog
from pipeline.live import ingest as module
from pipeline.live.camera_attempts import DENIED_PAUSES_S
from pipeline.live.events import Event, EventKind
from pipeline.live.ingest import MOST_KILLED, ingest
from pipeline.live.sources import VideoSource
from pipeline.media import SourceDenied
from pipeline.wire import Head, IngestState, Packet, Reject, StreamRecord, StreamState
from tests.clips import Clips
from tests.hostile import HostileFiles
from tests.pipeline.live.clock import Clock
from tests.pipeline.live.crash import Crash
from tests.pipeline.live.masked_streams import STREAM, store

CONFIG = Config(steps=[Step(use="detect.zones")])
CAMERA = VideoSource(STREAM, "rtsp://me:secret@cam/door", True, "rtsp://cam/door")


def file_source(path: Path | str) -> VideoSource:
    return VideoSource(STREAM, str(path), False, Path(path).name)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = store(tmp_path / "store")
    yield broker
    broker.close()


def values(broker: Broker, topic: str) -> list[bytes]:
    reader, found = broker.reader(topic, STREAM), []
    while records := reader.read(0):
        found += [record.value for record in records]
    reader.close()
    return found


def stored(broker: Broker) -> list[StreamRecord]:
    return [StreamRecord.FromString(value) for value in values(broker, PACKETS)]


def packets(broker: Broker) -> list[Packet]:
    return [record.packet for record in stored(broker) if record.HasField("packet")]


def heads(broker: Broker) -> list[Head]:
    return [record.head for record in stored(broker) if record.HasField("head")]


def rejects(broker: Broker) -> list[Reject]:
    return [Reject.FromString(value) for value in values(broker, REJECTS)]


def state_of(broker: Broker) -> IngestState:
    return IngestState.FromString(broker.latest(INGEST, STREAM) or b"")


def read(broker: Broker, source: VideoSource, config: Config = CONFIG, stop: threading.Event | None = None) -> None:
    ingest(broker, source, config, stop or threading.Event())


# -- files ---------------------------------------------------------------------------------------------


def test_a_file_is_numbered_chained_and_ended(broker: Broker, clips: Clips) -> None:
    read(broker, file_source(clips("mp4_aac").path))

    first, *middle, last = stored(broker)
    assert (first.head.source, first.head.live, first.head.epoch) == ("aac.mp4", False, 0)
    assert [record.packet.number for record in middle] == list(range(len(middle)))
    chain = b""
    for record in middle:
        chain = hashlib.sha256(chain + record.packet.data).digest()
        assert record.packet.chain == chain
    video = sum(record.packet.track == 0 for record in middle)
    assert 0 < video < len(middle)
    assert (last.end.ledger.packets, last.end.reason) == (video, "")
    state = state_of(broker)
    assert (state.next_number, state.chain, state.video_packets, state.ended) == (len(middle), chain, video, True)


def test_sound_is_left_out_where_the_config_says_so(broker: Broker, clips: Clips) -> None:
    read(broker, file_source(clips("mp4_aac").path), CONFIG.model_copy(update={"audio": "drop"}))

    assert {packet.track for packet in packets(broker)} == {0}
    assert not heads(broker)[0].audio


def test_what_was_read_to_its_end_is_not_read_again(broker: Broker, clips: Clips) -> None:
    read(broker, file_source(clips("h264_plain").path))
    before = values(broker, PACKETS)

    read(broker, file_source("gone.mp4"))

    assert values(broker, PACKETS) == before


class MortalBroker:
    """Its writer fails at the n-th write, before or after that is stored."""

    def __init__(self, broker: Broker, die_at: int, *, after: bool = False, error: BaseException | None = None) -> None:
        self._broker, self._die_at, self._after = broker, die_at, after
        self._error = error or Crash()
        self._writes = itertools.count()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def writer(self, name: str) -> Writer:
        writer = self._broker.writer(name)
        write = writer.write

        def fatal(stream: str, messages: Sequence[Message], state: bytes) -> None:
            dies = next(self._writes) == self._die_at
            if not dies or self._after:
                write(stream, messages, state)
            if dies:
                raise self._error

        writer.write = fatal  # type: ignore[method-assign]
        return writer


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("die_at", [0, 1, 3, 6])
def test_a_reader_that_dies_at_any_write_writes_each_packet_once(
    broker: Broker, tmp_path: Path, clips: Clips, monkeypatch: pytest.MonkeyPatch, die_at: int, after: bool
) -> None:
    monkeypatch.setattr(module, "BATCH_PACKETS", 10)
    source = file_source(clips("h264_plain").path)
    undisturbed = store(tmp_path / "undisturbed")
    read(undisturbed, source)

    with pytest.raises(Crash):
        read(MortalBroker(broker, die_at, after=after), source)
    read(broker, source)

    assert stored(broker) == stored(undisturbed)
    assert state_of(broker) == state_of(undisturbed)
    undisturbed.close()


@pytest.mark.parametrize("error", [BrokerError("gone"), Fenced("taken")], ids=["lost", "fenced"])
@pytest.mark.parametrize("live", [False, True], ids=["file", "camera"])
def test_a_broker_that_fails_is_not_taken_for_a_source_that_does(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, error: BrokerError, live: bool
) -> None:
    monkeypatch.setattr(module, "Demuxer", Script([[HEAD, *video(3)]]).open)
    failing = MortalBroker(broker, 0, error=error)

    with pytest.raises(type(error)):
        read(failing, CAMERA if live else file_source("x.mp4"))

    assert stored(broker) == []
    assert state_of(broker) == IngestState()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: [*data[:-1], b"other"], "x.mp4: changed while it was being read; run it again"),
        (lambda data: data[:2], "x.mp4: changed while it was being read; run it again"),
        (lambda data: [*data, b"more"], ""),
    ],
    ids=["changed", "shortened", "grown"],
)
def test_a_file_that_changed_between_two_lives_is_not_mixed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, change: Callable[[list[bytes]], list[bytes]], reason: str
) -> None:
    data = [b"one", b"two", b"three"]
    monkeypatch.setattr(module, "BATCH_PACKETS", 4)
    monkeypatch.setattr(module, "Demuxer", Script([[HEAD, *map(coded, data)]] * 2).open)
    with pytest.raises(Crash):
        read(MortalBroker(broker, 1), file_source("x.mp4"))

    monkeypatch.setattr(module, "Demuxer", Script([[HEAD, *map(coded, change(data))]] * 2).open)
    read(broker, file_source("x.mp4"))

    assert stored(broker)[-1].end.reason == reason
    assert [packet.data for packet in packets(broker)][:3] == data
    assert [reject.detail for reject in rejects(broker)] == ([reason] if reason else [])


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(broker: Broker, hostile: HostileFiles) -> None:
    read(broker, file_source(hostile("truncated_mp4_with_index")))

    end = stored(broker)[-1].end
    assert "breaks off after" in end.reason
    assert end.ledger.packets == len(packets(broker)) > 10
    assert [(reject.reason, reject.detail) for reject in rejects(broker)] == [("source", end.reason)]


def test_a_demuxer_that_dies_once_is_forgiven(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(
        [[HEAD, *video(3), StreamError("killed")], [HEAD, *video(5), StreamError("killed")], [HEAD, *video(9)]]
    )
    monkeypatch.setattr(module, "Demuxer", script.open)

    read(broker, file_source("x.mp4"))

    assert [packet.number for packet in packets(broker)] == list(range(9))
    assert (len(heads(broker)), stored(broker)[-1].end.reason, rejects(broker)) == (1, "", [])


def test_a_file_that_breaks_twice_at_one_packet_ends_there(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "x.mp4: broken " * 50
    script = Script([[HEAD, *video(3), StreamError(reason)]] * 9)
    monkeypatch.setattr(module, "Demuxer", script.open)

    read(broker, file_source("x.mp4"))

    assert script.opened == 2
    assert stored(broker)[-1].end.reason == reason
    assert [reject.detail for reject in rejects(broker)] == [reason[:500]]


@pytest.mark.parametrize(("kills", "whole"), [(MOST_KILLED - 1, True), (MOST_KILLED, False)])
def test_a_demuxer_may_be_killed_a_few_times_at_one_packet(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, kills: int, whole: bool
) -> None:
    """By whoever is short of memory; not only by the file."""
    monkeypatch.setattr(module, "KILLED_PAUSE_S", 0)
    killed = StreamError("x.mp4: its child process was killed by SIGKILL")
    scenes: list[Scene] = [[HEAD, *video(3), killed] for _ in range(kills)]
    monkeypatch.setattr(module, "Demuxer", Script([*scenes, [HEAD, *video(5)]]).open)

    read(broker, file_source("x.mp4"))

    assert stored(broker)[-1].end.reason == ("" if whole else str(killed))
    assert len(packets(broker)) == (5 if whole else 3)


def test_a_file_that_is_not_there_ends_its_stream_with_a_reason(broker: Broker, tmp_path: Path) -> None:
    read(broker, file_source(tmp_path / "none.mp4"))

    (end,) = stored(broker)
    assert end.end.reason == f"{tmp_path}/none.mp4: no such file"
    assert end.end.ledger.packets == 0


# -- cameras -------------------------------------------------------------------------------------------

HEAD = StreamRecord(head=Head(codec="h264", width=64, height=48))
Scene = Sequence[StreamRecord | StreamError]


def coded(data: bytes) -> StreamRecord:
    return StreamRecord(packet=Packet(data=data, key=True))


def video(count: int) -> list[StreamRecord]:
    return [coded(b"%d" % number) for number in range(count)]


class Script:
    """What a source gives each time that it is opened; once that is over, it is silent and `stop` is set.

    Attributes:
        opened: how often.
        options: of the last demuxer.
    """

    def __init__(self, scenes: Sequence[Scene], stop: threading.Event | None = None) -> None:
        self._scenes, self._stop = list(scenes), stop
        self.opened = 0
        self.options: dict[str, Any] = {}

    def open(self, _source: str, **options: Any) -> Self:
        self.opened += 1
        self.options = options
        return self

    def __enter__(self) -> Iterator[StreamRecord]:
        return self._records()

    def __exit__(self, *_: object) -> None: ...

    def _records(self) -> Iterator[StreamRecord]:
        scene = self._scenes.pop(0)
        if not self._scenes and self._stop is not None:
            self._stop.set()
        for item in scene:
            if isinstance(item, StreamError):
                raise item
            yield StreamRecord.FromString(item.SerializeToString())


class Patience(threading.Event):
    """Is never waited for; notes the pauses, and is set after some."""

    def __init__(self, pauses: int) -> None:
        super().__init__()
        self.pauses: list[float | None] = []
        self._left = pauses

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        self._left -= 1
        if not self._left:
            self.set()
        return self.is_set()


def test_a_camera_that_comes_back_is_in_a_new_epoch(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Patience(3)
    scenes: list[Scene] = [[HEAD, *video(2)], [StreamError("refused")], [HEAD, *video(3), StreamError("gone")]]
    script = Script(scenes)
    monkeypatch.setattr(module, "Demuxer", script.open)

    read(broker, CAMERA, stop=stop)

    assert [(head.epoch, head.source, head.live) for head in heads(broker)] == [
        (0, "rtsp://cam/door", True),
        (1, "rtsp://cam/door", True),
    ]
    assert [(packet.epoch, packet.number) for packet in packets(broker)] == [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4)]
    assert packets(broker)[2].chain == hashlib.sha256(packets(broker)[1].chain + b"0").digest()
    assert (stored(broker)[-1].end.ledger.packets, stored(broker)[-1].end.reason) == (5, "gone")
    assert script.options["live"] is True


def test_why_nothing_comes_is_said_in_the_state_until_something_does(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles: list[str] = []

    class Watching(Patience):
        def wait(self, timeout: float | None = None) -> bool:
            troubles.append(state_of(broker).trouble)
            return super().wait(timeout)

    monkeypatch.setattr(module, "Demuxer", Script([[StreamError("refused")], [HEAD, *video(1)]]).open)

    read(broker, CAMERA, stop=Watching(2))

    assert troubles == [
        "refused; trying again in 0.5 s",
        "the source closed the connection; trying again in 1.0 s",
    ]
    assert [reject.detail for reject in rejects(broker)] == troubles
    assert [(reject.epoch, reject.reason) for reject in rejects(broker)] == [(0, "source")] * 2


def test_pauses_grow(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Demuxer", Script([[StreamError("refused")]] * 3).open)
    stop = Patience(3)

    read(broker, CAMERA, stop=stop)

    assert stop.pauses == [0.5, 1, 2]
    assert stored(broker)[-1].end.reason == "refused"


def test_a_camera_that_denies_itself_is_asked_once(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras lock accounts."""
    script = Script([[SourceDenied("refuses the login")]] * 9)
    monkeypatch.setattr(module, "Demuxer", script.open)
    events: list[Event] = []

    why = ingest(broker, CAMERA, CONFIG, Patience(9), events.append)

    assert why == "refuses the login"
    assert (script.opened, state_of(broker).ended, stored(broker)[-1].end.reason) == (1, True, why)
    assert [event.kind for event in events] == [EventKind.REFUSED]


def test_a_camera_that_denies_itself_later_is_asked_slowly(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes: list[Scene] = [[HEAD, *video(2)], *[[SourceDenied("refuses the login")] for _ in range(9)]]
    monkeypatch.setattr(module, "Demuxer", Script(scenes).open)
    stop = Patience(99)

    assert ingest(broker, CAMERA, CONFIG, stop) == ""

    assert stop.pauses == [0.5, *DENIED_PAUSES_S]
    assert stored(broker)[-1].end.reason == "refuses the login"


def test_a_camera_that_is_stopped_ends_well(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(module, "Demuxer", Script([[HEAD, *video(5)]], stop).open)

    read(broker, CAMERA, stop=stop)

    assert len(packets(broker)) == 0  # it was told before the first of them
    assert (stored(broker)[-1].end.reason, rejects(broker), state_of(broker).ended) == ("", [], True)


def test_a_camera_s_packets_do_not_wait_for_each_other(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, str]] = []

    class Watched(Script):
        def _records(self) -> Iterator[StreamRecord]:
            for record in super()._records():
                seen.append((len(stored(broker)), state_of(broker).trouble))
                yield record

    monkeypatch.setattr(module, "Demuxer", Watched([[StreamError("refused")], [HEAD, *video(3)]]).open)

    read(broker, CAMERA, stop=Patience(2))

    assert seen == [(0, "refused; trying again in 0.5 s"), (1, ""), (2, ""), (3, "")]


def test_no_password_is_stored(broker: Broker) -> None:
    source = VideoSource(STREAM, "rtsp://me:secret@127.0.0.1:1/door", True, "rtsp://127.0.0.1:1/door")

    read(broker, source, stop=Patience(1))

    (reject,) = rejects(broker)
    assert reject.detail.startswith("rtsp://127.0.0.1:1/door: connection refused; trying again")
    assert b"secret" not in b"".join(
        [*values(broker, PACKETS), *values(broker, REJECTS), broker.latest(INGEST, STREAM) or b""]
    )


# -- not too far ahead ---------------------------------------------------------------------------------


class Workers:
    """A broker whose workers settle packets whenever somebody asks how far they are; it knows every other time.

    Attributes:
        ahead: how far the reader was ahead of them at each write.
    """

    def __init__(self, broker: Broker, step: int, *, hungry: bool = False) -> None:
        self._broker, self._step, self._hungry = broker, step, hungry
        self._settled = self._asked = 0
        self.ahead: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def latest(self, topic: str, stream: str) -> bytes | None:
        if topic != STATE:
            return self._broker.latest(topic, stream)
        self._asked += 1
        if self._asked % 2:
            raise BrokerError("cannot be told now")
        self._settled += self._step
        reached = IngestState.FromString(self._broker.latest(INGEST, stream) or b"").next_number if self._hungry else 0
        return StreamState(settled_below=self._settled, reached=reached).SerializeToString()

    def writer(self, name: str) -> Writer:
        writer = self._broker.writer(name)
        write = writer.write

        def watched(stream: str, messages: Sequence[Message], state: bytes) -> None:
            self.ahead.append(IngestState.FromString(state).next_number - self._settled)
            write(stream, messages, state)

        writer.write = watched  # type: ignore[method-assign]
        return writer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(backlog, "time", clock)
    return clock


def test_a_file_is_read_no_further_ahead_than_the_backlog(
    broker: Broker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Demuxer", Script([[HEAD, *video(400)]]).open)
    workers = Workers(broker, step=1)

    read(workers, file_source("x.mp4"), CONFIG.model_copy(update={"backlog": 64}))

    assert len(packets(broker)) == 400
    assert max(workers.ahead[:-1]) == 64
    assert sum(clock.naps) > 5  # as long as they move, they are waited for


def test_large_packets_are_not_gathered(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Demuxer", Script([[HEAD, *(coded(bytes(400_000)) for _ in range(6))]]).open)
    workers = Workers(broker, step=100)

    read(workers, file_source("x.mp4"))

    assert len(workers.ahead) == 3  # two of 1.2 MB, and one with the end


class Given(Exception):
    """Long enough."""


@pytest.mark.parametrize(
    ("change", "size", "stored_packets"),
    [({"backlog": 64}, 10, 64), ({"backlog": 500}, 10, 500), ({"backlog_mb": 8}, 1 << 20, 8)],
    ids=["few packets", "more packets", "bytes"],
)
def test_workers_that_stand_are_never_written_past(
    broker: Broker,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, int],
    size: int,
    stored_packets: int,
) -> None:
    """For as long as they stand, which is said."""
    monkeypatch.setattr(module, "Demuxer", Script([[HEAD, *(coded(bytes(size)) for _ in range(1000))]]).open)
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if clock.now > 1600:
            raise Given

    with pytest.raises(Given):
        ingest(Workers(broker, step=0), file_source("x.mp4"), CONFIG.model_copy(update=change), threading.Event(), emit)

    assert stored_packets - 64 < len(packets(broker)) <= stored_packets
    assert len(events) == pytest.approx(20, abs=1)
    assert events[0].reason.startswith("for workers: the workers are ") and events[0].kind is EventKind.WAITING


def test_workers_that_need_more_for_a_unit_are_given_it(
    broker: Broker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Demuxer", Script([[HEAD, *video(1000)]]).open)

    read(Workers(broker, step=0, hungry=True), file_source("x.mp4"), CONFIG.model_copy(update={"backlog": 64}))

    assert len(packets(broker)) == 1000
    assert not [nap for nap in clock.naps if nap > 1]


def test_a_unit_that_never_ends_ends_its_stream(broker: Broker, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [[HEAD, *(coded(bytes(1 << 20)) for _ in range(90))]] * 2
    monkeypatch.setattr(module, "Demuxer", Script(script).open)

    read(Workers(broker, step=0, hungry=True), file_source("x.mp4"), CONFIG.model_copy(update={"backlog_mb": 8}))

    assert 32 <= len(packets(broker)) <= 34
    assert stored(broker)[-1].end.reason.startswith("no unit of it ends within 3")
    assert clock.now < 1100


def test_a_camera_that_is_too_far_ahead_is_left(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until workers have caught up; with a word, and as a new epoch."""
    monkeypatch.setattr(module, "WORKERS_PAUSE_S", 0.0)
    script = Script([[HEAD, *video(100)], [HEAD, *video(10)], *[[HEAD]] * 9])
    monkeypatch.setattr(module, "Demuxer", script.open)
    workers = Workers(broker, step=0)
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        workers._step = 30 if event.kind is EventKind.LOST else 0

    ingest(workers, CAMERA, CONFIG.model_copy(update={"backlog": 64}), Patience(9), emit)

    assert max(workers.ahead) == 65  # with the one that was too many
    (reject, *_) = rejects(broker)
    assert "the workers are 65 packets behind; left until they have caught up; trying again" in reject.detail
    assert [head.epoch for head in heads(broker)][:2] == [0, 1]
    assert [packet.number for packet in packets(broker)] == list(range(75))


def test_what_a_child_may_use_is_what_the_config_says(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script([[HEAD]])
    monkeypatch.setattr(module, "Demuxer", script.open)
    jail = CONFIG.jail.model_copy(update={"memory_mb": 300, "timeout_s": 3.0, "max_pixels": 99})

    read(broker, file_source("x.mp4"), CONFIG.model_copy(update={"jail": jail}))

    limits = script.options["limits"]
    assert (limits.memory_bytes, limits.timeout_s, limits.max_pixels) == (300 << 20, 3.0, 99)
