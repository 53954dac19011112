"""What `verdicts.jsonl` says: line by line, read back, and of whole clips and cameras with their dates."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.brokers import INGEST, STATE, open_broker
from pipeline.live.ingest import ingest
from pipeline.live.sinks import write_file, write_verdicts
from pipeline.live.sources import VideoSource
from pipeline.live.verdict_lines import EndLine, EventLine, FrameLine, LinesOfStream, VerdictLine, read_line
from pipeline.wire import (
    FATE_COVERED_WHOLE,
    FATE_MASKED,
    End,
    Face,
    FrameReport,
    IngestState,
    Ledger,
    StreamState,
    VerdictMessage,
    VerdictRecord,
)
from tests.clips import Clips
from tests.pipeline.live.crash import Crash
from tests.pipeline.live.test_stream import STREAM, MortalMember, config, take_in, work
from tests.pipeline.media.test_creation_time import MADE, MADE_US, remuxed

DOCUMENT = Path(__file__).parents[3] / "docs" / "verdicts.md"
DATED = {"epoch": 3, "utc": "2024-05-06T07:08:09.000Z"}


def frame(**changes: Any) -> FrameReport:
    return FrameReport(
        **{"index": 4, "pts": 2048, "time_s": 0.16, "fate": FATE_MASKED, "epoch": 3, "utc_us": MADE_US} | changes
    )


def lines_of(*records: VerdictRecord) -> list[dict[str, Any]]:
    """The JSON of all lines of one stream."""
    lines = LinesOfStream("door.mp4")
    return [json.loads(line.to_json()) for record in records for line in lines.of(record)]


# -- lines -----------------------------------------------------------------------------------------


def test_a_frame_is_reported_with_its_faces() -> None:
    found = Face(box=[10.04, 20, 30, 40.26], score=0.91249, track=7, seen=True, forged={"acmf": 0.123456})

    (line,) = lines_of(VerdictRecord(frames=[frame(faces=[found])]))

    face = {"box": [10.0, 20.0, 30.0, 40.3], "score": 0.912, "track": 7, "seen": True, "kept": False}
    assert line == {
        "format": 2, "stream": "door.mp4", "type": "frame", **DATED,
        "index": 4, "pts": 2048, "time_s": 0.16, "fate": "masked", "faces": [{**face, "forged": {"acmf": 0.1235}}],
    }  # fmt: skip


def test_what_is_not_known_is_null_and_what_did_not_happen_is_absent() -> None:
    unknown, failed = frame(utc_us=0), frame(fate=FATE_COVERED_WHOLE, reason="made to fail", faces=[Face(box=[0] * 4)])

    masked, covered = lines_of(VerdictRecord(frames=[unknown, failed]))

    assert masked["utc"] is None and "reason" not in masked
    assert (covered["fate"], covered["reason"]) == ("covered_whole", "made to fail")
    assert "forged" not in covered["faces"][0]


def test_a_verdict_has_the_date_of_the_last_frame_before_it() -> None:
    claim = VerdictMessage(
        subject="run.door/1", model="acmf@1", probability=0.75, reasons=["track 1"], words="indication"
    )
    silent = VerdictMessage(subject="run.door", model="acmf@1", reasons=["too few frames"])
    frames = [frame(epoch=0, utc_us=1_000_000), frame()]

    early, *_, spoken, abstained = lines_of(
        VerdictRecord(verdicts=[claim]), VerdictRecord(frames=frames, verdicts=[claim, silent])
    )

    said = {
        "subject": "run.door/1",
        "model": "acmf@1",
        "probability": 0.75,
        "reasons": ["track 1"],
        "words": "indication",
    }
    assert early == {"format": 2, "stream": "door.mp4", "type": "verdict", "epoch": 0, "utc": None, **said}
    assert spoken == {**early, **DATED}
    assert (abstained["probability"], abstained["reasons"], abstained["words"]) == (None, ["too few frames"], "")


def test_the_end_is_the_ledger() -> None:
    ledger = Ledger(packets=9, shown=6, discarded=1, covered_whole=2, withheld={"late": 2}, faces=5, kept=1, tracks=3)

    *_, line = lines_of(VerdictRecord(frames=[frame()]), VerdictRecord(end=End(ledger=ledger, reason="breaks off")))

    assert line == {
        "format": 2, "stream": "door.mp4", "type": "end", **DATED, "reason": "breaks off", "packets": 9, "shown": 6,
        "discarded": 1, "covered_whole": 2, "withheld": {"late": 2}, "faces": 5, "kept": 1, "tracks": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"format": 1}, id="another format"),
        pytest.param({"format": None}, id="no format, as in the first one"),
        pytest.param({"type": "packet"}, id="an unknown type"),
        pytest.param({"type": "end"}, id="fields of another type"),
        pytest.param({"place": "Paris"}, id="an unknown field"),
        pytest.param({"fate": "shown"}, id="an unknown fate"),
        pytest.param({"utc": "2024-05-06T07:08:09Z"}, id="no milliseconds"),
        pytest.param({"utc": "2024-05-06T07:08:09.000+02:00"}, id="not in UTC"),
        pytest.param({"index": -1}, id="an index below 0"),
        pytest.param(
            {"faces": [{"box": [0, 0, 1], "score": 1, "track": 1, "seen": True, "kept": False}]}, id="half a box"
        ),
        pytest.param(
            {"faces": [{"box": [0, 0, 1, 1], "score": 2, "track": 1, "seen": True, "kept": False}]}, id="a score of 2"
        ),
    ],
)
def test_what_is_no_line_of_this_format_is_refused(change: dict[str, Any]) -> None:
    (line,) = lines_of(VerdictRecord(frames=[frame()]))
    read_line(json.dumps(line))

    changed = {name: value for name, value in {**line, **change}.items() if name != "format" or value is not None}

    with pytest.raises(ValidationError):
        read_line(json.dumps(changed))


FACES = st.builds(
    Face,
    box=st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=4),
    score=st.floats(0, 1, width=32),
    track=st.integers(-1, 2**40),
    forged=st.dictionaries(st.sampled_from(["acmf", "gaze"]), st.floats(0, 1, width=32)),
)
FRAMES = st.builds(
    FrameReport,
    index=st.integers(0, 2**60),
    pts=st.integers(-(2**60), 2**60),
    time_s=st.floats(-1e9, 1e9),
    fate=st.sampled_from([1, 2, 3]),
    reason=st.text(),
    faces=st.lists(FACES, max_size=3),
    epoch=st.integers(0, 2**31),
    utc_us=st.integers(0, 253_402_300_799_999_999),
)
CLAIMS = st.builds(
    VerdictMessage,
    subject=st.text(),
    model=st.text(),
    probability=st.none() | st.floats(0, 1, width=32),
    reasons=st.lists(st.text(), max_size=2),
    words=st.text(),
)
RECORDS = st.builds(VerdictRecord, frames=st.lists(FRAMES, max_size=3), verdicts=st.lists(CLAIMS, max_size=3))


@settings(max_examples=50)
@given(RECORDS, st.text())
def test_every_line_is_one_line_and_reads_back_as_itself(record: VerdictRecord, stream: str) -> None:
    for line in LinesOfStream(stream).of(record):
        written = line.to_json()

        assert "\n" not in written
        assert read_line(written) == line
        assert read_line(written).to_json() == written


def test_the_examples_of_the_documentation_are_lines() -> None:
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    examples = [line for block in blocks for line in block.splitlines()]

    read = [read_line(example) for example in examples]

    assert {type(line) for line in read} == {FrameLine, VerdictLine, EventLine, EndLine}
    assert [line.to_json() for line in read] == examples


# -- files -----------------------------------------------------------------------------------------


def reported(path: Path) -> list[FrameLine]:
    """The frame lines of a file, each line of which is read, and whose last is the end."""
    lines = [read_line(line) for line in path.read_text().splitlines()]
    assert isinstance(lines[-1], EndLine)
    assert {line.type for line in lines[:-1]} == {"frame"}
    return [line for line in lines if isinstance(line, FrameLine)]


def moment(line: FrameLine) -> datetime:
    assert line.utc is not None
    return datetime.fromisoformat(line.utc)


def test_the_frames_of_a_file_are_dated_by_its_creation_whoever_works_on_it(clips: Clips, tmp_path: Path) -> None:
    clip = remuxed(clips("h264_plain").path, tmp_path / "clip.mp4", shift=25_000, creation_time=MADE)
    run = config("transactional")
    url, broker = take_in(tmp_path, clip, run)

    writes = itertools.count()
    with pytest.raises(Crash):
        work(url, run, lambda member: MortalMember(member, writes, 1, after=True))
    assert 0 < StreamState.FromString(broker.latest(STATE, STREAM) or b"").next_index < 60
    work(url, run)
    write_verdicts(broker, STREAM, str(tmp_path / "verdicts.jsonl"), clip.name)

    frames = reported(tmp_path / "verdicts.jsonl")
    assert [line.index for line in frames] == list(range(60))
    assert frames[0].time_s > 1
    assert [moment(line) for line in frames] == [
        datetime.fromisoformat(MADE) + timedelta(milliseconds=40 * number) for number in range(60)
    ]
    assert {(line.stream, line.epoch) for line in frames} == {("clip.mp4", 0)}
    write_file(broker, STREAM, str(tmp_path / "masked.mp4"))
    with av.open(str(tmp_path / "masked.mp4")) as masked:
        assert "creation_time" not in {**masked.metadata, **masked.streams.video[0].metadata}


def test_the_frames_of_a_file_that_does_not_say_when_it_was_made_have_no_date(clips: Clips, tmp_path: Path) -> None:
    run = config("transactional")
    url, broker = take_in(tmp_path, clips("h264_plain").path, run)

    work(url, run)
    write_verdicts(broker, STREAM, str(tmp_path / "verdicts.jsonl"), "clip.mp4")

    assert {line.utc for line in reported(tmp_path / "verdicts.jsonl")} == {None}


def test_the_frames_of_a_camera_are_dated_as_they_come_and_count_its_returns(clips: Clips, tmp_path: Path) -> None:
    """A file stands for the camera: it ends, and is opened again."""
    run, url = config("transactional"), f"sqlite://{tmp_path}/facewarden.db"
    camera = VideoSource(STREAM, str(clips("h264_plain").path), True, "rtsp://door")
    broker, stop = open_broker(url), threading.Event()
    reading = threading.Thread(target=ingest, args=(open_broker(url), camera, run, stop))
    began = datetime.now(UTC) - timedelta(milliseconds=1)
    reading.start()
    while IngestState.FromString(broker.latest(INGEST, STREAM) or b"").video_packets < 90:
        time.sleep(0.02)
    stop.set()
    reading.join()
    ended = datetime.now(UTC)

    work(url, run)
    write_verdicts(broker, STREAM, str(tmp_path / "verdicts.jsonl"), "rtsp://door")

    frames = reported(tmp_path / "verdicts.jsonl")
    returned = next(number for number, line in enumerate(frames) if line.epoch == 1)
    assert [line.epoch for line in frames] == [0] * returned + [1] * (len(frames) - returned)
    assert all(began <= moment(line) <= ended for line in frames)
    assert moment(frames[returned]) - moment(frames[0]) >= timedelta(seconds=0.5)
