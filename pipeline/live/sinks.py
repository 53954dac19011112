"""From the topics `masked` and `verdicts` to files, or to an RTSP server.

A sink reads its stream from the beginning and writes under a temporary name; after a crash it throws that
away and replays. Where two encoder runs overlap, as after a takeover in `low_latency`, it keeps what it has
and enters the new epoch only at a keyframe that goes on where it stands: a GOP that is continued by another
run decodes to uncovered faces.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from engines import StreamError
from pipeline.brokers import INGEST, MASKED, VERDICTS, Broker
from pipeline.live.verdict_lines import LinesOfStream
from pipeline.media import FileMuxer, RtspPusher
from pipeline.wire import End, Head, Packet, StreamRecord, VerdictRecord, fraction

log = logging.getLogger(__name__)

WAIT_S = 0.25
STRAY_S = 10
"""Where clocks have jumped: how far sound may lie from the pictures, in seconds."""
LONGEST_WAIT_S = 5.0


class PacketSink(Protocol):
    """Where packets go: `FileMuxer` or `RtspPusher`."""

    def write(self, packet: Packet, *, shift: Fraction = Fraction(0)) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a sink made of a stream: its files in order, how the stream ended, and what is wrong with the files."""

    files: tuple[str, ...]
    end: bytes
    reason: str = ""


class Splicer:
    """Chooses, from the records of `masked`, the packets of one unbroken video, and shifts their clock.

    Sound may come before the pictures of its epoch: it is held until they are there, and takes their shift. Sound that
    would step back in its track, or that a jumping clock puts far from the pictures, is dropped.
    """

    def __init__(self) -> None:
        self.shown = 0
        self._heads: dict[int, Head] = {}
        self._epoch = -1
        self._want = 0
        self._shifts: dict[int, Fraction] = {}  # of the epochs in the output that is open
        self._end_s: Fraction | None = None
        self._held: list[Packet] = []
        self._sound: dict[int, tuple[int, Fraction]] = {}  # by track: the last number and time

    def take(self, record: StreamRecord) -> Iterator[tuple[Head | None, Packet, Fraction]]:
        """Yields (head if a new output begins here, packet, shift in seconds) for what belongs into the video now."""
        if record.WhichOneof("body") == "head":
            self._heads[record.head.epoch] = record.head
            return
        packet = record.packet
        if packet.track:
            yield from self._take_sound(packet)
            return
        begins = None
        if packet.epoch != self._epoch:
            if packet.epoch not in self._heads:
                return  # a sink that joined in waits for the next head
            if packet.epoch < self._epoch or packet.number < self._want or not packet.key:
                return
            begins = self._enter(packet)
        shift = self._shifts[packet.epoch]
        self.shown += 1
        self._want = max(self._want, packet.number + 1)
        end_s = (packet.pts + packet.duration) * fraction(self._heads[packet.epoch].time_base) + shift
        self._end_s = end_s if self._end_s is None else max(self._end_s, end_s)
        yield begins, packet, shift
        held, self._held = self._held, []
        for sound in held:
            yield from self._take_sound(sound)

    def _enter(self, packet: Packet) -> Head | None:
        """Moves to the packet's epoch; returns its head if it cannot go into the output that is open."""
        head, before = self._heads[packet.epoch], self._heads.get(self._epoch)
        shift = self._shifts.get(self._epoch, Fraction(0))
        self._epoch = packet.epoch
        self._heads = {epoch: known for epoch, known in self._heads.items() if epoch >= packet.epoch}
        if before is not None and _fits(before, head):
            if not head.continues and self._end_s is not None:
                shift = self._end_s - packet.pts * fraction(head.time_base)
            self._shifts[packet.epoch] = shift
            return None
        self._shifts, self._end_s = {packet.epoch: Fraction(0)}, None
        self._sound = {track: (number, Fraction(-(1 << 40))) for track, (number, _) in self._sound.items()}
        return head

    def _take_sound(self, packet: Packet) -> Iterator[tuple[Head | None, Packet, Fraction]]:
        if packet.epoch > self._epoch:
            self._held.append(packet)
            return
        number, before = self._sound.get(packet.track, (-1, Fraction(-(1 << 40))))
        tracks = {track.track: fraction(track.time_base) for track in self._heads[self._epoch].audio}
        if packet.epoch not in self._shifts or packet.number <= number or packet.track not in tracks:
            return
        shift = self._shifts[packet.epoch]
        time_s = (packet.dts if packet.HasField("dts") else packet.pts) * tracks[packet.track] + shift
        strays = len(self._shifts) > 1 and self._end_s is not None and abs(time_s - self._end_s) > STRAY_S
        if time_s < before or strays:
            return
        self._sound[packet.track] = (packet.number, time_s)
        yield None, packet, shift


