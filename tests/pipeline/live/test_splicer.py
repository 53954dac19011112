"""The sink's choice of packets: each frame once and in order, epochs entered at keyframes, and one clock for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.shown import Shown
from pipeline.live.splicer import Splicer
from pipeline.media.shown import message_of
from pipeline.wire import AudioTrack, Head, Packet, Rational, StreamRecord

FPS, RATE = 25, 100
"""Ticks a second, of pictures and of sound."""
VOICE = AudioTrack(track=1, codec="aac", time_base=Rational(num=1, den=RATE))
Line = tuple[int | None, str]
"""The epoch whose head begins an output here, and what is written: `v3 at 0.12` is frame 3 at 0.12 s."""


def head(epoch: int, *, continues: bool = False, **changes: Any) -> StreamRecord:
    base = {"codec": "h264", "width": 64, "height": 48, "time_base": Rational(num=1, den=FPS), "audio": [VOICE]}
    return StreamRecord(head=Head(epoch=epoch, continues=continues, **{**base, **changes}))


def live(epoch: int, **changes: Any) -> StreamRecord:
    """The head of a camera."""
    return head(epoch, live=True, **changes)


def frame(epoch: int, number: int, *, key: bool = False, pts: int | None = None, duration: int = 1) -> StreamRecord:
    pts = number if pts is None else pts
    return StreamRecord(packet=Packet(epoch=epoch, number=number, key=key, pts=pts, dts=pts, duration=duration))


def frames(epoch: int, numbers: Iterable[int], *, keys: Iterable[int] = (), clock: int = 0) -> list[StreamRecord]:
    """Frames with these numbers, the first of them and `keys` being keyframes; frame n is shown at n + clock."""
    numbers, keys = list(numbers), set(keys)
    return [frame(epoch, n, key=n in keys or n == numbers[0], pts=n + clock) for n in numbers]


def sound(epoch: int, number: int, dts: int, *, track: int = 1) -> StreamRecord:
    return StreamRecord(packet=Packet(epoch=epoch, number=number, dts=dts, pts=dts + 1, track=track))


def spliced(*records: StreamRecord | list[StreamRecord]) -> list[Line]:
    splicer, lines = Splicer(), []
    for record in [r for item in records for r in (item if isinstance(item, list) else [item])]:
        for begins, packet, shift in splicer.take(record):
            base = Fraction(1, RATE if packet.track else FPS)
            time_s = (packet.dts if packet.track else packet.pts) * base + shift
            kind = "s" if packet.track else "v"
            lines.append((begins.epoch if begins else None, f"{kind}{packet.number} at {float(time_s):g}"))
    return lines


def video(numbers: Iterable[int], *, begins: int | None = None, at: float | None = None) -> list[Line]:
    """Lines of frames that follow each other: the first at `at`, or where it is on the clock of frame 0."""
    numbers = list(numbers)
    first = numbers[0] / FPS if at is None else at
    return [(begins if k == 0 else None, f"v{n} at {first + k / FPS:g}") for k, n in enumerate(numbers)]


CASES: dict[str, tuple[list[StreamRecord | list[StreamRecord]], list[Line]]] = {
    "one epoch": (
        [head(0), frames(0, range(4))],
        video(range(4), begins=0),
    ),
    "a head in front of each unit": (
        [head(0), frames(0, range(2)), head(0), frames(0, range(2, 4))],
        video(range(4), begins=0),
    ),
    "a sink that joins in waits for a head": (
        [frames(3, range(4)), head(3), frames(3, range(4, 6))],
        video([4, 5], begins=3),
    ),
    "and for a keyframe": (
        [head(0), frame(0, 0), frame(0, 1), frames(0, [2, 3])],
        video([2, 3], begins=0),
    ),
    "a takeover repeats frames": (
        [head(0), frames(0, range(6)), head(1, continues=True), frames(1, range(3, 9), keys=range(3, 9))],
        [*video(range(6), begins=0), *video([6, 7, 8])],
    ),
    "a takeover is entered at a keyframe only": (
        [head(0), frames(0, range(6)), head(1, continues=True), frames(1, range(3, 9), keys=[8])],
        [*video(range(6), begins=0), *video([8])],
    ),
    "a takeover repeats frames that were reordered": (
        [head(0), frame(0, 0, key=True), frame(0, 2), frame(0, 1), head(1, continues=True),
         frames(1, [2, 3], keys=[3])],
        [*video([0], begins=0), *video([2]), *video([1]), *video([3])],
    ),
    "until then the former run goes on": (
        [head(0), frames(0, range(4)), head(1, continues=True), frame(1, 4), frame(0, 4), frame(1, 5, key=True)],
        [*video(range(5), begins=0), *video([5])],
    ),
    "there is no way back": (
        [head(0), frames(0, range(3)), head(1, continues=True), frames(1, [3, 4]), frames(0, [3, 4, 5]), frame(1, 5)],
        [*video(range(3), begins=0), *video([3, 4, 5])],
    ),
    "no way back to a head that comes again": (
        [head(0), frames(0, [0]), head(1), frames(1, [1]), head(0), frame(0, 3, key=True), frame(1, 2)],
        video(range(3), begins=0),
    ),
    "a gap stays a gap": (
        [head(0), frames(0, range(3)), head(1, continues=True), frames(1, range(10, 12))],
        [*video(range(3), begins=0), *video([10, 11])],
    ),
    "a new clock goes on where the old one ended": (
        [head(0), frames(0, range(3)), head(1), frames(1, range(3, 5), clock=997)],
        [*video(range(3), begins=0), *video([3, 4])],
    ),
    "a clock that begins anew, too": (
        [head(0), frames(0, range(3), clock=500), head(1), frames(1, range(3, 5), clock=-3)],
        [*video(range(3), begins=0, at=20), *video([3, 4], at=20.12)],
    ),
    "a gap does not last longer for a new clock": (
        [head(0), frames(0, range(3)), head(1), frames(1, range(10, 12))],
        [*video(range(3), begins=0), *video([10, 11], at=0.12)],
    ),
    "who continues keeps the shift": (
        [head(0), frames(0, [0]), head(1), frames(1, [1], clock=99), head(2, continues=True), frames(2, [2], clock=99)],
        video(range(3), begins=0),
    ),
    "the end is that of the picture shown last": (
        [head(0), frame(0, 0, key=True), frame(0, 2, pts=2, duration=5), frame(0, 1), head(1),
         frames(1, [3], clock=77)],
        [(0, "v0 at 0"), (None, "v2 at 0.08"), (None, "v1 at 0.04"), (None, "v3 at 0.28")],
    ),
    "another size begins an output with its own clock": (
        [head(0), frames(0, range(2)), head(1, width=32), frames(1, [2, 3], clock=100)],
        [*video(range(2), begins=0), *video([2, 3], begins=1, at=4.08)],
    ),
    "what is shifted after that is shifted from there": (
        [head(0), frames(0, [0], clock=500), head(1, width=32), frames(1, [1]), head(2, width=32),
         frames(2, [2], clock=50)],
        [*video([0], begins=0, at=20), *video([1], begins=1), *video([2])],
    ),
    "an epoch of which nothing was sent": (
        [head(0), frames(0, range(2)), head(1), head(2), frames(2, [2], clock=40)],
        video(range(3), begins=0),
    ),
    "sound goes with its pictures": (
        [head(0), frame(0, 0, key=True), sound(0, 0, 0), sound(0, 1, 2), frame(0, 1)],
        [(0, "v0 at 0"), (None, "s0 at 0"), (None, "s1 at 0.02"), (None, "v1 at 0.04")],
    ),
    "sound before the first picture is held": (
        [head(0), sound(0, 0, 0), sound(0, 1, 2), frame(0, 0, key=True)],
        [(0, "v0 at 0"), (None, "s0 at 0"), (None, "s1 at 0.02")],
    ),
    "sound before the pictures of its epoch takes their shift": (
        [head(0), frames(0, [0]), sound(0, 0, 0), head(1), sound(1, 1, 400), frames(1, [1], clock=99)],
        [(0, "v0 at 0"), (None, "s0 at 0"), (None, "v1 at 0.04"), (None, "s1 at 0.04")],
    ),
    "sound is held over several epochs": (
        [head(0), frames(0, [0]), head(1), sound(2, 3, 800), head(2), frames(1, [1], clock=99),
         frames(2, [2], clock=198)],
        [*video(range(3), begins=0), (None, "s3 at 0.08")],
    ),
    "sound that comes late keeps the shift of its epoch": (
        [head(0), frames(0, [0, 1]), head(1), frames(1, [2], clock=98), sound(0, 0, 5), sound(1, 1, 400)],
        [*video(range(3), begins=0), (None, "s0 at 0.05"), (None, "s1 at 0.08")],
    ),
    "sound that steps back is dropped": (
        [head(0), frames(0, [0, 1]), sound(0, 0, 7), head(1), frames(1, [2], clock=98), sound(1, 1, 398),
         sound(1, 2, 400)],
        [*video(range(2), begins=0), (None, "s0 at 0.07"), *video([2]), (None, "s2 at 0.08")],
    ),
    "sound of another track may": (
        [head(0, audio=[VOICE, AudioTrack(track=2, time_base=VOICE.time_base)]), frames(0, [0]), sound(0, 0, 7),
         sound(0, 1, 3, track=2)],
        [(0, "v0 at 0"), (None, "s0 at 0.07"), (None, "s1 at 0.03")],
    ),
    "sound that a takeover repeats is dropped": (
        [head(0), frames(0, [0]), sound(0, 0, 0), sound(0, 1, 2), head(1, continues=True), frames(1, [1]),
         sound(1, 1, 2), sound(1, 2, 4)],
        [(0, "v0 at 0"), (None, "s0 at 0"), (None, "s1 at 0.02"), (None, "v1 at 0.04"), (None, "s2 at 0.04")],
    ),
    "sound far from the pictures is dropped where clocks have jumped": (
        [head(0), frames(0, [0]), head(1), frames(1, [1], clock=99), sound(1, 0, 400 + 1100), sound(1, 1, 400 + 900)],
        [*video(range(2), begins=0), (None, "s1 at 9.04")],
    ),
    "and kept where they have not": (
        [head(0), frames(0, [0]), sound(0, 0, 2000)],
        [(0, "v0 at 0"), (None, "s0 at 20")],
    ),
    "sound of an epoch that was passed over is dropped": (
        [head(0), frames(0, [0]), head(1), sound(1, 0, 400), head(2, continues=True), frames(2, [1])],
        video(range(2), begins=0),
    ),
    "sound of an output that is closed is dropped": (
        [head(0), frames(0, [0]), head(1, width=32), frames(1, [1]), sound(0, 0, 5)],
        [*video([0], begins=0), *video([1], begins=1)],
    ),
    "sound that is not in the head is dropped": (
        [head(0), frames(0, [0]), sound(0, 0, 0, track=2)],
        video([0], begins=0),
    ),
    "a new output may begin with earlier sound, but none that was written": (
        [head(0), frames(0, [0]), sound(0, 4, 50), head(1, width=32), frames(1, [1]), sound(1, 4, 1), sound(1, 5, 2)],
        [(0, "v0 at 0"), (None, "s4 at 0.5"), *video([1], begins=1), (None, "s5 at 0.02")],
    ),
    "sound whose clock steps before the pictures' does is kept for the new clock": (
        [head(0), frames(0, [0]), sound(0, 0, 0), sound(0, 1, 360_002), head(1), frames(1, [1], clock=90_000),
         sound(1, 2, 360_006)],
        [(0, "v0 at 0"), (None, "s0 at 0"), *video([1]), (None, "s1 at 0.02"), (None, "s2 at 0.06")],
    ),
    "sound whose clock steps and comes back waits no longer": (
        [head(0), frames(0, [0]), sound(0, 0, 0), sound(0, 1, 5000), sound(0, 2, 4), frame(0, 1)],
        [(0, "v0 at 0"), (None, "s0 at 0"), (None, "s2 at 0.04"), (None, "v1 at 0.04")],
    ),
    "sound of a camera whose clock alone steps goes on beside the pictures": (
        [live(0), frames(0, [0]), sound(0, 0, 0), frame(0, 1), sound(0, 1, 360_000), sound(0, 2, 360_002), frame(0, 2)],
        [(0, "v0 at 0"), (None, "s0 at 0"), (None, "v1 at 0.04"), (None, "s1 at 0.08"), (None, "s2 at 0.1"),
         (None, "v2 at 0.08")],
    ),
    "sound of a camera goes on where both clocks step, sound first": (
        [live(0), frames(0, [0, 1]), sound(0, 0, 4), sound(0, 1, 360_006), live(1), frames(1, [2], clock=90_000),
         sound(1, 2, 360_010), sound(1, 3, 360_012)],
        [*video([0, 1], begins=0), (None, "s0 at 0.04"), (None, "s1 at 0.08"), *video([2]), (None, "s2 at 0.1"),
         (None, "s3 at 0.12")],
    ),
    "sound of a camera goes on where both clocks step back, pictures first": (
        [live(0), frames(0, [0, 1], clock=90_000), sound(0, 0, 360_004), live(1), frames(1, [2], clock=0),
         sound(0, 1, 360_006), sound(1, 2, 10), sound(1, 3, 12)],
        [*video([0, 1], begins=0), (None, "s0 at 0.04"), *video([2]), (None, "s1 at 0.06"), (None, "s2 at 0.1"),
         (None, "s3 at 0.12")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_where(case: str) -> None:
    records, expected = CASES[case]

    assert spliced(*records) == expected


def test_sound_without_a_decoding_time_is_where_it_is_heard() -> None:
    record = sound(0, 1, 0)
    record.packet.ClearField("dts")
    record.packet.pts = 2

    lines = spliced(head(0), frames(0, [0]), sound(0, 0, 2), record)

    assert len(lines) == 3  # at the same instant, which is no step back


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({}, False),
        ({"source": "elsewhere", "live": True, "frames_expected": 9, "color": {"range": 2}}, False),
        ({"codec": "hevc"}, True),
        ({"extradata": b"other"}, True),
        ({"width": 65}, True),
        ({"height": 49}, True),
        ({"pixel_format": "yuv444p"}, True),
        ({"shown": message_of(Shown.turned(90))}, True),
        ({"time_base": Rational(num=1, den=90000)}, True),
        ({"audio": []}, True),
    ],
    ids=["the same", "what a file does not hold", "codec", "parameters", "width", "height", "format", "rotation",
         "clock", "sound"],
)  # fmt: skip
def test_an_output_holds_one_kind_of_picture(change: dict[str, Any], begins: bool) -> None:
    lines = spliced(head(0), frames(0, [0]), head(1, continues=True, **change), frame(1, 1, key=True))

    assert [line[0] for line in lines] == [0, 1 if begins else None]


@pytest.mark.parametrize(
    ("pause_s", "begins", "time_s"),
    [(0, None, 0.04), (0.5, None, 0.54), (59, None, 59.04), (61, 1, 0), (-3600, None, 0.04)],
    ids=["none", "short", "long", "too long for one file", "the clock of the machine was set back"],
)
def test_while_a_camera_is_away_its_recording_stands_still(pause_s: float, begins: int | None, time_s: float) -> None:
    first, second = frame(0, 0, key=True), frame(1, 1, key=True, pts=77)
    first.packet.received_us = 1_000_000_000_000
    second.packet.received_us = first.packet.received_us + int((pause_s + 1 / FPS) * 1_000_000)

    _, line = spliced(live(0), first, live(1), second)

    assert line == (begins, f"v1 at {time_s:g}")


def test_a_splicer_that_was_stored_goes_on_as_if_it_had_not_been() -> None:
    for records, expected in CASES.values():
        splicer, lines = Splicer(), []
        for record in [r for item in records for r in (item if isinstance(item, list) else [item])]:
            splicer = Splicer.from_json(splicer.to_json())
            for begins, packet, shift in splicer.take(record):
                base = Fraction(1, RATE if packet.track else FPS)
                time_s = (packet.dts if packet.track else packet.pts) * base + shift
                kind = "s" if packet.track else "v"
                lines.append((begins.epoch if begins else None, f"{kind}{packet.number} at {float(time_s):g}"))
        assert lines == expected


def test_sound_that_waited_for_pictures_that_never_came_is_put_out_at_the_end() -> None:
    splicer = Splicer()
    for record in [head(0), *frames(0, [0]), sound(0, 0, 0), sound(0, 1, 2000), sound(0, 2, 2002)]:
        list(splicer.take(record))

    assert [packet.number for _, packet, _ in splicer.conclude()] == [1, 2]


def test_what_was_begun_anew_begins_at_the_next_keyframe_and_at_zero() -> None:
    splicer = Splicer()
    list(splicer.take(live(0)))
    for record in frames(0, [0, 1], clock=50):
        list(splicer.take(record))
    splicer.begin_anew()

    taken = [put for record in frames(0, [3], clock=50) for put in splicer.take(record)]
    passed = [put for record in [frame(0, 2)] for put in Splicer.from_json(splicer.to_json()).take(record)]

    ((begins, packet, shift),) = taken
    assert begins is not None and packet.pts * Fraction(1, FPS) + shift == 0
    assert splicer.shown == 3 and passed != []


def test_frames_are_counted() -> None:
    splicer = Splicer()

    for record in [head(0), sound(0, 0, 0), *frames(0, range(3)), sound(0, 1, 5), *frames(0, [3])]:
        list(splicer.take(record))

    assert splicer.shown == 4


UNIT = 4
"""Frames that a life sends ahead of its commit at most, and that are keyframes after a takeover."""


@dataclass
class Worker:
    """What owners of one stream send, one life after the other, as `MaskedOutput` and its commits do."""

    records: list[StreamRecord] = field(default_factory=list)
    epoch: int = -1
    committed: int = 0
    clock: int = 0
    sent: int = 0
    anew: bool = True

    def live(self, count: int, lost: int, jump: int | None) -> None:
        """Sends so many frames, and dies before the last of them were committed, or comes upon a jump of the clock."""
        self.epoch += 1
        start = self.committed
        if count:
            self.records.append(head(self.epoch, continues=not self.anew))
            keys = [n for n in range(start, start + count) if n < start + UNIT or (n - start) % UNIT == 0]
            self.records += frames(self.epoch, range(start, start + count), keys=keys, clock=self.clock)
        self.sent = max(self.sent, start + count)
        self.committed = start + count - (0 if jump is not None else min(lost, count))
        if jump is not None and self.committed:  # all is committed before the next epoch begins
            self.clock += jump
            self.anew = True
        elif self.committed > start:
            self.anew = False


lives = st.tuples(st.integers(0, 11), st.integers(0, UNIT - 1), st.none() | st.integers(-300, 300))


@given(st.lists(lives, min_size=1, max_size=7))
def test_whenever_owners_die_each_frame_comes_once_at_its_time(story: list[tuple[int, int, int | None]]) -> None:
    worker = Worker()
    for count, lost, jump in story:
        worker.live(count, lost, jump)

    lines = spliced(worker.records)

    first_epoch = next((record.head.epoch for record in worker.records if record.HasField("head")), None)
    assert lines == (video(range(worker.sent), begins=first_epoch) if worker.sent else [])


records = st.lists(
    st.one_of(
        st.builds(
            lambda epoch, continues, width: head(epoch, continues=continues, width=width),
            st.integers(0, 4), st.booleans(), st.sampled_from([32, 64]),
        ),
        st.builds(
            lambda epoch, number, key, pts: frame(epoch, number, key=key, pts=pts),
            st.integers(0, 4), st.integers(0, 20), st.booleans(), st.integers(-50, 50),
        ),
        st.builds(sound, st.integers(0, 4), st.integers(0, 20), st.integers(-200, 200)),
    ),
    max_size=40,
)  # fmt: skip


@given(records)
def test_whatever_comes_epochs_only_grow_and_are_entered_at_keyframes(came: list[StreamRecord]) -> None:
    splicer, taken = Splicer(), []
    for record in came:
        taken += list(splicer.take(record))

    epoch, want, voice = -1, 0, (-1, Fraction(-(10**9)))
    for begins, packet, shift in taken:
        if packet.track:
            time_s = packet.dts * Fraction(1, RATE) + shift
            assert packet.epoch <= epoch
            assert packet.number > voice[0] and time_s >= voice[1]
            voice = (packet.number, time_s)
            continue
        if begins is not None:
            assert begins.epoch == packet.epoch
            voice = (voice[0], Fraction(-(10**9)))
        if packet.epoch != epoch:
            assert packet.epoch > epoch and packet.key and packet.number >= want
            assert epoch >= 0 or begins is not None
        else:
            assert begins is None
        epoch, want = packet.epoch, max(want, packet.number + 1)
    assert splicer.shown == sum(packet.track == 0 for _, packet, _ in taken)
