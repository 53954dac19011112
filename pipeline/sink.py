"""From the topics `masked` and `verdicts` to files, or to an RTSP server.

A sink reads its stream from the beginning and writes under a temporary name; after a crash it throws that
away and replays. Where two encoder runs overlap, as after a takeover in `low_latency`, it keeps what it has
and enters the new epoch only at a keyframe that goes on where it stands: a GOP that is continued by another
run decodes to uncovered faces.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from engines import StreamError
from pipeline.brokers import MASKED, VERDICTS, Broker
from pipeline.media import FileMuxer, RtspPusher
from pipeline.wire import End, Fate, FrameReport, Head, Packet, StreamRecord, Verdict, VerdictRecord, fraction

WAIT_S = 0.25


class Output(Protocol):
    """Where packets go: `FileMuxer` or `RtspPusher`."""

    def write(self, packet: Packet, *, shift: Fraction = Fraction(0)) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a sink made of a stream: its files in order, and how the stream ended."""

    files: tuple[str, ...]
    end: bytes


class Splicer:
    """Chooses, from the records of `masked`, the packets of one unbroken video, and shifts their clock.

    Iterating `take` over all records gives ("head", Head) where a new output must begin, and
    ("packet", Packet, shift in seconds) for what belongs into it.
    """

    def __init__(self) -> None:
        self.shown = 0
        self._heads: dict[int, Head] = {}
        self._epoch = -1
        self._want = 0
        self._shift = Fraction(0)
        self._end_s: Fraction | None = None
        self._audio: dict[int, int] = {}

    def take(self, record: StreamRecord) -> Iterator[tuple[Head | None, Packet, Fraction]]:
        """Yields (head if a new output begins here, packet, shift) for a record that belongs into the video."""
        if record.WhichOneof("body") == "head":
            self._heads[record.head.epoch] = record.head
            return
        packet = record.packet
        if packet.track:
            yield from self._take_audio(packet)
            return
        begins = None
        if packet.epoch != self._epoch:
            if packet.epoch not in self._heads:
                return  # a sink that joined in waits for the next head
            if packet.epoch < self._epoch or packet.number < self._want or not packet.key:
                return
            begins = self._enter(packet)
        head = self._heads[packet.epoch]
        base = fraction(head.time_base)
        self.shown += 1
        self._want = max(self._want, packet.number + 1)
        end_s = (packet.pts + packet.duration) * base + self._shift
        self._end_s = end_s if self._end_s is None else max(self._end_s, end_s)
        yield begins, packet, self._shift

    def _enter(self, packet: Packet) -> Head | None:
        """Moves to the packet's epoch; returns its head if it cannot go into the output that is open."""
        head, before = self._heads[packet.epoch], self._heads.get(self._epoch)
        self._epoch = packet.epoch
        self._heads = {epoch: known for epoch, known in self._heads.items() if epoch >= packet.epoch}
        if before is None:
            return head
        if not head.continues and self._end_s is not None:
            self._shift = self._end_s - packet.pts * fraction(head.time_base)
        if _fits(before, head):
            return None
        self._shift, self._end_s = Fraction(0), None
        return head

    def _take_audio(self, packet: Packet) -> Iterator[tuple[Head | None, Packet, Fraction]]:
        if packet.number <= self._audio.get(packet.track, -1) or self._epoch < 0:
            return
        self._audio[packet.track] = packet.number
        yield None, packet, self._shift


def _fits(before: Head, after: Head) -> bool:
    """One output can hold both: the same picture, encoded with the same parameters, on the same clock."""
    names = ("codec", "extradata", "width", "height", "pixel_format", "rotation", "time_base", "audio")
    return all(getattr(before, name) == getattr(after, name) for name in names)


