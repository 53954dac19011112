"""From a source to its head and packets, taken apart in a child process."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError

from engines import StreamError
from pipeline.jail.call_filter import Profile
from pipeline.jail.parent import DEFAULT_LIMITS, Jail, JailLimits
from pipeline.jail.protocol import Received, printable
from pipeline.media.demuxer_child import DENIED, ENDED, PERCENT_ENCODE, RECORD
from pipeline.media.formats import VIDEO_CODECS, is_pixel_format
from pipeline.media.shown import is_plausible
from pipeline.media.sound import is_plausible_track
from pipeline.private.names import public_name, scrubbed
from pipeline.wire import StreamRecord, fraction

_PROTOCOLS = ("rtsp://", "rtsps://")
_DEVICES = "/dev/video"
_PORTS = {"rtsp": 554, "rtsps": 322}
_MOST_NOTES = 20
LIVE_TICK_S = 0.5
"""So often a live source that says nothing is asked whether it shall go on."""
SILENT_S = 4.0
"""A camera without a picture for that long is worth a word; after `limits.timeout_s` it is given up."""
FIRST_PICTURE_S = 60.0
"""So long a camera's sound may come before its pictures."""


class SourceDenied(StreamError):
    """It refuses the login, has nothing there, or is no address: trying it again soon makes it worse."""


