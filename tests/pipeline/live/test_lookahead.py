"""When detectors look, what is looked ahead at, and which frames a look vouches for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import Operator
from operators.frame import Verdict
from pipeline.live.lookahead import LAGS_S, LATE_S, TAIL_S, LookAhead, PendingFrame
from tests.pipeline.live.plain_operators import (
    STREAM,
    CountAhead,
    CoverFaces,
    Detector,
    FixedPlace,
    FrameCount,
    Hindsight,
    Stopwatch,
    lookahead,
    pending,
)

WAIT_S = 0.2


def look(ahead: LookAhead, frame: PendingFrame, *, lag_s: float = 0, slots: int = 100) -> PendingFrame:
    ahead.look(frame, lag_s=lag_s, slots=slots, wait_s=WAIT_S)
    return frame


# -- when detectors look -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after_s", "lag_s", "unseen", "looks"),
    [
        pytest.param(0.04, 0, 0, False, id="soon after the last look"),
        pytest.param(0.16, 0, 3, False, id="the last look waits still"),
        pytest.param(0.1975, 0, 3, False, id="it waits by a hair"),
        pytest.param(0.2, 0, 3, True, id="it would leave"),
        pytest.param(0.1985, 0, 3, True, id="it would leave but for rounding"),
        pytest.param(-0.04, 0, 0, True, id="the clock stepped back"),
        pytest.param(0.0, 0, 0, False, id="the same instant"),
        pytest.param(0.04, 0, 4, False, id="memory for one more"),
        pytest.param(0.04, 0, 5, True, id="no memory left"),
        pytest.param(0.04, LATE_S, 0, False, id="late, just not too late"),
        pytest.param(0.04, LATE_S + 0.1, 0, True, id="too late to wait for another frame"),
    ],
)
def test_when_a_detector_is_made_to_look(after_s: float, lag_s: float, unseen: int, looks: bool) -> None:
    detector = Detector(period=0)
    ahead = lookahead(detector=detector, hindsight=Hindsight())
    look(ahead, pending(0, at_s=1.0))
    ahead.unseen = unseen

    look(ahead, pending(1, at_s=1.0 + after_s), lag_s=lag_s, slots=5)

    assert detector.looked == ([0, 1] if looks else [0])


def test_where_slots_are_few_a_look_comes_before_they_are_full() -> None:
    detector = Detector(period=0)
    ahead = lookahead(detector=detector, hindsight=Hindsight())

    for index in range(12):
        ahead.look(pending(index), lag_s=0, slots=3, wait_s=1000)

    assert detector.looked == [0, 4, 8]


@pytest.mark.parametrize(
    ("lag_s", "asked"), [(0.0, True), (LAGS_S, True), (LAGS_S + 0.01, False)], ids=["in time", "hardly", "lags"]
)
def test_a_detector_rests_while_the_stream_lags(lag_s: float, asked: bool) -> None:
    detector, fixed = Detector(period=1), FixedPlace()
    ahead = lookahead(detector=detector, fixed=fixed, hindsight=Hindsight())
    look(ahead, pending(0))

    look(ahead, pending(1), lag_s=lag_s)

    assert detector.asked == ([0, 1] if asked else [0])
    assert fixed.asked == [0, 1]  # what knows fixed zones never rests


def test_the_first_frame_of_an_epoch_is_looked_at_however_late_it_is() -> None:
    detector = Detector(period=0)
    ahead = lookahead(detector=detector, hindsight=Hindsight())

    look(ahead, pending(0), lag_s=LAGS_S * 2)
    look(ahead, pending(1), lag_s=LAGS_S * 2)
    ahead.begin_epoch()
    look(ahead, pending(2), lag_s=LAGS_S * 2)

    assert detector.looked == [0, 2]


def test_frames_since_the_last_look_are_counted() -> None:
    deaf = lookahead(detector=Detector(deaf=True, period=0), hindsight=Hindsight())
    regular = lookahead(detector=Detector(period=3), hindsight=Hindsight())

    counts = [(look(deaf, pending(i)) and deaf.unseen, look(regular, pending(i)) and regular.unseen) for i in range(5)]
    deaf.begin_epoch()

    assert counts == [(1, 0), (2, 1), (3, 2), (4, 0), (5, 1)]
    assert deaf.unseen == 0


def test_one_of_two_detectors_is_enough_for_a_look() -> None:
    ahead = lookahead(first=Detector(), second=Detector(deaf=True, period=0), hindsight=Hindsight())

    counts = [look(ahead, pending(index)) and ahead.unseen for index in range(3)]

    assert counts == [0, 0, 0]


@pytest.mark.parametrize("lag_s", [0.0, LAGS_S * 2], ids=["a period", "a rest"])
def test_a_rest_goes_over_a_cut_and_a_period_does_not(lag_s: float) -> None:
    """What was not even asked about may hold the cut: tracks then go over it, and hide too much rather than too
    little. A detector that has periods of its own has compared the frames in between."""
    detector = Detector(period=0, cuts=[0, 1, 2, 3, 4, 5])
    ahead = lookahead(detector=detector, hindsight=Hindsight())

    frames = [look(ahead, pending(index), lag_s=lag_s) for index in range(6)]

    assert detector.looked == [0, 5]
    assert frames[0].frame.cut
    assert frames[5].frame.cut == (lag_s == 0)


def test_after_the_look_that_ends_a_rest_cuts_count_again() -> None:
    detector = Detector(period=1, cuts=[2, 3])
    ahead = lookahead(detector=detector, hindsight=Hindsight())

    frames = [look(ahead, pending(i), lag_s=lag_s) for i, lag_s in enumerate([0, LAGS_S * 2, 0, 0])]

    assert [each.frame.cut for each in frames] == [False, False, False, True]


@pytest.mark.parametrize(
    ("operators", "examined"),
    [
        pytest.param([FixedPlace()], True, id="fixed zones alone"),
        pytest.param([FixedPlace(), Detector(deaf=True, period=0)], False, id="a detector after them did not look"),
        pytest.param([Detector(deaf=True, period=0), FixedPlace()], False, id="a detector before them did not look"),
        pytest.param([FixedPlace(), Detector()], True, id="a detector after them looked"),
        pytest.param([Detector(), FixedPlace()], True, id="a detector before them looked"),
        pytest.param([Detector(deaf=True, period=0), Detector()], True, id="one of two detectors looked"),
    ],
)
def test_fixed_places_say_nothing_of_faces(operators: list[Operator], examined: bool) -> None:
    steps = {f"step{number}": operator for number, operator in enumerate(operators)}

    frame = look(lookahead(**steps, hindsight=Hindsight()), pending(0))

    assert frame.frame.examined == examined


@given(
    slots=st.integers(4, 12),
    wait_s=st.floats(0.04, 1.0),
    period=st.integers(0, 40),
    lags=st.lists(st.floats(0, LATE_S), min_size=1, max_size=60),
)
def test_no_frame_leaves_before_a_look_at_it_or_after_it(
    slots: int, wait_s: float, period: int, lags: list[float]
) -> None:
    ahead, unseen = lookahead(detector=Detector(period), hindsight=Hindsight()), []

    for index, lag_s in enumerate(lags):
        frame = pending(index, size=(2, 2))
        ahead.look(frame, lag_s=lag_s, slots=slots - 3, wait_s=wait_s)  # two slots are for what comes and leaves
        ahead.window.append(frame)
        while ahead.is_due(free_slots=slots - len(ahead.window), wait_s=wait_s):
            leaving = ahead.window.popleft()
            unseen += [] if ahead.vouches_for(leaving.frame, last=False) else [leaving.number]

    assert unseen == []


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
    assert ahead.vouches_for(left, last=False)


# -- which frames a look vouches for -------------------------------------------------------------------

LOOK = {"examined": True}


@pytest.mark.parametrize(
    ("window", "last", "vouches"),
    [
        pytest.param([{}, LOOK], False, True, id="a look later"),
        pytest.param([{}, {}], False, False, id="no look at all"),
        pytest.param([{}, {"examined": True, "failed": "made to fail"}], False, False, id="the look failed"),
        pytest.param([{"failed": "made to fail"}, LOOK], False, True, id="a look after one that failed"),
        pytest.param([{}, {"cut": True}, LOOK], False, False, id="a look in the next scene"),
        pytest.param([{}, {"examined": True, "cut": True}], False, False, id="a look with which a scene begins"),
        pytest.param([LOOK, {"cut": True}], False, True, id="a look before the next scene"),
        pytest.param([{"examined": True, "opens_epoch": True}], False, False, id="a look in the next epoch"),
        pytest.param([{}, LOOK], True, True, id="a look later, at the end"),
        pytest.param([{}], True, False, id="no look, at the end"),
        pytest.param([], True, False, id="the last frame of all"),
    ],
)
def test_what_vouches_for_a_frame_that_no_detector_looked_at(
    window: Sequence[dict[str, bool | str]], last: bool, vouches: bool
) -> None:
    ahead = lookahead(detector=Detector(), hindsight=Hindsight())
    ahead.window.extend(pending(1 + number, **state) for number, state in enumerate(window))  # type: ignore[arg-type]

    assert ahead.vouches_for(pending(0).frame, last=last) == vouches


def test_a_look_vouches_for_its_own_frame_and_without_look_ahead_for_no_other() -> None:
    ahead = lookahead(detector=Detector())
    ahead.window.append(pending(2, examined=True))

    assert ahead.vouches_for(pending(0, examined=True).frame, last=True)
    assert not ahead.vouches_for(pending(1).frame, last=True)
    ahead.window.clear()
    assert not ahead.vouches_for(pending(1).frame, last=True)


@pytest.mark.parametrize("end", ["stream", "scene", "epoch"])
@pytest.mark.parametrize(("after_s", "vouches"), [(0.04, True), (TAIL_S, True), (TAIL_S + 0.01, False), (-0.04, False)])
def test_tracks_vouch_for_the_tail_after_the_last_look(end: str, after_s: float, vouches: bool) -> None:
    ahead = lookahead(detector=Detector(), hindsight=Hindsight())
    ahead.window.extend({"stream": [], "scene": [pending(2, cut=True)], "epoch": [pending(2, opens_epoch=True)]}[end])

    assert ahead.vouches_for(pending(0, at_s=0, examined=True).frame, last=False)

    assert ahead.vouches_for(pending(1, at_s=after_s).frame, last=end == "stream") == vouches


def test_while_more_frames_may_come_nothing_is_a_tail() -> None:
    ahead = lookahead(detector=Detector(), hindsight=Hindsight())

    ahead.vouches_for(pending(0, examined=True).frame, last=False)

    assert not ahead.vouches_for(pending(1).frame, last=False)


def test_no_look_vouches_over_the_beginning_of_an_epoch() -> None:
    ahead = lookahead(detector=Detector(), hindsight=Hindsight())

    ahead.vouches_for(pending(0, examined=True).frame, last=False)
    ahead.begin_epoch()

    assert not ahead.vouches_for(pending(1).frame, last=True)


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
