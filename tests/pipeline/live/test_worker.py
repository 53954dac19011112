"""Streams of one worker: each begins again from what it committed, whatever happens to it, and costs no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import EngineError, FrameError
from operators.detect.zones import Zones
from operators.frame import Frame
from pipeline.brokers import BrokerError, Fenced, Record
from pipeline.config import Config, EncodeSection, Step
from pipeline.jail.parent import JailLimits
from pipeline.live.masked_output import MaskedOutput
from pipeline.live.stream import StreamWork
from pipeline.live.worker import MOST_QUEUED, Worker
from pipeline.media import Decoded, Undecodable
from pipeline.media.intake import MAX_DEATHS, MAX_FAILURES, MAX_OPENED
from pipeline.wire import Head, Ledger, Packet
from tests.pipeline.live.scripted_member import ScriptedMember, stream_of
from tests.pipeline.media.scripted_decoder import BASE, FATAL, SHOWN, ScriptedDecoder, head, packet

CONFIG = Config(
    steps=[
        Step(use="detect.zones", options={"boxes": [[0.5, 0.5, 1, 1]]}),
        Step(use="deidentify.cover", options={"style": "solid", "shape": "box"}),
    ],
    encode=EncodeSection(preset="ultrafast"),
    lookahead_ms=0,
)
PACKETS = 5
Opened = list[ScriptedDecoder]


def packets(data: dict[int, bytes] | None = None) -> list[Packet]:
    return [packet(number, (data or {}).get(number, SHOWN), key=number == 0) for number in range(PACKETS)]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr("pipeline.live.worker.FAILURE_PAUSE_S", 0)
    return Worker("", {}, "group", "worker", CONFIG)


def test_a_worker_with_a_blind_detector_takes_no_stream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says what is wrong to whoever asks it to begin."""
    monkeypatch.setattr("pipeline.live.steps.whole_file_of", Path)
    step = Step(use="detect.yunet", engines={"detector": str(tmp_path / "yunet.onnx")})
    blind = Worker("", {}, "group", "worker", Config(steps=[step]), open_network=lambda _: sees_nothing)
    member = ScriptedMember()

    for asked in (blind.ready, blind.work, lambda: blind.turn(member)):
        with pytest.raises(EngineError, match=r"^detect\.yunet: expected it to find the face .*, got: no face"):
            asked()


