"""Events: one public line each, no repetition, kept over a crash, counted where something is lost by them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline.live.events import (
    LONGEST_REASON,
    MOST_WAITING,
    REPEAT_S,
    Event,
    EventKind,
    EventLog,
    EventQueue,
    line_of,
    of_broker_error,
)


class Shown:
    """What was shown of a log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, kind: EventKind, line: str) -> None:
        assert kind in line
        self.lines.append(line)


def log_at(folder: Path, shown: Shown) -> EventLog:
    return EventLog(folder / "events.jsonl", {"run.0": "door"}, shown)


@pytest.mark.parametrize(
    ("reason", "public"),
    [
        ("two\nlines\tand\rmore", "two lines and more"),
        ("\x1b[31mred\x07\x9b", "?[31mred??"),
        ("rtsp://u:p/a@ss@door/live?token=x gone", "rtsp://door/live gone"),
        ("RTSP://u:secret@door/user=a_password=secret", "RTSP://door/"),
        ("x" * 5000, "x" * LONGEST_REASON),
    ],
    ids=["lines", "escapes", "a password with signs", "a password in the path", "long"],
)
def test_what_an_event_says_is_one_public_line(reason: str, public: str) -> None:
    event = Event(EventKind.LOST, reason)

    assert event.reason == public
    assert "\n" not in line_of(event, "a\nname\x1b[2J") and "\x1b" not in line_of(event, "a\nname\x1b[2J")


def test_a_question_is_answered_by_what_comes_within_its_time() -> None:
    queue = EventQueue()
    late = threading.Timer(0.05, queue.put, [Event(EventKind.BACK, "there")])

    assert queue.take(0).events == []
    late.start()
    taken = queue.take(10)

    assert [event.reason for event in taken.events] == ["there"]
    assert taken.life == queue.take(0).life


def test_a_queue_that_nobody_asks_keeps_the_newest() -> None:
    queue = EventQueue()
    for number in range(MOST_WAITING + 5):
        queue.put(Event(EventKind.NOTE, str(number)))

    events = queue.take(0).events

    assert (len(events), events[-1].reason) == (MOST_WAITING, str(MOST_WAITING + 4))


def test_what_goes_on_is_one_line_a_minute_until_it_was_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, shown = [100.0], Shown()
    monkeypatch.setattr("pipeline.live.events.time.monotonic", lambda: now[0])
    log = log_at(tmp_path, shown)
    lost = [Event(EventKind.LOST, f"no answer; again in {pause} s", "run.0") for pause in (0.5, 1.0, 2.0)]

    log.extend(lost[:2])
    log.add(Event(EventKind.GAP, "3 s", "run.0"))
    now[0] += REPEAT_S
    log.add(lost[2])
    log.add(Event(EventKind.BACK, "there", "run.0"))
    log.add(lost[0])

    assert [line.split(": ")[1] for line in shown.lines] == ["lost", "gap", "lost", "back", "lost"]
    assert log.counts("run.0") == {EventKind.GAP: 1}
    assert log.counts("run.1") == {}


def test_another_reason_and_another_stream_are_no_repetition(tmp_path: Path) -> None:
    shown = Shown()
    log = log_at(tmp_path, shown)

    log.extend(Event(EventKind.LOST, why, stream) for why in ("a", "b") for stream in ("run.0", "run.1"))

    assert len(shown.lines) == 4


def test_events_survive_the_driver(tmp_path: Path) -> None:
    log_at(tmp_path, Shown()).extend(
        [Event(EventKind.GAP, "gone", "run.0"), Event(EventKind.BROKER, "away"), Event(EventKind.NOTE, "n", "run.1")]
    )
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"kind": "lo')  # a crash in the middle of a line

    shown = Shown()
    again = log_at(tmp_path, shown)

    assert [event.reason for event in again.of("run.0")] == ["gone", "away"]
    assert again.counts("run.0") == {EventKind.GAP: 1}
    assert shown.lines == []


def test_an_event_is_shown_even_if_it_cannot_be_kept(tmp_path: Path) -> None:
    shown = Shown()

    EventLog(tmp_path / "gone" / "events.jsonl", {}, shown).add(Event(EventKind.FULL, "no room"))

    assert shown.lines[0].endswith("Z: disk full: no room")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("database or disk is full", EventKind.FULL),
        ("[Errno 28] No space left on device", EventKind.FULL),
        ("no answer from 127.0.0.1:9092", EventKind.BROKER),
    ],
)
def test_a_full_disk_is_told_from_a_broker_that_is_away(text: str, kind: EventKind) -> None:
    assert of_broker_error(OSError(text)).kind is kind
