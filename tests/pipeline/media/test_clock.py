"""When pictures are shown: clocks that are missing, stand still, step back or jump, and the counting of a rate."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.clock import (
    BACK_S,
    JUMP_S,
    NOMINAL_STEP_S,
    PAUSE_S,
    SHORTEST_STEP_S,
    STEPS,
    FrameClock,
    FrameStamp,
    SceneClock,
)
from pipeline.wire import Head, Packet, Rational

BASE, TICK = 1000, 40
"""Ticks a second, and a picture's share of them at 25 pictures a second."""


def head(
    *, timed: bool = True, may_jump: bool = False, live: bool = False, base: int = BASE, rate: tuple[int, int] = (25, 1)
) -> Head:
    time_base, stated = Rational(num=1, den=base), Rational(num=rate[0], den=rate[1])
    return Head(time_base=time_base, rate=stated, timed=timed, clock_may_jump=may_jump, live=live)


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
        pytest.param(305_000, True, 305_000, False, id="five minutes ahead where clocks jump: a pause"),
        pytest.param(306_000, True, 306_000, True, id="more than that"),
        pytest.param(16000, False, 16000, False, id="eleven seconds ahead where they do not: a gap"),
    ],
)
def test_the_picture_after_one_at_five_seconds(pts: int | None, may_jump: bool, stamped: int, jumped: bool) -> None:
    clock = FrameClock(head(may_jump=may_jump))

    _, stamp = stamps(clock, [5000, pts])

    assert (BACK_S, PAUSE_S) == (1, 300)
    assert stamp == FrameStamp(stamped, TICK, jumped)


@pytest.mark.parametrize(("pts", "jumped"), [(15000, False), (15001, True)])
def test_the_clock_of_a_camera_jumps_sooner(pts: int, jumped: bool) -> None:
    _, stamp = stamps(FrameClock(head(may_jump=True, live=True)), [5000, pts])

    assert (JUMP_S, stamp.jumped) == (10, jumped)


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


# -- the clock that decisions rest on ------------------------------------------------------------------


def scene(times: Sequence[float], *, rate: Fraction = Fraction(25)) -> list[float]:
    clock = SceneClock(rate)
    return [clock.at(time_s) for time_s in times]


@pytest.mark.parametrize("rate", [Fraction(5), Fraction(24000, 1001), Fraction(25), Fraction(50), Fraction(60)])
@pytest.mark.parametrize("base", [None, 1000, 90_000])
def test_a_clock_that_can_be_true_is_taken_as_it_is(rate: Fraction, base: int | None) -> None:
    """Also where its times are rounded to milliseconds."""
    times = [number / rate for number in range(100)]
    stated = [float(Fraction(round(time * base), base) if base else time) for time in times]

    assert scene(stated, rate=rate) == pytest.approx(stated, abs=0.001)


@pytest.mark.parametrize(
    ("step_s", "rate"),
    [
        pytest.param(0.0, 24, id="stands"),
        pytest.param(1 / 90_000, 24, id="a tick a picture"),
        pytest.param(120 / 90_000, 24, id="750 pictures a second"),
        pytest.param(1 / 800, 800, id="so labelled"),
        pytest.param(450 / 90_000, 25, id="200 pictures a second"),
        pytest.param(1 / 120, 120, id="a camera of 120 pictures a second, which costs more looks"),
    ],
)
def test_a_clock_that_crawls_counts_pictures(step_s: float, rate: int) -> None:
    times = scene([3 + number * step_s for number in range(200)], rate=Fraction(rate))

    steps = [after - before for before, after in pairwise(times)]
    assert steps[STEPS:] == pytest.approx([NOMINAL_STEP_S] * (199 - STEPS))
    assert min(steps) >= SHORTEST_STEP_S - 1e-9


def test_bursts_are_caught_up_with() -> None:
    """Ten pictures within ten milliseconds, every 400 ms: as far in the end as the source says."""
    times = [0.4 * (number // 10) + 0.001 * (number % 10) for number in range(200)]

    assert scene(times)[-1] == pytest.approx(times[-1], abs=0.5)


def test_after_a_crawl_it_goes_on_with_the_source() -> None:
    crawling = [number / 90_000 for number in range(100)]
    times = scene([*crawling, *(1 + number / 25 for number in range(100))])

    steps = [after - before for before, after in pairwise(times[-50:])]
    assert steps == pytest.approx([0.04] * 49)


def test_a_jump_is_followed_and_a_gap_is_time() -> None:
    clock = SceneClock(Fraction(25))

    times = [clock.at(0.0), clock.at(20.0), clock.at(3.0, jumped=True), clock.at(3.04)]

    assert times == [0.0, 20.0, 3.0, 3.04]


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=60))
def test_it_never_stands_whatever_the_source_says(steps: list[float]) -> None:
    clock, time_s = SceneClock(Fraction(25)), 0.0
    before = clock.at(time_s)

    for step in steps:
        time_s += step
        after = clock.at(time_s)
        assert after >= before + SHORTEST_STEP_S - 1e-6
        before = after


def test_who_takes_over_goes_on_by_the_same_clock() -> None:
    whole, first = FrameClock(head(base=90_000)), FrameClock(head(base=90_000))
    expected = [stamp.scene_s for stamp in stamps(whole, [7] * 40)]
    before = stamps(first, [7] * 20)[-1]

    second = FrameClock(head(base=90_000), last_pts=before.pts, scene_s=before.scene_s, index=20)
    times = [stamp.scene_s for stamp in stamps(second, [7] * 20)]

    assert times[0] > before.scene_s
    assert times[-1] == pytest.approx(expected[-1], abs=0.2)


def test_a_bare_stream_with_a_label_counts_pictures_from_the_first_on() -> None:
    clock = FrameClock(head(timed=False, rate=(800, 1)))

    seen = stamps(clock, [None] * 4)

    assert [stamp.pts for stamp in seen] == [0, 1, 2, 4]
    assert [stamp.scene_s for stamp in seen] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])


@pytest.mark.parametrize("broken", [-(1 << 54), 1 << 54])
def test_one_time_stamp_far_off_costs_no_picture_its_time(broken: int) -> None:
    clock = FrameClock(Head(timed=True, time_base=Rational(num=1, den=25), rate=Rational(num=25, den=1)))

    stamps = [clock.stamp(Packet(pts=pts, duration=1)) for pts in (0, 1, broken, 3, 4)]

    assert [stamp.jumped for stamp in stamps] == [False, False, True, True, False]
    assert [stamp.pts for stamp in stamps[3:]] == [3, 4]
