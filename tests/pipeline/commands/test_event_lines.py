"""The state of a run in lines, for whoever has no terminal."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from pipeline.commands.event_lines import StatusLines, note_of, print_event
from pipeline.commands.run import _draw
from pipeline.live.events import EventKind
from pipeline.live.progress import StreamProgress


def progress(shown: int, **more: int) -> StreamProgress:
    return StreamProgress(0, "door\x1b[2J", shown, 0, "", **more)


def test_a_line_each_ten_seconds_at_first_then_each_minute() -> None:
    now = [0.0]
    lines: list[str] = []
    status = StatusLines(lines.append, lambda: now[0])

    for second in range(301):
        now[0] = float(second)
        status.update([progress(25 * second)])

    assert len(lines) == 6 + 4
    assert all("door?[2J: status: 25 fps, " in line for line in lines)


@pytest.mark.parametrize(
    ("stream", "note"),
    [
        (progress(90), "25 fps, 90 shown"),
        (progress(90, withheld=2), "25 fps, 90 shown, 2 withheld"),
        (progress(90, covered_whole=90), "25 fps, 90 shown, 90 covered whole"),
        (StreamProgress(0, "door", 9, 90, "gone\x07"), "25 fps, 9 of 90 shown, gone?"),
    ],
)
def test_what_is_said_of_a_stream(stream: StreamProgress, note: str) -> None:
    assert note_of(stream, 25.2) == note


def test_an_event_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    line = "2024-05-06T07:08:09Z [door]: lost: " + "long " * 60

    print_event(EventKind.LOST, line)

    assert capsys.readouterr() == ("", f"{line}\n")


def test_on_a_terminal_bars_show_rate_and_loss_and_events_stand_above(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=150)
    monkeypatch.setattr("pipeline.commands.progress.errors", screen)
    monkeypatch.setattr("pipeline.commands.event_lines.errors", screen)

    class Started:
        def drive(self) -> Iterator[list[StreamProgress]]:
            for shown in (10, 40, 90):
                yield [StreamProgress(0, "door", shown, 0, "", withheld=7, late=4)]
                print_event(EventKind.LATE, f"late {shown}")
                print_event(EventKind.STATUS, "not for a terminal")
                time.sleep(0.6)  # bars are drawn twice a second

    _draw(Started())

    drawn = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "fps, 90 shown, 7 withheld (4 late)" in drawn
    assert "90/?" in drawn  # a camera has no end
    assert "late 40" in drawn
    assert "not for a terminal" not in drawn