def _fits(before: Head, after: Head) -> bool:
    """One output can hold both: the same picture, encoded with the same parameters, on the same clock."""
    names = ("codec", "extradata", "width", "height", "pixel_format", "shown", "time_base", "audio")
    return all(getattr(before, name) == getattr(after, name) for name in names)


def write_file(broker: Broker, stream: str, path: str) -> Written:
    """Writes a stream's masked video to `path`, and to `path` with a number in it for each change of size.

    Returns when the stream has ended. A stream without one shown frame leaves no file.

    Raises:
        StreamError: it cannot be written.
    """
    files: list[str] = []

    def numbered() -> Path:
        whole = Path(path)
        return whole if not files else whole.with_name(f"{whole.stem}.{len(files) + 1}{whole.suffix}")

    output: PacketSink | None = None
    splicer = Splicer()
    end = End()
    try:
        for record in _records(broker, stream):
            if record.WhichOneof("body") == "end":
                end = record.end
                break
            for begins, packet, shift in splicer.take(record):
                if begins is not None:
                    if output is not None:
                        output.close()
                    target = numbered()
                    output = FileMuxer(target, begins)
                    files.append(str(target))
                assert output is not None  # noqa: S101 - the first packet begins an output
                output.write(packet, shift=shift)
        if output is not None:
            output.close()
    except BaseException:
        if output is not None:
            output.abort()
        raise
    missing = end.ledger.shown - splicer.shown
    reason = f"{missing} of {end.ledger.shown} shown frames are missing in the file" if missing > 0 else ""
    return Written(tuple(files), end.SerializeToString(), reason)


def push(broker: Broker, stream: str, url: str, shown: str) -> Written:
    """Pushes a stream's masked video to an RTSP server, at the pace of its clock: in order, each frame at most once.

    A server that is lost is tried again, and the video goes on at the next keyframe. So does a sink that was killed,
    after what its former self has pushed.
    """
    output: RtspPusher | None = None
    splicer, pace = Splicer(), _Pace()
    end = End()
    head: Head | None = None
    for record in _records(broker, stream, once=True):
        if record.WhichOneof("body") == "end":
            end = record.end
            break
        for begins, packet, shift in splicer.take(record):
            head = begins or head
            if begins is not None and output is not None:
                _leave(output)
                output = None
            if head is None or (output is None and not (packet.track == 0 and packet.key)):
                continue
            try:
                output = output or RtspPusher(url, head)
                if packet.track == 0:
                    pace.wait(packet.pts * fraction(head.time_base) + shift)
                output.write(packet, shift=shift)
            except StreamError as error:
                log.warning("%s: %s", shown, error)
                if output is not None:
                    output.abort()
                output = None
    if output is not None:
        _leave(output)
    return Written((shown,), end.SerializeToString())


def _leave(output: RtspPusher) -> None:
    """Says good-bye to a server that may be gone."""
    try:
        output.close()
    except StreamError as error:
        log.warning("%s", error)


class _Pace:
    """Holds pictures back to the speed of their clock; a live source never waits."""

    def __init__(self) -> None:
        self._began: tuple[float, Fraction] | None = None

    def wait(self, time_s: Fraction) -> None:
        now = time.monotonic()
        if self._began is not None:
            due = self._began[0] + float(time_s - self._began[1])
            if now < due < now + LONGEST_WAIT_S:
                time.sleep(due - now)
                return
        self._began = (now, time_s)


def _records(broker: Broker, stream: str, *, once: bool = False) -> Iterator[StreamRecord]:
    """All records of `masked`, from the first on; with `once`, from after those that were yielded in a former life."""
    name = f"push.{stream}"
    writer = broker.writer(name) if once else None
    reached = broker.latest(INGEST, name) if once else None
    reader = broker.reader(MASKED, stream, int(reached) if reached else 0)
    try:
        while True:
            records = reader.read(WAIT_S)
            for record in records:
                yield StreamRecord.FromString(record.value)
            if writer is not None and records:
                writer.write(name, [], str(records[-1].next_offset).encode())
                reader.forget()
    finally:
        reader.close()
        if writer is not None:
            writer.close()


def write_verdicts(broker: Broker, stream: str, path: str, shown: str) -> str:
    """Writes a stream's reports and verdicts as JSON lines, one a frame, and a last one with the ledger.

    Returns the file's name.
    """
    part = Path(path)
    lines = LinesOfStream(shown)
    reader = broker.reader(VERDICTS, stream)
    try:
        with part.open("w", encoding="utf-8") as file:
            while True:
                for message in reader.read(WAIT_S):
                    record = VerdictRecord.FromString(message.value)
                    file.writelines(f"{line.to_json()}\n" for line in lines.of(record))
                    if record.HasField("end"):
                        file.flush()
                        os.fsync(file.fileno())
                        return str(part)
                file.flush()
    finally:
        reader.close()
