"""From the topics `masked` and `verdicts` to files, or to an RTSP server. Recordings: `pipeline.live.recorder`.

A file is there as a whole or not at all: after a crash its sink throws away what it had begun, and replays its stream
from the beginning, or says that the broker no longer has that. A push and the reports go on where they were. Nothing
that was there before is replaced, unless that is asked for.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from engines import StreamError
from engines.undo import undone_on_failure
from pipeline.brokers import MASKED, VERDICTS, Broker, BrokerError, Record
from pipeline.config import SealSection
from pipeline.live.outputs import seal_file_of
from pipeline.live.seal_files import NOTHING, PartSeals
from pipeline.live.sink_state import SinkState
from pipeline.live.splicer import Spliced, Splicer
from pipeline.live.verdict_lines import LinesOfStream
from pipeline.live.written import WAIT_S, Tell, Written, missing_in, unheard
from pipeline.media import FileMuxer, RtspPusher
from pipeline.media.new_file import numbered
from pipeline.wire import End, Head, Packet, StreamRecord, VerdictRecord, fraction

LONGEST_WAIT_S = 5.0
PUSH_BYTES = 64 << 10
"""Is pushed between two times that a push stores where it is, which is what a crash costs it."""
STORE_S = 1.0
FULL_PAUSE_S = 1.0
PASSED = (
    "the broker no longer keeps the first of what was masked for it, and no file was made of the rest; delete the work "
    "folder to begin anew, with a longer `masked_retention_ms`"
)


class PacketSink(Protocol):
    """Where packets go: `FileMuxer` or `RtspPusher`."""

    def write(self, packet: Packet, *, shift: Fraction = Fraction(0)) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


# -- files ---------------------------------------------------------------------------------------------


def write_file(
    broker: Broker, stream: str, path: str, settings: SealSection = NOTHING, *, overwrite: bool = False
) -> Written:
    """Writes a stream's masked video to `path`, and to `path` with a number in it for each change of size; beside each
    of them its seals, where something is sealed.

    Returns when the stream has ended. A stream without one shown frame leaves no file. What was written in a former
    life is not written again.

    Args:
        settings: whether and how it is sealed.
        overwrite: replace what has that name already; else the file gets a number.

    Raises:
        StreamError: it cannot be written, or the broker no longer keeps where it begins.
    """
    with SinkState(broker, "file", stream) as state:
        if "end" in state.values:
            return Written.from_values(state.values)
        _remove_former(state.values)
        seals = PartSeals(broker, stream, settings, overwrite=overwrite)
        written = _FileSet(Path(path), state, seals, overwrite=overwrite).write(broker, stream)
        seals.write()
        state.save(**written.to_values())
        return written


def _remove_former(values: dict[str, Any]) -> None:
    """What a former life has left of a file, or was about to give its name; of others of that name nothing."""
    for part in values.get("parts", []):
        Path(part).unlink(missing_ok=True)
    # Found before any of them goes: the name of one may have made way for another's number.
    found = [_of_identity(Path(target), identity) for target, identity in values.get("published", [])]
    for name in found:
        if name is not None:
            seal_file_of(name).unlink(missing_ok=True)
            name.unlink()


def _of_identity(target: Path, identity: list[int]) -> Path | None:
    """Under which of the names that `target` may have got this very file lies."""
    for name in numbered(target):
        if not os.path.lexists(name):
            return None
        if list(_identity(name)) == identity:
            return name
    return None


def _identity(path: Path) -> tuple[int, ...]:
    """Of a file that nobody has written to since."""
    status = path.lstat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class _FileSet:
    """The files of one stream, as they are written."""

    def __init__(self, path: Path, state: SinkState, seals: PartSeals, *, overwrite: bool) -> None:
        self._path, self._state, self._seals, self._overwrite = path, state, seals, overwrite
        self._files: list[str] = []
        self._published: list[tuple[str, tuple[int, ...]]] = []
        self._open: FileMuxer | None = None
        self._first: int | None = state.values.get("first")

    def write(self, broker: Broker, stream: str) -> Written:
        splicer, end = Splicer(), End()
        with undone_on_failure(self._abort):
            for record in self._records(broker, stream):
                if record.HasField("end"):
                    end = record.end
                    self._put(splicer.conclude())
                    break
                self._put(splicer.take(record))
            self._close()
        reason = missing_in("the file", end.ledger.shown, splicer.shown)
        return Written(tuple(self._files), end.SerializeToString(), reason)

    def _put(self, spliced: Iterator[Spliced]) -> None:
        for begins, packet, shift in spliced:
            if begins is not None:
                self._close()
                number = f".{len(self._files) + 1}" if self._files else ""
                target = self._path.with_name(f"{self._path.stem}{number}{self._path.suffix}")
                self._open = FileMuxer(target, begins, overwrite=self._overwrite)
                self._save(self._open)
                self._seals.begin(begins)
            assert self._open is not None  # noqa: S101 - the first packet begins an output
            self._open.write(packet, shift=shift)
            self._seals.add(packet)

    def _abort(self) -> None:
        if self._open is not None:
            self._open.abort()

    def _close(self) -> None:
        if self._open is None:
            return
        self._open.finish()
        self._published.append((str(self._open.path), _identity(self._open.part)))
        self._save(self._open)
        self._open.publish()
        self._files.append(str(self._open.path))
        self._seals.done(str(self._open.path))
        self._open = None

    def _save(self, part: FileMuxer) -> None:
        self._state.save(parts=[str(part.part)], published=self._published, first=self._first)

    def _records(self, broker: Broker, stream: str) -> Iterator[StreamRecord]:
        """All records of `masked`, from the first on.

        Raises:
            StreamError: what was the first in a former life is gone: the rest would pass for the whole.
        """
        begun = False
        reader = broker.reader(MASKED, stream)
        try:
            while True:
                for record in reader.read(WAIT_S):
                    if self._first is None:
                        self._first = record.offset
                    if not begun and record.offset != self._first:
                        raise StreamError(f"{self._path}: {PASSED}")
                    begun = True
                    yield StreamRecord.FromString(record.value)
        finally:
            reader.close()


# -- pushes --------------------------------------------------------------------------------------------


def push(broker: Broker, stream: str, url: str, shown: str, tell: Tell = unheard) -> Written:
    """Pushes a stream's masked video to an RTSP server, at the pace of its clock: in order, each frame at most once.

    A server that is lost is tried again, and the video goes on at the next keyframe. So does a sink that was killed,
    after what its former self has pushed. Frames that nobody took are counted, and make the outcome's reason.
    """
    with SinkState(broker, "push", stream) as state:
        if "end" in state.values:
            return Written.from_values(state.values)
        server = _PushServer(url, shown, tell, taken=state.values.get("taken", 0))
        splicer = Splicer.from_json(state.values["splicer"]) if state.values else Splicer()
        server.head = splicer.head
        reader = broker.reader(MASKED, stream, state.values.get("offset", 0))
        end = _stored_end(state)
        try:
            while end is None:
                records = reader.read(WAIT_S, max_bytes=PUSH_BYTES)
                if not records:
                    continue
                end = _end_in(records)
                begun = splicer.to_json()
                for record in records:  # on a copy: what will have been pushed
                    list(splicer.take(StreamRecord.FromString(record.value)))
                # Before they are pushed: a sink that is killed meanwhile must not push them again.
                _save_push(state, records[-1].next_offset, splicer.to_json(), server.taken, end)
                splicer = Splicer.from_json(begun)
                _push_records(records, splicer, server, state)
                reader.forget()
            server.put(splicer.conclude())
            written = server.leave(end)
            state.save(**written.to_values())
            return written
        finally:
            reader.close()


def _push_records(records: Sequence[Record], splicer: Splicer, server: _PushServer, state: SinkState) -> None:
    """Where it is left by an error, and not by a kill, it is stored exactly where."""
    for record in records:
        with undone_on_failure(partial(_store_where, state, record.offset, splicer.to_json(), server)):
            server.put(splicer.take(StreamRecord.FromString(record.value)))


def _store_where(state: SinkState, offset: int, before: str, server: _PushServer) -> None:
    with suppress(BrokerError):
        _save_push(state, offset, before, server.taken, None)


def _save_push(state: SinkState, offset: int, splicer: str, taken: int, end: End | None) -> None:
    last = None if end is None else base64.b64encode(end.SerializeToString()).decode()
    state.save(offset=offset, splicer=splicer, taken=taken, last=last)


def _stored_end(state: SinkState) -> End | None:
    """Of a push that was killed among its last frames."""
    last = state.values.get("last")
    return None if last is None else End.FromString(base64.b64decode(last))


def _end_in(records: Sequence[Record]) -> End | None:
    last = StreamRecord.FromString(records[-1].value)
    return last.end if last.HasField("end") else None


class _PushServer:
    """Who takes a push, or does not.

    Attributes:
        head: of what is pushed now.
        taken: frames that were.
    """

    def __init__(self, url: str, shown: str, tell: Tell, *, taken: int) -> None:
        self._url, self._shown, self._tell = url, shown, tell
        self.head: Head | None = None
        self.taken = taken
        self._pace = _Pace()
        self._trouble = ""
        self._output: RtspPusher | None = None

    def put(self, spliced: Iterable[Spliced]) -> None:
        for begins, packet, shift in spliced:
            if begins is not None:
                self.head = begins
                self._leave()
            if self.head is None or (self._output is None and not (packet.track == 0 and packet.key)):
                continue
            try:
                self._output = self._output or RtspPusher(self._url, self.head)
                if packet.track == 0:
                    self._pace.wait(packet.pts * fraction(self.head.time_base) + shift)
                self._output.write(packet, shift=shift)
                self.taken += packet.track == 0
            except StreamError as error:
                self._say(str(error))
                if self._output is not None:
                    self._output.abort()
                self._output = None

    def leave(self, end: End) -> Written:
        """Says good-bye."""
        self._leave()
        missing = missing_in("the push", end.ledger.shown, self.taken)
        reason = f"{missing}; {self._trouble}" if missing and self._trouble else missing
        return Written((self._shown,) if self.taken or not end.ledger.shown else (), end.SerializeToString(), reason)

    def _leave(self) -> None:
        if self._output is not None:
            try:
                self._output.close()
            except StreamError as error:
                self._say(str(error))
            self._output = None

    def _say(self, trouble: str) -> None:
        self._trouble = trouble if trouble.startswith(self._shown) else f"{self._shown}: {trouble}"
        self._tell(self._trouble)


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


# -- reports -------------------------------------------------------------------------------------------


def write_verdicts(broker: Broker, stream: str, path: str, shown: str, tell: Tell = unheard) -> str:
    """Writes a stream's reports and verdicts as JSON lines, one a frame, and a last one with the ledger.

    Goes on where a former life was; waits where the disk is full. Returns the file's name.
    """
    with SinkState(broker, "verdicts", stream) as state:
        while not state.values.get("done"):
            try:
                _write_lines(broker, stream, Path(path), shown, state)
            except OSError as error:
                tell(f"{path}: {error.strerror}; reports wait")
                time.sleep(FULL_PAUSE_S)
    return path


def _write_lines(broker: Broker, stream: str, path: Path, shown: str, state: SinkState) -> None:
    lines = LinesOfStream(shown, state.values.get("dated"))
    reader = broker.reader(VERDICTS, stream, state.values.get("offset", 0))
    try:
        with open(path, "r+b" if path.exists() else "xb", buffering=1 << 16) as file:  # noqa: PTH123
            file.truncate(state.values.get("size", 0))
            file.seek(0, os.SEEK_END)
            stored_s = time.monotonic()
            while True:
                for message in reader.read(WAIT_S):
                    record = VerdictRecord.FromString(message.value)
                    file.writelines(f"{line.to_json()}\n".encode() for line in lines.of(record))
                    ended = record.HasField("end")
                    if ended or time.monotonic() - stored_s > STORE_S:
                        stored_s = time.monotonic()
                        size = _synced(file)
                        state.save(offset=message.next_offset, size=size, dated=lines.dated, done=ended)
                    if ended:
                        return
                file.flush()
    finally:
        reader.close()


def _synced(file: IO[bytes]) -> int:
    file.flush()
    os.fsync(file.fileno())
    return file.tell()