def write_file(broker: Broker, stream: str, path: str) -> Written:
    """Writes a stream's masked video to `path`, and to `path` with a number in it for each change of size.

    Returns when the stream has ended. A stream without one shown frame leaves no file.

    Raises:
        StreamError: frames are missing that the stream says it has shown.
    """
    files: list[str] = []

    def numbered() -> Path:
        whole = Path(path)
        return whole if not files else whole.with_name(f"{whole.stem}.{len(files) + 1}{whole.suffix}")

    output: Output | None = None
    splicer = Splicer()
    early_audio: list[Packet] = []
    end = End()
    try:
        for record in _records(broker, stream):
            if record.WhichOneof("body") == "end":
                end = record.end
                break
            if record.WhichOneof("body") == "packet" and record.packet.track and output is None:
                early_audio.append(record.packet)
                continue
            for begins, packet, shift in splicer.take(record):
                if begins is not None:
                    if output is not None:
                        output.close()
                    target = numbered()
                    output = FileMuxer(target, begins)
                    files.append(str(target))
                assert output is not None  # noqa: S101 - the first packet begins an output
                output.write(packet, shift=shift)
                for audio in early_audio:
                    for _, waiting, moved in splicer.take(StreamRecord(packet=audio)):
                        output.write(waiting, shift=moved)
                early_audio = []
        if splicer.shown != end.ledger.shown:
            raise StreamError(f"{stream}: {end.ledger.shown} frames were shown, {splicer.shown} arrived; run it again")
        if output is not None:
            output.close()
    except BaseException:
        if output is not None:
            output.abort()
        raise
    return Written(tuple(files), end.SerializeToString())


def push(broker: Broker, stream: str, url: str) -> Written:
    """Pushes a stream's masked video to an RTSP server: in order, each frame at most once.

    A server that is lost is tried again; the video goes on at the next keyframe. What was pushed is forgotten.
    """
    output: RtspPusher | None = None
    splicer = Splicer()
    end = End()
    head: Head | None = None
    for record in _records(broker, stream, once=True):
        if record.WhichOneof("body") == "end":
            end = record.end
            break
        for begins, packet, shift in splicer.take(record):
            head = begins or head
            if begins is not None and output is not None:
                output.close()
                output = None
            if output is None and head is not None and packet.track == 0 and packet.key:
                try:
                    output = RtspPusher(url, head)
                except StreamError:
                    continue
            if output is not None:
                try:
                    output.write(packet, shift=shift)
                except StreamError:
                    output.abort()
                    output = None
    if output is not None:
        output.close()
    return Written((url,), end.SerializeToString())


def _records(broker: Broker, stream: str, *, once: bool = False) -> Iterator[StreamRecord]:
    """All records of `masked`, from the first on; with `once` they are forgotten behind the reader."""
    reader = broker.reader(MASKED, stream)
    try:
        while True:
            for record in reader.read(WAIT_S):
                yield StreamRecord.FromString(record.value)
            if once:
                reader.forget()
    finally:
        reader.close()


def write_verdicts(broker: Broker, stream: str, path: str, shown: str) -> str:
    """Writes a stream's reports and verdicts as JSON lines, one a frame, and a last one with the ledger.

    Returns the file's name.
    """
    part = Path(path)
    reader = broker.reader(VERDICTS, stream)
    try:
        with part.open("w", encoding="utf-8") as file:
            while True:
                for message in reader.read(WAIT_S):
                    record = VerdictRecord.FromString(message.value)
                    lines = [*map(_frame_line, record.frames), *map(_verdict_line, record.verdicts)]
                    if record.HasField("end"):
                        lines.append(_end_line(record.end))
                    for line in lines:
                        file.write(json.dumps({"stream": shown, **line}, separators=(",", ":")) + "\n")
                    if record.HasField("end"):
                        file.flush()
                        os.fsync(file.fileno())
                        return str(part)
                file.flush()
    finally:
        reader.close()


def _frame_line(frame: FrameReport) -> dict[str, object]:
    faces = [
        {
            "box": [round(value, 1) for value in face.box],
            "score": round(face.score, 3),
            "track": face.track,
            "seen": face.seen,
            "kept": face.kept,
        }
        for face in frame.faces
    ]
    fate = Fate.Name(frame.fate).removeprefix("FATE_").lower()
    line = {"type": "frame", "index": frame.index, "pts": frame.pts, "time_s": round(frame.time_s, 6), "fate": fate}
    return {**line, **({"reason": frame.reason} if frame.reason else {}), "faces": faces}


def _verdict_line(verdict: Verdict) -> dict[str, object]:
    probability = verdict.probability if verdict.HasField("probability") else None
    claim = {"subject": verdict.subject, "model": verdict.model, "probability": probability}
    return {"type": "verdict", **claim, "reasons": list(verdict.reasons)}


def _end_line(end: End) -> dict[str, object]:
    ledger = end.ledger
    counts = {name: getattr(ledger, name) for name in ("packets", "shown", "discarded", "covered_whole")}
    seen = {"faces": ledger.faces, "kept": ledger.kept, "tracks": ledger.tracks}
    return {"type": "end", "reason": end.reason, **counts, "withheld": dict(ledger.withheld), **seen}
