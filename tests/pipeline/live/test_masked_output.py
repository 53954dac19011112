"""What leaves a worker: heads where a sink needs them, units that begin with a keyframe, and a clock without steps."""

from __future__ import annotations

from itertools import pairwise

import pytest

from operators.frame import PixelFormat
from operators.shown import AS_IT_LIES
from pipeline.brokers import MASKED
from pipeline.live import masked_output
from pipeline.live.masked_output import LIVE_UNIT
from pipeline.live.resume import OutputPoint, ResumePoint
from pipeline.wire import End, Head, Packet, StreamRecord
from tests.pipeline.live.masked_streams import SOURCE, feed, grey, opened, taken

BOTH = pytest.mark.parametrize("low_latency", [False, True], ids=["transactional", "low latency"])


def heads(records: list[StreamRecord]) -> list[Head]:
    return [record.head for record in records if record.HasField("head")]


def packets(records: list[StreamRecord]) -> list[Packet]:
    return [record.packet for record in records if record.HasField("packet")]


def keys(records: list[StreamRecord]) -> list[int]:
    return sorted(packet.number for packet in packets(records) if packet.key)


@BOTH
def test_a_stream_begins_with_a_head_and_a_keyframe(low_latency: bool) -> None:
    output = opened(low_latency=low_latency)

    feed(output, range(5))
    output.finish_unit()
    records = taken(output)

    assert records[0].HasField("head")
    head = records[0].head
    assert (head.epoch, head.continues, head.codec, head.width, head.height) == (0, False, "h264", 64, 48)
    assert sorted((p.number, p.pts, p.epoch, p.duration) for p in packets(records)) == [(n, n, 0, 1) for n in range(5)]
    assert keys(records) == [0]
    assert output.take() == []


def test_a_unit_comes_out_as_a_whole_and_the_next_goes_on_its_clock() -> None:
    output = opened()

    feed(output, range(6))
    early = taken(output)
    output.finish_unit()
    first = taken(output)
    feed(output, range(6, 12))
    output.finish_unit()
    second = taken(output)

    assert packets(early) == []
    assert (len(packets(first)), len(packets(second)), len(heads(second))) == (6, 6, 0)
    assert packets(second)[0].key and keys(second) == [6]
    times = [packet.dts for packet in packets(first) + packets(second)]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert all(packet.dts <= packet.pts for packet in packets(first) + packets(second))


def test_low_latency_lets_each_picture_go_and_each_unit_can_be_joined() -> None:
    output, units = opened(low_latency=True), []

    for start in (0, 3):
        for number in range(start, start + 3):
            feed(output, [number])
            units.append(taken(output))
        output.finish_unit()

    assert [[p.number for p in packets(unit)] for unit in units] == [[n] for n in range(6)]
    assert [len(heads(unit)) for unit in units] == [1, 0, 0, 1, 0, 0]
    assert units[0][0] == units[3][0]
    assert [keys(unit) for unit in units] == [[0], [], [], [3], [], []]


@BOTH
def test_after_a_takeover_a_sink_can_come_in_at_any_frame_of_a_unit(low_latency: bool) -> None:
    output = opened(ResumePoint(source=SOURCE, output=OutputPoint(epoch=3), next_index=7), low_latency=low_latency)

    feed(output, range(7, 7 + LIVE_UNIT + 5))
    output.finish_unit()
    records = taken(output)

    assert [(head.epoch, head.continues) for head in heads(records)] == [(4, True)]
    assert keys(records) == list(range(7, 7 + LIVE_UNIT))
    assert {packet.epoch for packet in packets(records)} == {4}


def test_the_next_owner_goes_on_with_the_clock() -> None:
    former = opened()
    feed(former, range(6))
    former.finish_unit()
    before = packets(taken(former))

    point = former.point()
    output = opened(ResumePoint(source=SOURCE, output=point))
    feed(output, [6])
    feed(output, range(7, 12), clock=100)
    output.finish_unit()
    after = packets(taken(output))

    assert (point.epoch, point.anew) == (0, False)
    assert [packet.dts for packet in after][:3] == [4, 5, 6]  # the former owner's last times, and then its own
    assert max(packet.dts for packet in before) < min(packet.dts for packet in after)


@BOTH
def test_a_new_epoch_begins_after_the_frames_before_it_with_a_clock_of_its_own(low_latency: bool) -> None:
    output = opened(low_latency=low_latency)
    feed(output, range(4), clock=500)

    output.open_epoch()
    before = taken(output)
    feed(output, range(4, 8), clock=-4, size=(32, 48))
    output.finish_unit()
    after = taken(output)

    assert {packet.epoch for packet in packets(before)} == {0}
    assert len(packets(before)) == 4
    assert [(head.epoch, head.continues, head.width) for head in heads(after)] == [(1, False, 32)]
    assert {packet.epoch for packet in packets(after)} == {1}
    assert keys(after) == [4]
    assert all(packet.dts <= packet.pts < 4 for packet in packets(after))


def test_a_new_epoch_needs_one_keyframe_even_soon_after_a_takeover() -> None:
    output = opened(ResumePoint(source=SOURCE))
    feed(output, range(3))

    output.open_epoch()
    feed(output, range(3, 6))
    output.finish_unit()

    assert keys(taken(output)) == [0, 1, 2, 3]


def test_an_epoch_that_was_opened_but_not_begun_is_announced_by_the_next_owner() -> None:
    former = opened()
    feed(former, range(4))
    former.open_epoch()

    point = former.point()
    output = opened(ResumePoint(source=SOURCE, output=point))
    feed(output, range(4, 6))
    output.finish_unit()

    assert (point.epoch, point.anew, point.encoder_clock) == (1, True, b"")
    assert [(head.epoch, head.continues) for head in heads(taken(output))] == [(2, False)]


def test_an_encoder_is_chosen_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def choose(wanted: str, source: Head, layout: PixelFormat, width: int, height: int) -> str:  # noqa: ARG001
        asked.append(width)
        return "libx264"

    monkeypatch.setattr(masked_output, "working_encoder", choose)
    output = opened()

    for size in ((64, 48), (32, 48)):
        for unit in ([0], [1]):
            feed(output, unit, size=size)
            output.finish_unit()
        output.open_epoch()

    assert asked == [64, 32]


def test_frames_of_the_unit_are_counted() -> None:
    output = opened()

    feed(output, range(3))
    assert output.frames == 3
    output.finish_unit()

    assert output.frames == 0


def test_sound_goes_under_the_epoch_of_the_output_and_without_the_chain_of_the_source() -> None:
    output = opened(ResumePoint(source=SOURCE, output=OutputPoint(epoch=3)))

    output.pass_audio(Packet(track=1, epoch=9, number=5, chain=b"of the source", data=b"sound"))
    output.end(End(reason="gone"))
    sound, end = taken(output)

    assert sound.packet == Packet(track=1, epoch=4, number=5, data=b"sound")
    assert end.end.reason == "gone"


def test_records_go_into_the_topic_of_sinks() -> None:
    output = opened(low_latency=True)

    output.prepare(SOURCE, grey(0), AS_IT_LIES)
    output.encode(grey(0), 0, 0, 1)

    assert {message.topic for message in output.take()} == {MASKED}
