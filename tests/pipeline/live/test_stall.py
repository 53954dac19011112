"""Files are given up on when nothing moves and there is a reason; cameras never."""

from __future__ import annotations

import pytest

from pipeline.live import stall
from pipeline.live.events import Event, EventKind
from pipeline.live.outputs import UnfinishedRun
from pipeline.live.progress import StreamProgress
from pipeline.live.stall import StallWatch
from tests.pipeline.live.clock import Clock

FULL = Event(EventKind.FULL, "the disk is full; trying again")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stall, "time", clock)
    return clock


def watched(clock: Clock, watch: StallWatch, seconds: int, *, event: Event | None = FULL, moves: bool = False) -> None:
    for second in range(seconds):
        clock.now += 1
        if event is not None:
            watch.hear(event)
        watch.look([StreamProgress(0, "a", second if moves else 7, 9, "")], 0)


def test_a_disk_that_stays_full_ends_the_run_with_its_reason(clock: Clock) -> None:
    watch = StallWatch(live=False)

    with pytest.raises(UnfinishedRun, match="nothing has moved for 120 s: the disk is full; what is done is kept"):
        watched(clock, watch, 130)


@pytest.mark.parametrize(
    ("live", "event", "moves"),
    [(True, FULL, False), (False, None, False), (False, Event(EventKind.LATE, "late"), False), (False, FULL, True)],
    ids=["a camera", "nothing is wrong", "nothing that stops it", "it moves"],
)
def test_else_it_goes_on(clock: Clock, live: bool, event: Event | None, moves: bool) -> None:
    watched(clock, StallWatch(live=live), 1000, event=event, moves=moves)


def test_what_was_wrong_long_ago_does_not_count(clock: Clock) -> None:
    watch = StallWatch(live=False)
    watched(clock, watch, 70)
    watched(clock, watch, 500, event=None)


def test_a_broker_that_answers_nothing_is_heard_of_twice_a_minute(clock: Clock) -> None:
    watch = StallWatch(live=False)

    with pytest.raises(UnfinishedRun, match="nothing has moved for 120 s: no answer"):
        for _ in range(6):
            watched(clock, watch, 1, event=Event(EventKind.BROKER, "no answer; trying again"))
            watched(clock, watch, 30, event=None)