class Demuxer:
    """Iterates over `StreamRecord`: one head first, then packets of video (track 0) and audio (1, 2, ...).

    Nothing is re-encoded. `epoch`, `number` and `chain` are left for the caller to fill. Where the source
    breaks in the middle, what came before is yielded before the error is raised.

    Args:
        source: a file, an `rtsp://` URL, or a device `/dev/video0`.
        audio: carry the audio tracks too.
        live: do not read ahead; the source sends as fast as it is.
        container: into which the packets go, as `sound.COPIED` names them: sound that it does not take is encoded anew.
            Without one, all that can be copied is.
        options: further options of FFmpeg's demuxer.
        stopping: a live source ends where this says so, also while it is silent.
        on_silence: called when a live source has sent no picture for `SILENT_S`, once until the next one.

    Raises:
        SourceDenied: from the iteration: another try would end alike.
        StreamError: from the constructor for a source that is plainly none; from the iteration where it
            cannot be opened, is not on the lists of `media.formats`, is too large, breaks, or says nothing
            for `limits.timeout_s`.
    """

    def __init__(
        self,
        source: str,
        *,
        audio: bool = True,
        limits: JailLimits = DEFAULT_LIMITS,
        live: bool = False,
        container: str = "",
        options: Mapping[str, str] | None = None,
        on_silence: Callable[[], None] = lambda: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        way = _way_to(source)
        settings = {
            "source": way.name,
            "descriptor": way.descriptor,
            "audio": audio,
            "live": live,
            "container": container,
            "options": dict(options or {}),
            "timeout_s": limits.timeout_s,
            "max_pixels": limits.max_pixels,
            "max_packet_bytes": limits.max_packet_bytes,
        }
        self._limits, self._tracks, self._ended = limits, -1, False
        self._live, self._on_silence, self._silent = live, on_silence, False
        self._stopping = stopping
        self._source, self._subject = source, public_name(source)
        try:
            self._jail = Jail(
                "pipeline.media.demuxer_child",
                settings,
                limits,
                error=self._public_error,
                subject=self._subject,
                profile=way.profile,
                address=way.address,
                descriptors=() if way.descriptor is None else (way.descriptor,),
            )
        finally:
            if way.descriptor is not None:
                os.close(way.descriptor)
        self._picture_s = time.monotonic()

    def _public_error(self, words: str) -> StreamError:
        return StreamError(scrubbed(words, self._source))

    @property
    def pid(self) -> int:
        """Of the child process."""
        return self._jail.pid

    def __iter__(self) -> Iterator[StreamRecord]:
        return self

    def __next__(self) -> StreamRecord:
        if self._ended:
            raise StopIteration
        message = self._receive()
        if message is None or message.kind == ENDED:
            self._ended = True
            raise StopIteration
        if message.kind == DENIED:
            self.close()
            raise SourceDenied(scrubbed(f"{self._subject}: {printable(message.payload)}", self._source))
        try:
            record = StreamRecord.FromString(message.payload)
        except DecodeError:
            record = StreamRecord()
        if message.kind != RECORD or not self._plausible(record):
            self._jail.fail("its child process sent something else than it should")
        if self._live:
            self._watch_pictures(record)
        return record

    def _receive(self) -> Received | None:
        """The next message, whose own time-outs come first, and say more; None where nothing more is wanted."""
        timeout_s = self._limits.timeout_s + (FIRST_PICTURE_S if self._live and self._tracks < 0 else 0.0)
        until = time.monotonic() + timeout_s + 1
        message = None
        while message is None:
            left_s = until - time.monotonic()
            if left_s <= 0:
                self._jail.fail(f"nothing was read for {timeout_s:g} s")
            message = self._jail.receive(min(left_s, LIVE_TICK_S) if self._live else left_s)
            if message is None and self._live:
                if self._stopping():
                    return None
                self._say_silence()
        return message

    def _watch_pictures(self, record: StreamRecord) -> None:
        """Life is measured on pictures: sound may go on when they have stopped."""
        if record.WhichOneof("body") == "head" or record.packet.track == 0:
            self._picture_s, self._silent = time.monotonic(), False
            return
        if time.monotonic() - self._picture_s > self._limits.timeout_s:
            self._jail.fail(f"sent sound, but no picture for {self._limits.timeout_s:g} s")
        self._say_silence()

    def _say_silence(self) -> None:
        if not self._silent and time.monotonic() - self._picture_s >= SILENT_S:
            self._silent = True
            self._on_silence()

    def _plausible(self, record: StreamRecord) -> bool:
        """One head, of a video that is allowed, then packets of its tracks: more is not believed."""
        head = record.head
        if self._tracks >= 0:
            return record.WhichOneof("body") == "packet" and record.packet.track <= self._tracks
        self._tracks = len(head.audio)
        notes = [printable(note.encode()) for note in head.notes[:_MOST_NOTES]]
        head.ClearField("notes")
        head.notes.extend(notes)
        return (
            head.codec in VIDEO_CODECS
            and 0 < head.width * head.height <= self._limits.max_pixels
            and fraction(head.time_base) > 0
            and fraction(head.rate) >= 0
            and is_plausible(head.shown)
            and (not head.pixel_format or is_pixel_format(head.pixel_format))
            and all(is_plausible_track(track, number) for number, track in enumerate(head.audio, 1))
        )

    def close(self) -> None:
        self._ended = True
        self._jail.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Way:
    """How the child comes to a source: its name there, and what the child may do to open it."""

    name: str
    profile: Profile = "closed"
    address: int | str = 0
    descriptor: int | None = None


def _way_to(source: str) -> _Way:
    """A file is opened here, and handed in: the child opens none. A camera is the one thing that it may reach."""
    if "://" in source:
        scheme, _, rest = source.partition("://")
        if (lowered := f"{scheme.lower()}://{rest}").startswith(_PROTOCOLS):
            return _Way(lowered, "network", _port_of(lowered))
        raise StreamError(f"{scheme}: is not read; use a file, {', '.join(_PROTOCOLS)} or a device")
    path = Path(source)
    if not path.exists():
        raise StreamError(f"{source}: no such file")
    if path.is_dir():
        raise StreamError(f"{source}: is a directory; give the files in it")
    if path.is_file() and path.stat().st_size == 0:
        raise StreamError(f"{source}: is empty")
    if path.is_char_device():
        device = str(path.resolve())
        if not device.startswith(_DEVICES):
            raise StreamError(f"{source}: is a device that is not read; expected a file or {_DEVICES}N")
        return _Way(device, "device", device)
    try:
        # A pipe that nobody writes to yet is waited for by the child, whose time is limited.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise StreamError(f"{source}: cannot be read ({error.strerror})") from error
    os.set_blocking(descriptor, True)
    return _Way(str(path.absolute()), descriptor=descriptor)


def _port_of(url: str) -> int:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        return parts.port or _PORTS[parts.scheme]
    words = f"expected a port between 0 and 65535 after the host's name; {PERCENT_ENCODE}"
    raise SourceDenied(f"{public_name(url)}: {words}")
