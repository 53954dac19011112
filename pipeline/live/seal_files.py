"""Writes a file of seals beside each file of masked video, from what its stream has left in the topic `sealed`.

Once a file is whole, with exactly the seals of the frames that it shows: each masked packet says how many its frame
has. Killed in between, it is done again, and finds what is there.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from engines import ConfigError, StreamError
from pipeline.brokers import SEALED, Broker, Record
from pipeline.config import SealSection
from pipeline.live.outputs import seal_file_of
from pipeline.live.sealer import NewestKeys
from pipeline.live.shown_frames import ShownFrames
from pipeline.live.written import Tell, unheard
from pipeline.media import DiskError
from pipeline.sealing import NotAuthentic, RecoveryRefused
from pipeline.sealing.container import SealWriter, open_seals, sha256_of_file
from pipeline.sealing.private import sync_folder
from pipeline.sealing.seal import VERSION, parsed
from pipeline.wire import Head, Packet, Rational, Seal, SealFileHead

NOTHING = SealSection()
"""Is sealed."""
READ_S, PATIENCE_S = 1.0, 30.0
"""Seals are stored before their masked packets, but a broker may show them later. What has not come after so long is
missing."""


@dataclass(frozen=True, slots=True)
class SealedPart:
    """A file of masked video that is whole.

    Attributes:
        path: of it.
        time_base: of the packets that it was made of.
        shown: its frames.
    """

    path: Path
    time_base: Rational
    shown: ShownFrames

    def to_values(self) -> list[Any]:
        """For `SinkState.save`."""
        return [str(self.path), self.time_base.num, self.time_base.den, self.shown.runs(), self.shown.seals]

    @classmethod
    def from_values(cls, values: list[Any]) -> Self:
        """As `to_values` has made them."""
        path, num, den, runs, seals = values
        return cls(Path(path), Rational(num=num, den=den), ShownFrames(runs, seals))


class PartSeals:
    """The files of seals of one stream; does nothing where nothing is sealed.

    Args:
        overwrite: seals of other videos may be replaced that have their names.
        tell: gets what has to be known at once.
        values: what a former life has left, as `to_values` gives it.

    Attributes:
        active: something is sealed.
        shown: the frames of the file that is being written.
    """

    def __init__(
        self,
        broker: Broker,
        stream: str,
        settings: SealSection,
        *,
        overwrite: bool = False,
        tell: Tell = unheard,
        values: dict[str, Any] | None = None,
    ) -> None:
        self._broker, self._stream, self._settings = broker, stream, settings
        self._overwrite, self._tell = overwrite, tell
        self.active = settings.active
        self.shown = ShownFrames()
        values = values or {"offset": 0, "time_base": [0, 0], "waiting": []}
        self._offset, (num, den) = values["offset"], values["time_base"]
        self._time_base = Rational(num=num, den=den)
        self._waiting = [SealedPart.from_values(part) for part in values["waiting"]]
        self._forgotten = self._offset

    def to_values(self) -> dict[str, Any]:
        """For `SinkState.save`: without the frames of the file that is being written."""
        time_base = [self._time_base.num, self._time_base.den]
        waiting = [part.to_values() for part in self._waiting]
        return {"offset": self._offset, "time_base": time_base, "waiting": waiting}

    def begin(self, head: Head) -> None:
        """A file is begun."""
        self._time_base.CopyFrom(head.time_base)
        self.shown = ShownFrames()

    def add(self, packet: Packet) -> None:
        """A packet was written into it."""
        if self.active and packet.track == 0:
            self.shown.add(packet)

    def mark(self) -> list[Any]:
        """Its frames so far, for `done`."""
        return [self.shown.runs(), self.shown.seals] if self.active else [[], 0]

    def done(self, path: str, mark: list[Any] | None = None) -> None:
        """It is whole.

        Args:
            mark: it was cut where this mark was taken.
        """
        if self.active:
            time_base = Rational()
            time_base.CopyFrom(self._time_base)
            self._waiting.append(SealedPart(Path(path), time_base, ShownFrames(*(mark or self.mark()))))

    def write(self, *, final: bool = True) -> None:
        """Writes the seals of all files that are whole.

        Args:
            final: nothing will be tried again: an obstacle is raised, and not only told.

        Raises:
            DiskError: there is no room.
            StreamError: another file has a name that is needed, or keys or seals are gone.
        """
        while self._waiting:
            part = self._waiting[0]
            try:
                self._offset = write_seals(
                    self._broker, self._stream, part, self._settings, offset=self._offset, overwrite=self._overwrite
                )
            except DiskError:
                raise
            except StreamError as error:
                if final:
                    raise
                self._tell(f"{error}; the seals are kept, and tried again")
                return
            self._waiting.pop(0)

    def forget(self) -> None:
        """What is in files by now is deleted from the broker, where that can be; after `to_values` was stored."""
        if self._forgotten == self._offset:
            return
        reader = self._broker.reader(SEALED, self._stream, self._offset)
        try:
            reader.forget()
        finally:
            reader.close()
        self._forgotten = self._offset


def write_seals(
    broker: Broker, stream: str, part: SealedPart, settings: SealSection, *, offset: int = 0, overwrite: bool = False
) -> int:
    """Writes the seals of one file of masked video. Called again, it finds them there.

    Args:
        offset: where its seals begin in `sealed`, or before.
        overwrite: replace the seals of another video.

    Returns: where those of the next file begin, or before.

    Raises:
        DiskError: there is no room for them.
        StreamError: they are not all there, keys are gone, or another file has their name.
    """
    target = seal_file_of(part.path)
    if os.path.lexists(target):
        if _is_of(target, part.path):
            return offset
        if not overwrite:
            raise StreamError(f"{target}: is there already, with the seals of another video; move it away")
    new = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    head = SealFileHead(version=VERSION, stream=stream, source=part.path.name, time_base=part.time_base)
    runs = part.shown.runs()
    try:
        keys = NewestKeys(settings, stream)()
        with SealWriter(new, head) as to:
            for record, seal in _seals_of(broker, stream, part.shown, offset):
                to.add(seal)
                offset = record.next_offset
            to.finish(keys, part.path, [(first, count) for _, first, count in runs])
        _publish(new, target, overwrite=overwrite)
    except (ConfigError, RecoveryRefused) as error:
        raise StreamError(f"{target}: seals cannot be written: {error}") from error
    except StreamError as error:
        if isinstance(error.__cause__, OSError):
            raise DiskError(str(error)) from error
        raise
    finally:
        with suppress(FileNotFoundError):
            new.unlink()
    return offset


def _is_of(target: Path, video: Path) -> bool:
    try:
        with open_seals(target) as there:
            return bool(there.end.video_sha256 == sha256_of_file(video))
    except (NotAuthentic, ConfigError):
        return False


def _seals_of(broker: Broker, stream: str, shown: ShownFrames, offset: int) -> Iterator[tuple[Record, Seal]]:
    """All seals of these frames, in order."""
    left, until = shown.seals, time.monotonic() + PATIENCE_S
    reader = broker.reader(SEALED, stream, offset)
    try:
        while left:
            records = reader.read(READ_S)
            if not records and time.monotonic() > until:
                raise StreamError(f"{stream}: {left} of {shown.seals} seals are missing in the broker")
            for record in records:
                seal = parsed(Seal, record.value)
                if (seal.epoch, seal.index) in shown:
                    yield record, seal
                    left -= 1
    finally:
        reader.close()


def _publish(new: Path, target: Path, *, overwrite: bool) -> None:
    try:
        if overwrite:
            new.replace(target)
        else:
            os.link(new, target)
        sync_folder(target)
    except OSError as error:
        raise StreamError(f"{target}: cannot be written ({error.strerror})") from error
