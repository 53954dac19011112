"""What happened to a stream, within its reports: lines of type `event` before the line of its end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.live.events import Event, EventKind
from pipeline.live.sources import LIVE, one_line
from pipeline.live.verdict_lines import FORMAT, EndLine, EventLine, iso_utc, read_line

LONGEST_LINE = 1 << 20
_NOT_REPORTED = frozenset({EventKind.START, EventKind.STATUS, EventKind.WAITING, EventKind.END})


def insert_events(part: Path, events: Sequence[Event], files: Sequence[str] = ()) -> None:
    """Writes events into the reports of one stream, which end with its end, and there which files its video is in."""
    with part.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LONGEST_LINE))
        lines = file.read().splitlines(keepends=True)
        end = read_line(lines[-1]) if lines else None
        if not isinstance(end, EndLine):
            return
        file.seek(size - len(lines[-1]))
        for event in events:
            if event.kind not in _NOT_REPORTED:
                file.write(f"{_line(event, end).to_json()}\n".encode())
        named = tuple(name if LIVE.match(name) else one_line(Path(name).name) for name in files)
        file.write(f"{end.model_copy(update={'files': named}).to_json()}\n".encode())
        file.truncate()


def _line(event: Event, end: EndLine) -> EventLine:
    return EventLine(
        format=FORMAT,
        stream=end.stream,
        type="event",
        epoch=end.epoch,
        utc=iso_utc(event.utc_us),
        event=event.kind.value,
        reason=event.reason,
        loss=event.loss,
    )
