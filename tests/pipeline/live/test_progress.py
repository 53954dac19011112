"""How far streams are, and what their ledgers say has happened, from a broker that may be away."""

from __future__ import annotations

from typing import Any

import pytest

from engines import StreamError
from pipeline.brokers import STATE, BrokerError
from pipeline.live.events import Event, EventKind
from pipeline.live.outputs import PlannedStream
from pipeline.live.progress import MOST_AWAY_S, SLOW_S, ProgressWatch, changes
from pipeline.live.sources import VideoSource
from pipeline.wire import Head, IngestState, Ledger, StreamState

JOBS = [PlannedStream(VideoSource("run.0", "rtsp://door", True, "door"), "out.mp4")]


class Answers:
    """A broker that holds one stream's ledger, or is away."""

    def __init__(self) -> None:
        self.ledger, self.away = Ledger(), False

    def latest(self, topic: str, stream: str) -> bytes:
        assert stream == "run.0"
        if self.away:
            raise BrokerError("no answer from kafka.local")
        if topic == STATE:
            return StreamState(ledger=self.ledger).SerializeToString()
        return IngestState(head=Head(frames_expected=90), trouble="gone").SerializeToString()


def watching(broker: Any) -> tuple[ProgressWatch, list[Event]]:
    events: list[Event] = []
    watch = ProgressWatch(broker, JOBS, events.append)
    watch.progress([0])
    return watch, events


def test_progress_is_what_the_broker_holds() -> None:
    broker = Answers()
    broker.ledger = Ledger(shown=7, covered_whole=2, withheld={"late": 3, "undecodable": 1})
    watch, events = watching(broker)

    watch.look()

    (item,) = watch.progress([0])
    assert (item.name, item.shown, item.expected, item.trouble) == ("door", 7, 90, "gone")
    assert (item.withheld, item.late, item.covered_whole) == (4, 3, 2)
    assert watch.progress([]) == []
    assert events == []  # of before


def test_what_was_withheld_since_is_an_event_of_its_stream() -> None:
    broker = Answers()
    watch, events = watching(broker)
    watch.look()

    broker.ledger = Ledger(shown=7, withheld={"late": 3})
    watch.look()
    watch.look()

    assert [(event.kind, event.stream) for event in events] == [(EventKind.LATE, "run.0")]


@pytest.mark.parametrize(
    ("after", "kinds"),
    [
        (Ledger(shown=9), []),
        (Ledger(withheld={"late": 2}), [EventKind.LATE]),
        (Ledger(withheld={"late": 1, "undecodable": 5}), [EventKind.WITHHELD]),
        (Ledger(withheld={"late": 1}, covered_whole=1), [EventKind.COVERED]),
    ],
    ids=["nothing", "late", "undecodable", "covered"],
)
def test_changes_of_a_ledger(after: Ledger, kinds: list[EventKind]) -> None:
    assert [kind for kind, _ in changes(Ledger(withheld={"late": 1}), after)] == kinds


def test_a_broker_that_fails_is_told_once_and_when_it_is_back() -> None:
    broker = Answers()
    watch, events = watching(broker)

    for broker.away in (True, True, False, False):
        watch.look()

    assert [event.kind for event in events] == [EventKind.BROKER, EventKind.BROKER_BACK]
    assert "no answer from kafka.local" in events[0].reason


def test_a_broker_is_not_waited_for_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now, broker = [100.0], Answers()
    monkeypatch.setattr("pipeline.live.progress.time.monotonic", lambda: now[0])
    watch, _ = watching(broker)
    broker.away = True

    watch.look()
    now[0] += MOST_AWAY_S
    watch.progress([0])
    now[0] += 1

    with pytest.raises(StreamError, match="the broker was away for 60 minutes"):
        watch.progress([0])


def test_a_broker_that_says_nothing_is_told_before_its_call_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("pipeline.live.progress.time.monotonic", lambda: now[0])
    during: list[int] = []

    class Hangs(Answers):
        def latest(self, topic: str, stream: str) -> bytes:
            now[0] += SLOW_S
            watch.progress([0])
            during.append(len(events))
            return super().latest(topic, stream)

    watch, events = watching(Hangs())
    watch.look()

    assert during == [0, 1]
    assert [event.kind for event in events] == [EventKind.BROKER, EventKind.BROKER_BACK]


def test_it_asks_by_itself_and_ends() -> None:
    watch, _ = watching(Answers())

    with watch:
        while not watch.progress([0]):
            pass

    assert not watch._thread.is_alive()
