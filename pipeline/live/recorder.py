"""From `masked` to the recordings of a camera: parts that can be read while they grow, each named by when it began.

How far the part on the disk is whole is stored with where in `masked` it goes on. So a recorder that was killed cuts
the part there, and goes on in a new one, without what it has written already; so does one whose disk was full, once
there is room. What is in a file is deleted from the broker where that can be. The seals of a part, where something is
sealed, are put beside it when it is whole, and with those of its frames alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engines import StreamError
from pipeline.brokers import MASKED, Broker, Reader, Record
from pipeline.config import SealSection
from pipeline.live.seal_files import NOTHING, PartSeals
from pipeline.live.sink_state import SinkState
from pipeline.live.sources import ANONYMIZED
from pipeline.live.splicer import MICROSECONDS, Splicer
from pipeline.live.written import WAIT_S, Tell, Written, missing_in
from pipeline.media import DiskError, Recording, cut_recording, is_finished
from pipeline.wire import End, Head, Packet, StreamRecord

STORE_S = 1.0
ROOM_BYTES, ROOM_SHARE = 4 << 20, 8
"""With less than that, and less than an eighth of it, a disk counts as full."""
ROOM_PAUSE_S = 1.0
PATIENCE_S = 5.0
"""For how long a recorder that is told to end waits for room."""
LONGEST_PART_S, LONGEST_SEALED_PART_S = 6 * 3600, 3600
"""The index of a part is kept in memory until it ends, and its seals in the broker."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A keyframe in `masked`: whoever begins at that offset, with that splicer, goes on after so many pictures, which
    `shown` tells for their seals."""

    offset: int
    pictures: int
    splicer: str
    shown: list[Any]


class Recorder:
    """Records one stream until it ends.

    Args:
        path: what parts are called, without their time.
        stopping: whether the run is to end.
        tell: gets what has to be known at once.
        settings: whether and how it is sealed.
    """

    def __init__(
        self, broker: Broker, stream: str, path: Path, stopping: Callable[[], bool], tell: Tell,
        settings: SealSection = NOTHING,
    ) -> None:  # fmt: skip
        self._broker, self._stream, self._path, self._tell = broker, stream, path, tell
        self._splicer = Splicer()
        self._part: Recording | None = None
        self._seals = PartSeals(broker, stream, settings, tell=tell)
        self._settings = settings
        self._base = _Mark(0, 0, self._splicer.to_json(), self._seals.mark())
        self._marks: list[_Mark] = []
        self._files: list[str] = []
        self._stored_s = 0.0
        self._full = _FullDisk(path.parent, stopping, tell)

    def record(self) -> Written:
        """Returns when the stream has ended and all of it is in files.

        Raises:
            BrokerError: the broker failed; a new recorder goes on.
            StreamError: there is no room, or nothing can hold this video; the work goes on from here later.
        """
        with SinkState(self._broker, "file", self._stream) as state:
            if "end" in state.values:
                return Written.from_values(state.values)
            self._resume(state.values)
            try:
                while True:
                    try:
                        return self._follow(state)
                    except DiskError as error:
                        self._give_up(state)
                        self._full.wait(error)
            finally:
                if self._part is not None:
                    self._part.abort()

    # -- life after life -------------------------------------------------------------------------------

    def _resume(self, values: dict[str, Any]) -> None:
        """Makes of what a former life has left in the middle a part of its own."""
        if not values:
            return
        self._files = list(values["files"])
        self._seals = PartSeals(self._broker, self._stream, self._settings, tell=self._tell, values=values["seals"])
        self._base = _Mark(values["offset"], 0, values["splicer"], values["shown"])
        if values["part"] is not None:
            name, device, inode, size = values["part"]
            if values["closing"] is not None and is_finished(Path(name), (device, inode)):
                self._base = _Mark(values["closing"][0], 0, *values["closing"][1:])
                self._keep(name, self._base)
            elif cut_recording(Path(name), (device, inode), size):
                self._keep(name, self._base)
        self._begin_at_base()

    def _begin_at_base(self) -> None:
        self._splicer, self._marks = Splicer.from_json(self._base.splicer), []
        self._splicer.begin_anew()

    def _keep(self, name: str, end: _Mark) -> None:
        """A part is whole, up to there."""
        self._files.append(name)
        self._seals.done(name, end.shown)

    def _save(
        self, state: SinkState, mark: _Mark, part: list[str | int] | None = None, closing: _Mark | None = None
    ) -> None:
        state.save(
            offset=mark.offset,
            splicer=mark.splicer,
            shown=mark.shown,
            files=self._files,
            part=part,
            closing=None if closing is None else [closing.offset, closing.splicer, closing.shown],
            seals=self._seals.to_values(),
        )
        self._stored_s = time.monotonic()

    # -- a part ----------------------------------------------------------------------------------------

    def _follow(self, state: SinkState) -> Written:
        self._seals.write(final=False)
        reader = self._broker.reader(MASKED, self._stream, self._base.offset)
        try:
            while True:
                for record in reader.read(WAIT_S):
                    body = StreamRecord.FromString(record.value)
                    if body.HasField("end"):
                        return self._conclude(state, record, body.end)
                    self._take(state, reader, record, body)
        finally:
            reader.close()

    def _take(self, state: SinkState, reader: Reader, record: Record, body: StreamRecord) -> None:
        here = None
        if body.HasField("packet") and body.packet.track == 0 and body.packet.key:
            pictures = self._part.pictures if self._part else 0
            here = _Mark(record.offset, pictures, self._splicer.to_json(), self._seals.mark())
            if self._splicer.length_s > (LONGEST_SEALED_PART_S if self._seals.active else LONGEST_PART_S):
                self._splicer.begin_anew()
            if self._part is not None:
                self._marks.append(here)
                self._store(state, reader)
        for begins, packet, shift in self._splicer.take(body):
            if begins is not None and here is not None:
                self._begin(state, here, begins, packet)
            if self._part is None:
                continue
            try:
                self._part.write(packet, shift=shift)
                self._seals.add(packet)
            except DiskError:
                raise
            except StreamError as error:
                self._tell(f"{error}; goes on in a new file")
                self._splicer.shown -= packet.track == 0
                self._splicer.begin_anew()

    def _store(self, state: SinkState, reader: Reader) -> None:
        """Now and then, how far the part is whole."""
        if time.monotonic() - self._stored_s < STORE_S or self._part is None:
            return
        whole = self._part.whole([self._base.pictures, *(mark.pictures for mark in self._marks)])
        self._base = self._mark_of(whole.pictures)
        self._marks = [mark for mark in self._marks if mark.pictures >= whole.pictures]
        self._save(state, self._base, [str(self._part.path), *self._part.identity, whole.size])
        reader.forget(before=self._base.offset)
        self._seals.forget()
        self._full.told = False

    def _mark_of(self, pictures: int) -> _Mark:
        return next((m for m in reversed(self._marks) if m.pictures == pictures), self._base)

    def _begin(self, state: SinkState, here: _Mark, head: Head, packet: Packet) -> None:
        self._end_part(state, here)
        self._seals.write(final=False)
        self._seals.begin(head)

        def save(path: Path, identity: tuple[int, int]) -> None:
            self._save(state, self._base, [str(path), *identity, 0])

        self._part = Recording(dated(self._path, packet.received_us), head, save)

    def _end_part(self, state: SinkState, closing: _Mark) -> None:
        """Completes the part that is open; `closing` is where it goes on after it."""
        if self._part is not None:
            whole = self._part.whole([self._base.pictures, *(mark.pictures for mark in self._marks)])
            end = self._mark_of(whole.pictures)
            self._save(state, end, [str(self._part.path), *self._part.identity, whole.size], closing)
            try:
                self._part.close()
                end = closing
            except DiskError:
                raise
            except StreamError as error:
                self._tell(str(error))
                self._part.cut(whole.size)
            if end is closing or whole.size:
                self._keep(str(self._part.path), end)
            self._part = None
        self._base, self._marks = replace(closing, pictures=0), []

    def _conclude(self, state: SinkState, record: Record, end: End) -> Written:
        for _, packet, shift in self._splicer.conclude():
            if self._part is not None:
                self._part.write(packet, shift=shift)
        self._end_part(state, _Mark(record.offset, 0, self._splicer.to_json(), self._seals.mark()))
        self._seals.write()
        reason = missing_in("the file", end.ledger.shown, self._splicer.shown)
        written = Written(tuple(self._files), end.SerializeToString(), reason)
        state.save(**written.to_values())
        return written

    # -- no room ---------------------------------------------------------------------------------------

    def _give_up(self, state: SinkState) -> None:
        """Keeps what is whole of the part that could not go on."""
        part = self._part
        if part is not None:
            whole = part.whole([self._base.pictures, *(m.pictures for m in self._marks)], sync=False)
            self._base = self._mark_of(whole.pictures)
            part.cut(whole.size)
            self._part = None
            if whole.size:
                self._keep(str(part.path), self._base)
        self._base = replace(self._base, pictures=0)
        self._begin_at_base()
        self._save(state, self._base)


class _FullDisk:
    """Waits until there is room again.

    Attributes:
        told: that it waits, once.
    """

    def __init__(self, folder: Path, stopping: Callable[[], bool], tell: Tell) -> None:
        self._folder, self._stopping, self._tell = folder, stopping, tell
        self.told = False

    def wait(self, error: DiskError) -> None:
        """Until a part may be begun.

        Raises:
            StreamError: the run is to end, and there is none.
        """
        if not self.told:
            self._tell(f"{error}; what is masked waits for room")
        self.told, ended_s = True, 0.0
        while True:
            time.sleep(ROOM_PAUSE_S)
            ended_s += ROOM_PAUSE_S * self._stopping()
            if has_room(self._folder) and ended_s <= PATIENCE_S:
                return
            if ended_s > PATIENCE_S:
                raise StreamError(
                    f"{error}; what is missing in the file is kept: make room, and give the same command again"
                )


def has_room(folder: Path) -> bool:
    """Whether it is worth while to begin a file there."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize >= min(ROOM_BYTES, status.f_blocks * status.f_frsize // ROOM_SHARE)


def dated(path: Path, received_us: int) -> Path:
    """A recording's name with the time of its first picture in it, UTC.

    >>> dated(Path("rec/door_anonymized.mp4"), 1_714_979_289_250_999).name
    'door_20240506T070809Z_anonymized.mp4'
    """
    moment = datetime.fromtimestamp((received_us or time.time_ns() // 1000) / MICROSECONDS, UTC)
    mark = ANONYMIZED if path.stem.endswith(ANONYMIZED) else ""
    return path.with_name(f"{path.stem.removesuffix(mark)}_{moment:%Y%m%dT%H%M%SZ}{mark}{path.suffix}")
