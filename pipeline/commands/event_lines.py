"""Events and the state of a run, as lines on stderr; on a terminal they stand above the bars."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pipeline.commands.console import errors
from pipeline.live.events import EventKind, public_line
from pipeline.live.progress import StreamProgress

FIRST_EVERY_S, FIRST_S, LATER_EVERY_S = 10.0, 60.0, 60.0
ON_THE_BARS = frozenset({EventKind.START, EventKind.STATUS, EventKind.END})
"""What a terminal shows otherwise."""


def print_event(kind: EventKind, line: str) -> None:
    """Prints the line of an event, whole, whatever is in it."""
    if not (errors.is_terminal and kind in ON_THE_BARS):
        errors.print(line, markup=False, highlight=False, soft_wrap=True)


class StatusLines:
    """A line for each stream, each 10 s in the first minute and each minute from then on.

    Args:
        print_line: gets them.
        clock: seconds.
    """

    def __init__(self, print_line: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._print, self._clock = print_line, clock
        self._began = self._last = clock()
        self._shown: dict[int, tuple[float, int]] = {}

    def update(self, streams: Sequence[StreamProgress]) -> None:
        """Prints what is due."""
        now = self._clock()
        for stream in streams:
            self._shown.setdefault(stream.number, (now, stream.shown))
        every_s = FIRST_EVERY_S if now - self._began <= FIRST_S else LATER_EVERY_S
        if now - self._last < every_s:
            return
        self._last = now
        for stream in streams:
            since, before = self._shown[stream.number]
            self._shown[stream.number] = (now, stream.shown)
            fps = (stream.shown - before) / (now - since) if now > since else None
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._print(f"{moment} {public_line(stream.name)}: status: {note_of(stream, fps)}")


def note_of(stream: StreamProgress, fps: float | None) -> str:
    """How a stream is, in words.

    >>> note_of(StreamProgress(0, "door", 90, 0, "", withheld=7, late=4), 24.6)
    '25 fps, 90 shown, 7 withheld (4 late)'
    """
    parts = [] if fps is None else [f"{fps:.0f} fps"]
    parts.append(f"{stream.shown}{f' of {stream.expected}' if stream.expected else ''} shown")
    if stream.withheld:
        parts.append(f"{stream.withheld} withheld" + (f" ({stream.late} late)" if stream.late else ""))
    if stream.covered_whole:
        parts.append(f"{stream.covered_whole} covered whole")
    if stream.trouble:
        parts.append(public_line(stream.trouble))
    return ", ".join(parts)
