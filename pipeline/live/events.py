"""What happens to a run that its user has to know at once, on its way from whoever noticed to the driver.

    actor: EventQueue ── Ray ──> driver: EventLog ──> a line on stderr, lines in the reports, the exit code

Not here: how a line is printed (`pipeline.commands.event_lines`), or which streams and actors there are.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from pipeline.private.names import scrubbed

LONGEST_REASON, MOST_WAITING, MOST_KEPT = 400, 1000, 10_000
REPEAT_S = 60.0
"""What goes on happening is one line in that time."""


class EventKind(StrEnum):
    """What an event is, in the word that its line shows."""

    START = "start"
    STATUS = "status"
    WAITING = "waiting"
    SILENT = "silent"  # a camera that is connected
    LOST = "lost"  # a camera, or a server that is pushed to
    REFUSED = "refused"  # by a camera: password, right, path
    BACK = "back"
    GAP = "gap"  # so much of a camera is missing
    LATE = "late"
    WITHHELD = "withheld"
    COVERED = "covered whole"
    FULL = "disk full"
    NOT_PUSHED = "not pushed"
    TOO_LARGE = "too large"
    BROKER = "broker"
    BROKER_BACK = "broker back"
    RESTARTED = "restarted"
    NOTE = "note"
    END = "end"


LOSSES = frozenset(
    {
        EventKind.GAP,
        EventKind.LATE,
        EventKind.WITHHELD,
        EventKind.NOT_PUSHED,
        EventKind.TOO_LARGE,
    }
)
"""After one of these a result is not whole, which the exit code says."""


def now_us() -> int:
    """Unix time in microseconds."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        reason: one line for people; control characters and what URLs hide are taken out.
        stream: within the run; empty where it concerns the whole run.
        utc_us: Unix time in microseconds.

    >>> event = Event(EventKind.GAP, "rtsp://me:secret@door/live: \\x1b[2J gone", "run.0000.door")
    >>> event.reason, event.loss
    ('rtsp://door/live: ?[2J gone', True)
    """

    kind: EventKind
    reason: str
    stream: str = ""
    utc_us: int = field(default_factory=now_us)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", public_line(self.reason))

    @property
    def loss(self) -> bool:
        """Something is missing in the results because of it."""
        return self.kind in LOSSES


Emit = Callable[[Event], None]
"""Takes an event, from any thread, and never fails."""
Show = Callable[[EventKind, str], None]
"""Takes the line of an event."""


def unseen(_: EventKind, __: str) -> None:
    """Where nobody wants to see lines."""


def nobody(_: Event) -> None:
    """Where nobody wants to know of events."""


def how_many(count: int, noun: str, verb: str = "") -> str:
    """Things by number, with what they do, both as grammar wants it.

    >>> how_many(1, "stream"), how_many(2, "frame", "was")
    ('1 stream', '2 frames were')
    """
    words = f"{count} {noun}" if count == 1 else f"{count} {noun}s"
    return words + (f" {verb if count == 1 else {'was': 'were', 'is': 'are'}[verb]}" if verb else "")


def public_line(text: str) -> str:
    """Words of anybody as one line that may be shown: no control characters, and of URLs what is public.

    >>> public_line("a\\nb kafka://u:p@h:1/?sasl_plain_password=x")
    'a b kafka://h:1/'
    """
    text = " ".join(text.split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return scrubbed(text)[:LONGEST_REASON]


class Taken(NamedTuple):
    """Events of a process, whose `life` is another once it was started anew."""

    life: int
    events: list[Event]


class EventQueue:
    """Events of one process that wait to be fetched; the oldest are dropped where nobody fetches them."""

    def __init__(self) -> None:
        self._life = time.time_ns()
        self._waiting: deque[Event] = deque(maxlen=MOST_WAITING)
        self._changed = threading.Condition()

    def put(self, event: Event) -> None:
        with self._changed:
            self._waiting.append(event)
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Taken:
        """All that wait, at once where there are any; else the first that comes within that time."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), timeout_s)
            events = list(self._waiting)
            self._waiting.clear()
        return Taken(self._life, events)


class EventLog:
    """All events of a run, kept in a file so that they survive the driver.

    Args:
        path: of the file; what it holds from a former life is read.
        names: of streams, for people.
        show: gets the line of each event that is no repetition.
    """

    def __init__(self, path: Path, names: Mapping[str, str], show: Show) -> None:
        self._path, self._names, self._show = path, names, show
        self._counts: dict[str, Counter[EventKind]] = {}
        self._last: dict[tuple[EventKind, str, str], float] = {}
        self._kept: deque[Event] = deque(maxlen=MOST_KEPT)
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                stored = json.loads(line)
                self._keep(Event(EventKind(stored.pop("kind")), **stored))
            except (ValueError, TypeError, KeyError):
                continue  # the line that a crash cut off

    def add(self, event: Event) -> None:
        """Shows it, unless it repeats, and keeps it."""
        if self._repeats(event):
            return
        if event.kind is not EventKind.STATUS:
            self._keep(event)
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(event)) + "\n")
            except OSError:
                pass  # a full disk is an event itself, which shall be shown
        self._show(event.kind, line_of(event, self._names.get(event.stream, "")))

    def _keep(self, event: Event) -> None:
        self._kept.append(event)
        self._counts.setdefault(event.stream, Counter())[event.kind] += 1

    def _repeats(self, event: Event) -> bool:
        """The same happened a moment ago, and nothing else to that stream since."""
        key = (event.kind, event.stream, re.sub(r"[\d.]+", "", event.reason))
        now, before = time.monotonic(), self._last.get(key)
        if before is not None and now - before < REPEAT_S:
            return True
        if event.kind in (EventKind.BACK, EventKind.BROKER_BACK):
            self._last = {old: at for old, at in self._last.items() if old[1] != event.stream}
        self._last[key] = now
        return False

    def of(self, stream: str) -> list[Event]:
        """What happened to a stream and to the whole run, in order."""
        return [event for event in self._kept if event.stream in ("", stream)]

    def counts(self, stream: str) -> Counter[EventKind]:
        """How often what happened to a stream, of kinds that stand for a loss."""
        found = self._counts.get(stream, Counter())
        return Counter({kind: count for kind, count in found.items() if kind in LOSSES})

    def extend(self, events: Iterable[Event]) -> None:
        for event in events:
            self.add(event)


def line_of(event: Event, name: str) -> str:
    """The one line of an event.

    >>> line_of(Event(EventKind.LOST, "no answer", utc_us=1_714_979_289_000_000), "door")
    '2024-05-06T07:08:09Z door: lost: no answer'
    """
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event.utc_us // 1_000_000))
    name = public_line(name)
    reason = event.reason.removeprefix(f"{name}: ") if name else event.reason
    return f"{f'{moment} {name}'.rstrip()}: {event.kind}: {reason}"


def of_broker_error(error: Exception, stream: str = "") -> Event:
    """What a broker's error means to whoever waits.

    >>> of_broker_error(OSError("database or disk is full")).kind
    <EventKind.FULL: 'disk full'>
    """
    text = str(error)
    full = "disk is full" in text or "No space left" in text
    return Event(EventKind.FULL if full else EventKind.BROKER, f"{text}; trying again", stream)