def sees_nothing(**inputs: Any) -> dict[str, Any]:
    """YuNet with all its weights 0."""
    height, width = inputs["input"].shape[2:]
    cells = {stride: (height // stride) * (width // stride) for stride in (8, 16, 32)}
    numbers = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {
        f"{name}_{stride}": np.zeros((1, count, wide), np.float32)
        for stride, count in cells.items()
        for name, wide in numbers.items()
    }


def turn_until(worker: Worker, member: ScriptedMember, reached: Callable[[], bool]) -> None:
    for _ in range(300):
        worker.turn(member)
        if reached():
            return
    pytest.fail(f"not reached; rewound: {member.rewound}, commits: {[commit.stream for commit in member.commits]}")


def work(worker: Worker, member: ScriptedMember, *streams: str) -> list[Ledger]:
    """Until these streams have ended; what their ends report."""

    def ended(stream: str) -> bool:
        stored = member.stored(stream)
        return stored is not None and stored.ended

    turn_until(worker, member, lambda: all(map(ended, streams)))
    assert not worker.streams & set(streams)
    return [commit.state.ledger for stream in streams if (commit := member.stored(stream)) is not None]


def test_streams_are_worked_on_to_their_ends(worker: Worker, decoders: Opened) -> None:
    member = ScriptedMember({"a": stream_of(head(), packets()), "b": stream_of(head(), packets()[:3])})

    first, second = work(worker, member, "a", "b")

    assert (first.shown, second.shown) == (PACKETS, 3)
    assert not member.rewound
    assert len(decoders) == 2 and all(decoder.closed for decoder in decoders)


def test_a_packet_that_kills_decoders_is_given_up_and_costs_no_other_stream(worker: Worker, decoders: Opened) -> None:
    member = ScriptedMember({"a": stream_of(head(), packets({2: FATAL})), "b": stream_of(head(), packets())})

    first, second = work(worker, member, "a", "b")

    assert (first.shown, dict(first.withheld)) == (PACKETS - 1, {"decoder_died": 1})
    assert (second.shown, dict(second.withheld)) == (PACKETS, {})
    assert member.rewound == {"a": MAX_DEATHS}
    assert len(decoders) == 1 + MAX_DEATHS + 1


class ShutDecoder(ScriptedDecoder):
    """Cannot be opened, as one with broken extradata."""

    tried = 0

    def __init__(self, *_: object, **__: object) -> None:
        ShutDecoder.tried += 1
        raise FrameError("extradata is broken")


class StillbornDecoder(ScriptedDecoder):
    """Comes up, and dies before it has decoded anything."""

    tried = 0

    def __init__(self, head: Head, *, slots: int, limits: JailLimits) -> None:
        StillbornDecoder.tried += 1
        super().__init__(head, slots=slots, limits=limits)

    @property
    def suspect(self) -> int | None:
        return None

    def receive(self, timeout_s: float) -> list[Decoded | Undecodable]:
        self.waited_s.append(timeout_s)
        if len(self.waited_s) == 1:
            return []
        raise FrameError("the decoder died")


@pytest.mark.parametrize("kind", [ShutDecoder, StillbornDecoder])
def test_a_decoder_that_does_not_come_up_is_tried_a_few_times(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, kind: type[ShutDecoder | StillbornDecoder]
) -> None:
    monkeypatch.setattr("pipeline.media.intake.Decoder", kind)
    monkeypatch.setattr(kind, "tried", 0)
    member = ScriptedMember({"a": stream_of(head(), packets())})

    (ledger,) = work(worker, member, "a")

    assert dict(ledger.withheld) == {"undecodable": PACKETS}
    assert kind.tried == MAX_OPENED


class RestlessDecoder(ScriptedDecoder):
    """Dies with nothing to do, in each of its first lives, but not before it has given its first picture."""

    lives_left = 0

    def receive(self, timeout_s: float) -> list[Decoded | Undecodable]:
        if self.decoded and not self.under_way and RestlessDecoder.lives_left:
            RestlessDecoder.lives_left -= 1
            raise FrameError("the decoder died in its sleep")
        return super().receive(timeout_s)


def test_a_decoder_that_works_may_die_more_often(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.media.intake.Decoder", RestlessDecoder)
    monkeypatch.setattr(RestlessDecoder, "lives_left", 2 * MAX_OPENED)
    records = stream_of(head(), packets())
    member = ScriptedMember({"a": records[:2]})  # its end is not there yet, so the decoder has to wait

    turn_until(worker, member, lambda: not RestlessDecoder.lives_left)
    member.more("a", records[2:])
    (ledger,) = work(worker, member, "a")

    assert (ledger.shown, member.rewound["a"]) == (PACKETS, 2 * MAX_OPENED)


def test_whatever_else_fails_is_tried_again_and_then_withheld(
    worker: Worker, decoders: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("made to fail")

    monkeypatch.setattr("pipeline.live.masked_output.MaskedOutput.encode", fail)
    member = ScriptedMember({"a": stream_of(head(), packets())})

    (ledger,) = work(worker, member, "a")

    assert dict(ledger.withheld) == {"undecodable": PACKETS}
    assert member.rewound == {"a": MAX_FAILURES}
    assert len(decoders) == MAX_FAILURES


@pytest.mark.usefixtures("decoders")
def test_faults_that_have_nothing_to_do_with_each_other_are_forgiven(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that runs for weeks meets more of them than one that cannot be worked on at all."""
    encode, failed = MaskedOutput.encode, set[int]()

    def fail_once(self: MaskedOutput, picture: Any, index: int, *times: Any, **more: Any) -> None:
        if index % 2 and index not in failed:
            failed.add(index)
            raise ZeroDivisionError("made to fail")
        encode(self, picture, index, *times, **more)

    monkeypatch.setattr(MaskedOutput, "encode", fail_once)
    units = [packet(number, SHOWN, key=True) for number in range(3 * MAX_FAILURES)]
    for number, each in enumerate(units):
        each.pts = number * 2 * BASE  # two seconds apart, so that each is a unit
    member = ScriptedMember({"a": stream_of(head(), units)})

    (ledger,) = work(worker, member, "a")

    assert len(failed) > MAX_FAILURES
    assert (ledger.shown, dict(ledger.withheld)) == (len(units), {})
    assert any("made to fail" in event.reason for event in worker.events(0).events)


class Hiccup(ScriptedMember):
    """Leaves a record out, once, in what it serves of stream `a`."""

    left_out = False

    def poll(self, timeout_s: float, *, max_bytes: int = 0) -> list[Record]:
        records = super().poll(timeout_s, max_bytes=max_bytes)
        if not self.left_out and any(record.offset == 2 for record in records):
            self.left_out = True
            return [record for record in records if (record.stream, record.offset) != ("a", 2)]
        return records


@pytest.mark.usefixtures("decoders")
def test_records_out_of_turn_are_fetched_again(worker: Worker) -> None:
    member = Hiccup({"a": stream_of(head(), packets()), "b": stream_of(head(), packets())})

    first, second = work(worker, member, "a", "b")

    assert (first.shown, second.shown) == (PACKETS, PACKETS)
    assert set(member.rewound) == {"a"}


def test_what_the_broker_did_not_store_is_done_again(worker: Worker, decoders: Opened) -> None:
    member = ScriptedMember({"a": stream_of(head(), packets())})
    member.refusals.append(BrokerError("no answer"))

    turn_until(worker, member, lambda: not member.refusals)
    dropped = [decoder.closed for decoder in decoders]
    (ledger,) = work(worker, member, "a")

    assert dropped == [True]
    assert (ledger.shown, dict(ledger.withheld)) == (PACKETS, {})
    assert member.rewound == {"a": 1}  # by the broker; the worker leaves it where that is


class Absent(ScriptedMember):
    """The broker does not answer when it is asked for a state, once."""

    answers = False

    def state(self, stream: str) -> bytes | None:
        if not self.answers:
            self.answers = True
            raise BrokerError("no answer")
        return super().state(stream)


@pytest.mark.usefixtures("decoders")
def test_records_of_a_stream_that_could_not_be_taken_up_are_fetched_again(worker: Worker) -> None:
    member = Absent({"a": stream_of(head(), packets())})

    (ledger,) = work(worker, member, "a")

    assert (ledger.shown, member.rewound["a"]) == (PACKETS, 1)


def test_a_worker_that_was_fenced_leaves_the_stream_alone(worker: Worker, decoders: Opened) -> None:
    member = ScriptedMember({"a": stream_of(head(), packets()), "b": stream_of(head(), packets())})
    member.refusals.append(Fenced("somebody else owns it"))

    turn_until(worker, member, lambda: not member.refusals)
    (other,) = {"a", "b"} - member.lost
    work(worker, member, other)

    assert {commit.stream for commit in member.commits} == {other}
    assert not member.rewound
    assert all(decoder.closed for decoder in decoders)


def test_a_stream_that_went_to_somebody_else_is_let_go(worker: Worker, decoders: Opened) -> None:
    member = ScriptedMember({"a": stream_of(head(), packets())[:3], "b": stream_of(head(), packets())[:3]})
    turn_until(worker, member, lambda: worker.streams == {"a", "b"})

    member.lost.add("a")
    turn_until(worker, member, lambda: worker.streams == {"b"})

    assert sorted(decoder.closed for decoder in decoders) == [False, True]
    worker.drop_all()
    assert worker.streams == frozenset()
    assert all(decoder.closed for decoder in decoders)


@pytest.mark.usefixtures("decoders")
@pytest.mark.parametrize("live", [False, True], ids=["file", "camera"])
def test_more_is_fetched_once_a_file_is_worked_off_and_of_cameras_always(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    member = ScriptedMember({"a": stream_of(head(live=live), packets())})
    worker.turn(member)
    worker.turn(member)  # now its head is taken
    monkeypatch.setattr(StreamWork, "pump", lambda *_: False)
    polls = member.polls

    worker.turn(member)

    assert member.polls == polls + live


@pytest.mark.usefixtures("decoders")
@pytest.mark.parametrize(("stuck", "fetched"), [(MOST_QUEUED - 1, True), (MOST_QUEUED, False)])
def test_no_more_is_fetched_than_may_wait(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, stuck: int, fetched: bool
) -> None:
    pump = StreamWork.pump
    monkeypatch.setattr(StreamWork, "pump", lambda work, timeout_s: work.queued < 10 and pump(work, timeout_s))
    sound = [Packet(number=number, track=1) for number in range(stuck - 1)]
    member = ScriptedMember({"hungry": stream_of(head(), [])[:1], "stuck": stream_of(head(), sound)[:-1]})
    worker.turn(member)

    worker.turn(member)

    assert member.polls == 1 + fetched


@pytest.mark.usefixtures("decoders")
def test_a_frame_that_fails_is_no_failure_of_its_stream(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Zones.__call__

    def fail_once(self: Zones, frames: Sequence[Frame]) -> list[Frame]:
        if frames[0].index == 1:
            raise ArithmeticError("made to fail")
        return look(self, frames)

    monkeypatch.setattr(Zones, "__call__", fail_once)
    member = ScriptedMember({"a": stream_of(head(), packets())})

    (ledger,) = work(worker, member, "a")

    assert (ledger.shown, ledger.covered_whole) == (PACKETS, 1)
    assert not member.rewound
