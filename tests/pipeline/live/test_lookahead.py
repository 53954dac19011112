"""What looks at a frame, what improves it while it waits, and when it leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import Operator
from operators.detect.cascade import Cascade
from operators.frame import Picture, Verdict
from pipeline.live.lookahead import LAGS_S, LATE_S, LookAhead, PendingFrame
from tests.operators.detect.test_finders import Grids, HeatMaps
from tests.pipeline.live.plain_operators import (
    DOUBTFUL,
    FACE,
    STREAM,
    CountAhead,
    CoverFaces,
    Detector,
    FixedPlace,
    FrameCount,
    Hindsight,
    Resting,
    Stopwatch,
    lookahead,
    pending,
)
from tests.pipeline.media.scripted_decoder import picture

WAIT_S = 0.2


def look(ahead: LookAhead, frame: PendingFrame, *, lag_s: float = 0) -> PendingFrame:
    ahead.look(frame, lag_s=lag_s)
    return frame


# -- what looks at a frame -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lag_s", "rests"), [(0.0, False), (LAGS_S, False), (LAGS_S + 0.01, True)], ids=["in time", "hardly", "lags"]
)
def test_while_a_stream_lags_a_detector_rests_that_can_and_others_look(lag_s: float, rests: bool) -> None:
    resting, other, fixed = Resting(), Detector(), FixedPlace()
    ahead = lookahead(resting=resting, fixed=fixed, hindsight=Hindsight())
    without = lookahead(other=other, hindsight=Hindsight())

    frame, plain = look(ahead, pending(1), lag_s=lag_s).frame, look(without, pending(1), lag_s=lag_s).frame

    assert (resting.looked, resting.rested) == (([], [1]) if rests else ([1], []))
    assert fixed.asked == other.looked == [1]
    assert frame.faces.boxes[0].tolist() == list(DOUBTFUL if rests else FACE)
    assert frame.examined and plain.examined


def test_a_detector_looks_again_as_soon_as_the_stream_is_in_time() -> None:
    detector = Resting()
    ahead = lookahead(detector=detector, hindsight=Hindsight())

    for index, lag_s in enumerate([0, LAGS_S * 2, LATE_S, 0]):
        look(ahead, pending(index), lag_s=lag_s)

    assert (detector.looked, detector.rested) == ([0, 3], [1, 2])


def blocks(seed: int) -> Picture:
    """640 x 480 in squares of 16 pixels, each of another grey."""
    grey = np.random.default_rng(seed).integers(16, 235, (30, 40), np.uint8)
    shown = picture(seed, 640, 480)
    return replace(shown, planes=(np.kron(grey, np.ones((16, 16), np.uint8)), *shown.planes[1:]))


@pytest.mark.parametrize(("lag_s", "cut"), [(0.0, True), (LAGS_S * 2, False)], ids=["in time", "lags"])
def test_a_cut_that_lies_in_what_was_not_looked_at_is_no_cut(lag_s: float, cut: bool) -> None:
    """Tracks then go over it, and hide too much rather than too little."""
    ahead, frames = lookahead(cascade=Cascade(HeatMaps({}), Grids({})), hindsight=Hindsight()), []

    for index, (scene, late) in enumerate([(0, False), (0, False), (1, True), (1, False), (1, False), (2, False)]):
        frame = pending(index)
        frame.frame = replace(frame.frame, picture=blocks(scene))
        frames.append(look(ahead, frame, lag_s=lag_s if late else 0).frame)

    assert [frame.cut for frame in frames] == [False, False, cut, False, False, True]
    assert all(frame.examined for frame in frames)


@pytest.mark.parametrize(
    ("operators", "examined"),
    [
        pytest.param([FixedPlace()], True, id="fixed places alone"),
        pytest.param([Detector(blind=[0])], False, id="a detector that did not look"),
        pytest.param([Detector()], True, id="a detector that looked"),
        pytest.param([FixedPlace(), Resting(blind=[0])], False, id="one that may rest after them did not look"),
        pytest.param([Resting(blind=[0]), FixedPlace()], False, id="one that may rest before them did not look"),
        pytest.param([FixedPlace(), Resting()], True, id="one after them looked"),
        pytest.param([Resting(), FixedPlace()], True, id="one before them looked"),
        pytest.param([Resting(blind=[0]), Resting()], True, id="one of two looked"),
    ],
)
@pytest.mark.parametrize("ahead", [True, False], ids=["on arrival", "on release"])
def test_fixed_places_say_nothing_of_faces(operators: list[Operator], examined: bool, ahead: bool) -> None:
    steps = {f"step{number}": operator for number, operator in enumerate(operators)}
    work = lookahead(**steps, **({"hindsight": Hindsight()} if ahead else {}))

    frame = work.settle(look(work, pending(0)).frame)

    assert frame.examined == examined


@given(
    looks=st.lists(st.tuples(st.booleans(), st.floats(0, LATE_S)), min_size=1, max_size=40),
    free=st.integers(0, 4),
    wait_s=st.floats(0, 1.0),
)
def test_no_frame_is_examined_for_a_look_at_another(looks: list[tuple[bool, float]], free: int, wait_s: float) -> None:
    """Whatever is looked at before it and after it, and however long it waits."""
    blind = [index for index, (looked, _) in enumerate(looks) if not looked]
    ahead, left = lookahead(detector=Detector(blind=blind), hindsight=Hindsight()), {}

    for index, (_, lag_s) in enumerate(looks):
        ahead.window.append(look(ahead, pending(index, size=(2, 2)), lag_s=lag_s))
        while ahead.is_due(free_slots=free, wait_s=wait_s):
            frame = ahead.settle(ahead.window.popleft().frame)
            left[frame.index] = frame.examined

    assert left == {index: looks[index][0] for index in left}


# -- when frames leave, and how ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "free_slots", "due"),
    [
        ([], 0, False),
        ([1.0], 5, False),
        ([1.0, 1.19], 5, False),
        ([1.0, 1.2], 5, True),
        ([1.0], 1, True),
        ([1.0], 2, False),
        ([1.0, 0.5], 5, True),
    ],
    ids=["none", "one", "waits", "has waited", "its slot is needed", "a slot is left", "the clock stepped back"],
)
def test_when_the_oldest_frame_is_due(times: list[float], free_slots: int, due: bool) -> None:
    ahead = lookahead(hindsight=Hindsight())
    ahead.window.extend(pending(index, at_s=at_s) for index, at_s in enumerate(times))

    assert ahead.is_due(free_slots=free_slots, wait_s=WAIT_S - 1e-9) == due


def test_a_frame_is_settled_by_those_that_wait_and_did_not_fail() -> None:
    hindsight = Hindsight()
    ahead = lookahead(hindsight=hindsight, cover=CoverFaces())
    ahead.window.extend([pending(1), pending(2, failed="made to fail"), pending(3)])

    ahead.settle(pending(0).frame)

    assert hindsight.ahead == {0: [1, 3]}


def test_steps_up_to_the_last_that_looks_ahead_are_taken_on_arrival_and_the_others_on_release() -> None:
    before, between, after, watch = FrameCount(), FrameCount(), FrameCount(), Stopwatch()
    steps: dict[str, Operator] = {"before": before, "first": Hindsight(), "between": between, "second": Hindsight()}
    ahead = LookAhead(STREAM, {**steps, "after": after}, watch)

    frame = look(ahead, pending(0))
    on_arrival = (before.counts[STREAM], between.counts[STREAM], after.counts[STREAM])
    ahead.settle(frame.frame)

    assert on_arrival == (1, 1, 0)
    assert (before.counts[STREAM], between.counts[STREAM], after.counts[STREAM]) == (1, 1, 1)
    # What looks ahead works twice on a frame: when it comes, and when it leaves.
    assert watch.entered == {"before": 1, "first": 2, "between": 1, "second": 2, "after": 1}


def test_without_a_step_that_looks_ahead_all_are_taken_on_release() -> None:
    detector = Detector()
    ahead = lookahead(detector=detector, cover=CoverFaces())

    arrived = look(ahead, pending(0)).frame
    left = ahead.settle(arrived)

    assert (arrived.examined, left.examined, len(left.covers)) == (False, True, 1)


# -- what operators remember ---------------------------------------------------------------------------


def test_operators_get_what_was_stored_of_the_stream_and_nothing_else() -> None:
    known, unknown = CountAhead(), FrameCount()
    known.counts.update({STREAM: 100, "other": 5})
    unknown.counts.update({STREAM: 100, "other": 5})
    ahead = lookahead(known=known, forgetful=Detector(), unknown=unknown)

    ahead.begin({"known": b"7", "gone": b"8"})

    assert known.counts == {STREAM: 7, "other": 5}
    assert unknown.counts == {"other": 5}
    assert (ahead.arrived(), ahead.released()) == ({"known": b"7"}, {"unknown": b"0"})


def test_all_operators_conclude_and_then_forget_the_stream() -> None:
    early, late = CountAhead(), FrameCount()
    early.counts.update({STREAM: 1, "other": 5})
    late.counts.update({STREAM: 2, "other": 5})
    ahead = lookahead(early=early, cover=CoverFaces(), late=late)

    claimed = ahead.conclude()
    ahead.forget()

    assert claimed == [Verdict(STREAM, "frames", 1.0), Verdict(STREAM, "frames", 2.0)]
    assert early.counts == late.counts == {"other": 5}
