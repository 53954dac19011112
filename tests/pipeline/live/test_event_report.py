"""Events within the reports of a stream."""

from __future__ import annotations

from pathlib import Path

from pipeline.live.event_report import insert_events
from pipeline.live.events import Event, EventKind
from pipeline.live.verdict_lines import EndLine, EventLine, LinesOfStream, read_line
from pipeline.wire import FATE_MASKED, End, FrameReport, VerdictRecord

GAP = Event(EventKind.GAP, "no answer", "run.0", 1_714_979_289_000_000)


def test_events_stand_before_the_end_of_their_stream(tmp_path: Path) -> None:
    part = tmp_path / "0000.jsonl"
    record = VerdictRecord(frames=[FrameReport(index=7, fate=FATE_MASKED, epoch=2)], end=End())
    part.write_text("".join(f"{line.to_json()}\n" for line in LinesOfStream("door").of(record)))

    insert_events(part, [Event(EventKind.START, "1 stream"), GAP])

    lines = [read_line(line) for line in part.read_text().splitlines()]
    assert [line.type for line in lines] == ["frame", "event", "end"]
    event = lines[1]
    assert isinstance(event, EventLine)
    assert (event.event, event.reason, event.loss) == ("gap", "no answer", True)
    assert (event.stream, event.epoch, event.utc) == ("door", 2, "2024-05-06T07:08:09.000Z")


def test_reports_without_an_end_stay_as_they_are(tmp_path: Path) -> None:
    part = tmp_path / "0000.jsonl"
    part.touch()

    insert_events(part, [GAP])

    assert part.read_bytes() == b""


def test_the_end_names_the_files_whatever_their_names_are(tmp_path: Path) -> None:
    part = tmp_path / "0000.jsonl"
    part.write_text("".join(f"{line.to_json()}\n" for line in LinesOfStream("door").of(VerdictRecord(end=End()))))

    insert_events(part, [], ["/srv/caf\udce9\n.mp4", "rtsp://server/door"])

    (end,) = [read_line(line) for line in part.read_text().splitlines()]
    assert isinstance(end, EndLine)
    assert end.files == ("caf??.mp4", "rtsp://server/door")
