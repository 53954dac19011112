"""How far the streams of a run are, by what its broker holds; asked from a thread, for a broker may be long away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engines import StreamError
from pipeline.brokers import INGEST, STATE, Broker, BrokerError
from pipeline.live.events import Emit, Event, EventKind, how_many, of_broker_error
from pipeline.live.outputs import PlannedStream
from pipeline.wire import IngestState, Ledger, StreamState

TICK_S = 0.2
SLOW_S = 3.0
"""A broker that takes longer for one answer is away."""
MOST_AWAY_S = 3600.0
"""So long a run waits for a broker that is away."""
CLOSE_S = 35.0
"""Calls to a broker end within about half a minute."""


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """How far a stream is.

    Attributes:
        expected: frames; 0 where unknown.
        trouble: what its camera suffers from right now.
        withheld: frames that were not put out, of which `late` came too late.
        covered_whole: frames that were shown as one cover.
    """

    number: int
    name: str
    shown: int
    expected: int
    trouble: str
    withheld: int = 0
    late: int = 0
    covered_whole: int = 0


def changes(before: Ledger, after: Ledger) -> list[tuple[EventKind, str]]:
    """What a ledger says that has happened since.

    >>> changes(Ledger(), Ledger(shown=5, withheld={"late": 3}))
    [(<EventKind.LATE: 'late'>, '3 frames were too late and withheld: more streams than this machine can take')]
    """
    found = []
    for why, count in sorted(after.withheld.items()):
        if new := count - before.withheld.get(why, 0):
            if why == "late":
                words = (
                    f"{how_many(new, 'frame', 'was')} too late and withheld: more streams than this machine can take"
                )
                found.append((EventKind.LATE, words))
            else:
                found.append((EventKind.WITHHELD, f"{how_many(new, 'frame', 'was')} withheld: {why}"))
    if (new := after.covered_whole - before.covered_whole) > 0:
        words = f"{how_many(new, 'frame', 'was')} covered whole: what could not be examined is not shown"
        found.append((EventKind.COVERED, words))
    return found


class ProgressWatch:
    """Asks the broker several times a second how far the streams of `numbers` are; a context manager.

    Args:
        emit: gets an event when the broker is away or back, and when frames were withheld or covered whole.
    """

    def __init__(self, broker: Broker, jobs: Sequence[PlannedStream], emit: Emit) -> None:
        self._broker, self._jobs, self._emit = broker, jobs, emit
        self._numbers: tuple[int, ...] = ()
        self._latest: list[StreamProgress] = []
        self._ledgers: dict[int, Ledger] = {}
        self._asked_since: float | None = None
        self._away_since: float | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProgressWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(CLOSE_S)

    def progress(self, numbers: Iterable[int]) -> list[StreamProgress]:
        """The newest that is known of these streams; says that the broker is away where it does not answer.

        Raises:
            StreamError: it has been away for longer than a run waits.
        """
        self._numbers = tuple(numbers)
        since = self._asked_since
        if since is not None and time.monotonic() - since > SLOW_S:
            self._report(Event(EventKind.BROKER, f"no answer for {SLOW_S:g} s; waiting for it"))
        if self._away_since is not None and time.monotonic() - self._away_since > MOST_AWAY_S:
            limit_min = MOST_AWAY_S / 60
            raise StreamError(
                f"the broker was away for {limit_min:g} minutes; the same command goes on when it is back"
            )
        return [item for item in self._latest if item.number in self._numbers]

    def look(self) -> None:
        """Asks once, and emits what has changed."""
        try:
            self._asked_since = time.monotonic()
            self._latest = [self._ask(number) for number in self._numbers]
        except BrokerError as error:
            self._report(of_broker_error(error))
            return
        finally:
            self._asked_since = None
        if self._away_since is not None:
            self._away_since = None
            self._emit(Event(EventKind.BROKER_BACK, "it answers again"))

    def _watch(self) -> None:
        while not self._end.wait(TICK_S):
            self.look()

    def _report(self, event: Event) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._emit(event)

    def _ask(self, number: int) -> StreamProgress:
        source = self._jobs[number].source
        stored = self._broker.latest(STATE, source.stream)
        ledger = (StreamState.FromString(stored) if stored else StreamState()).ledger
        read = self._broker.latest(INGEST, source.stream)
        state = IngestState.FromString(read) if read else IngestState()
        for kind, reason in changes(self._ledgers.get(number, ledger), ledger):
            self._emit(Event(kind, reason, source.stream))
        self._ledgers[number] = ledger
        return StreamProgress(
            number,
            source.shown,
            ledger.shown,
            state.head.frames_expected,
            state.trouble,
            withheld=sum(ledger.withheld.values()),
            late=ledger.withheld.get("late", 0),
            covered_whole=ledger.covered_whole,
        )
