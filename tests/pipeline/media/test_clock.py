"""When pictures are shown: clocks that are missing, stand still, step back or jump, and the counting of a rate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.clock import BACK_S, JUMP_S, FrameClock, FrameStamp
from pipeline.wire import Head, Packet, Rational

BASE, TICK = 1000, 40
"""Ticks a second, and a picture's share of them at 25 pictures a second."""


def head(*, timed: bool = True, may_jump: bool = False, base: int = BASE, rate: tuple[int, int] = (25, 1)) -> Head:
    time_base = Rational(num=1, den=base)
    return Head(time_base=time_base, rate=Rational(num=rate[0], den=rate[1]), timed=timed, clock_may_jump=may_jump)


def packet(pts: int | None, duration: int = 0) -> Packet:
    return Packet(duration=duration) if pts is None else Packet(pts=pts, duration=duration)


def stamps(clock: FrameClock, times: Sequence[int | None]) -> list[FrameStamp]:
    return [clock.stamp(packet(pts)) for pts in times]


@pytest.mark.parametrize(
    ("pts", "may_jump", "stamped", "jumped"),
    [
        pytest.param(5040, False, 5040, False, id="grows"),
        pytest.param(None, False, 5040, False, id="missing: a tick after the one before"),
        pytest.param(5000, False, 5001, False, id="equal"),
        pytest.param(4500, False, 5001, False, id="half a second back"),
        pytest.param(4000, False, 5001, False, id="one second back"),
        pytest.param(3999, False, 3999, True, id="more than one second back"),
        pytest.param(3000, True, 3000, True, id="two seconds back"),
        pytest.param(15000, True, 15000, False, id="ten seconds ahead"),
        pytest.param(16000, True, 16000, True, id="eleven seconds ahead where clocks jump"),
        pytest.param(16000, False, 16000, False, id="eleven seconds ahead where they do not: a gap"),
    ],
)
def test_the_picture_after_one_at_five_seconds(pts: int | None, may_jump: bool, stamped: int, jumped: bool) -> None:
    clock = FrameClock(head(may_jump=may_jump))

    _, stamp = stamps(clock, [5000, pts])

    assert (BACK_S, JUMP_S) == (1, 10)
    assert stamp == FrameStamp(stamped, TICK, jumped)


@pytest.mark.parametrize(
    ("pts", "stamped"),
    [(None, 0), (0, 0), (-480, -480), (10**9, 10**9)],
    ids=["missing", "zero", "before zero", "late"],
)
def test_the_first_picture_of_a_stream_never_jumps(pts: int | None, stamped: int) -> None:
    (stamp,) = stamps(FrameClock(head(may_jump=True)), [pts])

    assert stamp == FrameStamp(stamped, TICK)


def test_after_a_jump_the_clock_goes_on_from_there() -> None:
    clock = FrameClock(head(may_jump=True))

    seen = stamps(clock, [100_000, 5, 45, 45])

    assert [(stamp.pts, stamp.jumped) for stamp in seen] == [(100_000, False), (5, True), (45, False), (46, False)]


@pytest.mark.parametrize(
    ("base", "rate", "shown"),
    [
        (1000, (25, 1), [0, 40, 80, 120]),
        (1000, (30, 1), [0, 33, 67, 100]),
        (90_000, (30_000, 1001), [0, 3003, 6006, 9009]),
        (90_000, (0, 1), [0, 3600, 7200, 10_800]),
        (0, (25, 1), [0, 3600, 7200, 10_800]),
    ],
    ids=["25", "30, rounded without drift", "29.97", "no rate: 25", "no time base: 90 kHz"],
)
def test_an_untimed_source_is_counted_whatever_its_packets_say(
    base: int, rate: tuple[int, int], shown: list[int]
) -> None:
    clock = FrameClock(head(timed=False, base=base, rate=rate))

    seen = stamps(clock, [7, None, 7, 10**9])

    assert [stamp.pts for stamp in seen] == shown
    assert {stamp.duration for stamp in seen} == {shown[1]}
    assert not any(stamp.jumped for stamp in seen)


@pytest.mark.parametrize(
    ("rate", "own", "duration"),
    [((25, 1), 33, 33), ((25, 1), 0, 40), ((0, 1), 0, 40), ((5000, 1), 0, 1)],
    ids=["of the packet", "of the rate", "of the usual rate", "at least a tick"],
)
def test_how_long_a_picture_is_shown(rate: tuple[int, int], own: int, duration: int) -> None:
    clock = FrameClock(head(rate=rate))

    assert clock.stamp(packet(0, own)).duration == duration


def test_seconds_are_those_of_the_time_base() -> None:
    assert FrameClock(head()).seconds(2500) == 2.5
    assert FrameClock(Head()).seconds(45_000) == 0.5


def test_pictures_are_counted_from_what_came_before() -> None:
    clock = FrameClock(head(), index=7)

    stamps(clock, [0, 40])

    assert clock.index == 9


TIMES = st.lists(st.none() | st.integers(-3000, 30_000), min_size=1, max_size=12)
HEADS = st.builds(head, timed=st.booleans(), may_jump=st.booleans(), rate=st.sampled_from([(25, 1), (30_000, 1001)]))


@given(HEADS, TIMES, st.data())
def test_a_clock_that_is_taken_over_goes_on_as_one_that_never_stopped(
    source: Head, times: list[int | None], data: st.DataObject
) -> None:
    whole = stamps(FrameClock(source), times)
    stopped_at = data.draw(st.integers(0, len(times)))

    last_pts = whole[stopped_at - 1].pts if stopped_at else None
    rest = stamps(FrameClock(source, last_pts=last_pts, index=stopped_at), times[stopped_at:])

    assert rest == whole[stopped_at:]


@given(HEADS, TIMES)
def test_each_picture_is_later_than_the_one_before_unless_the_clock_jumped(
    source: Head, times: list[int | None]
) -> None:
    seen = stamps(FrameClock(source), times)

    assert all(later.jumped or later.pts > earlier.pts for earlier, later in pairwise(seen))
    assert all(stamp.duration > 0 for stamp in seen)
