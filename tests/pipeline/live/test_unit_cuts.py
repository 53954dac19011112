"""Where units may end: at keyframes of files that are far enough apart, and by the clock in low latency."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.live.masked_output import LIVE_UNIT
from pipeline.live.unit_cuts import LONGEST_UNIT, UNIT_FRAMES, UnitCuts

FPS = 100


def cuts(
    count: int, *, keys: int = 0, fps: int = FPS, low_latency: bool = False, forced: tuple[int, ...] = (0,)
) -> list[int]:
    """Before which of so many frames a unit ends, where each `keys`-th is a keyframe."""
    counter = UnitCuts()
    return [
        number
        for number in range(count)
        if counter.before(
            key=bool(keys) and number % keys == 0,
            time_s=Fraction(number, fps),
            low_latency=low_latency,
            forced=number in forced,
        )
    ]


@pytest.mark.parametrize(
    ("keys", "fps", "found"),
    [
        pytest.param(1, FPS, [0, 32, 64, 96, 128], id="keyframes only"),
        pytest.param(10, FPS, [0, 40, 80, 120], id="the first keyframe after enough frames"),
        pytest.param(32, FPS, [0, 32, 64, 96, 128], id="a keyframe exactly then"),
        pytest.param(90, FPS, [0, 90], id="a long group of pictures"),
        pytest.param(0, FPS, [0, 96], id="no keyframes: here at the latest"),
        pytest.param(97, FPS, [0, 96], id="a keyframe that comes a frame too late"),
        pytest.param(10, 10, [0, *range(10, 130, 10)], id="few frames, but a second"),
        pytest.param(9, 10, [0, *range(18, 130, 18)], id="the first keyframe after a second"),
    ],
)
def test_where_units_of_files_end(keys: int, fps: int, found: list[int]) -> None:
    assert cuts(130, keys=keys, fps=fps) == found
    assert (UNIT_FRAMES, LONGEST_UNIT) == (32, 96)


@pytest.mark.parametrize("keys", [0, 1, 7], ids=["none", "only", "some"])
@pytest.mark.parametrize(("fps", "found"), [(FPS, [0, 32, 64]), (25, [0, 25, 50, 75]), (10, list(range(0, 80, 10)))])
def test_in_low_latency_units_end_by_frames_and_time_whatever_is_a_keyframe(
    keys: int, fps: int, found: list[int]
) -> None:
    assert cuts(80, keys=keys, fps=fps, low_latency=True) == found
    assert LIVE_UNIT == 32


@pytest.mark.parametrize("low_latency", [False, True])
def test_before_the_first_frame_there_is_nothing_to_end(low_latency: bool) -> None:
    assert cuts(31, keys=1, low_latency=low_latency, forced=()) == []


@pytest.mark.parametrize("low_latency", [False, True])
def test_a_new_epoch_ends_the_unit_and_is_counted_from(low_latency: bool) -> None:
    assert cuts(80, keys=1, low_latency=low_latency, forced=(5, 6, 20)) == [5, 6, 20, 52]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.3), st.booleans()), max_size=300), st.booleans())
def test_no_unit_is_longer_than_what_a_crash_may_repeat(
    frames: list[tuple[bool, float, bool]], low_latency: bool
) -> None:
    counter, time_s, since, longest = UnitCuts(), Fraction(0), 0, 0

    for key, step_s, forced in frames:
        time_s += Fraction(step_s)
        cut = counter.before(key=key, time_s=time_s, low_latency=low_latency, forced=forced)
        since = 1 if cut else since + 1
        longest = max(longest, since)
        assert not cut or key or forced or low_latency or longest == LONGEST_UNIT

    assert longest <= (LIVE_UNIT if low_latency else LONGEST_UNIT)


def test_a_second_is_counted_from_the_first_frame_on() -> None:
    cuts = UnitCuts()

    slow = [cuts.before(key=True, time_s=Fraction(7 + number, 5), low_latency=True) for number in range(12)]

    assert [number for number, cut in enumerate(slow) if cut] == [5, 10]


def test_a_unit_ends_where_much_sound_has_come_between_two_pictures() -> None:
    """A picture in 12 s, with 600 packets of sound: what waits for the unit's end is stored."""
    cuts = UnitCuts()

    cut = [cuts.before(key=False, number=600 * n, time_s=Fraction(12 * n), low_latency=False) for n in range(8)]

    assert cut == [False, False, True, False, True, False, True, False]
