"""From a source to its head and packets, taken apart in a child process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError

from engines import StreamError
from pipeline.jail.call_filter import Profile
from pipeline.jail.parent import DEFAULT_LIMITS, Jail, JailLimits
from pipeline.media.demuxer_child import ENDED, RECORD
from pipeline.media.formats import VIDEO_CODECS, is_pixel_format
from pipeline.media.shown import is_plausible
from pipeline.wire import StreamRecord, fraction

_PROTOCOLS = ("rtsp://", "rtsps://")
_DEVICES = "/dev/video"
_PORTS = {"rtsp": 554, "rtsps": 322}


class Demuxer:
    """Iterates over `StreamRecord`: one head first, then packets of video (track 0) and audio (1, 2, ...).

    Nothing is re-encoded. `epoch`, `number` and `chain` are left for the caller to fill. Where the source
    breaks in the middle, what came before is yielded before the error is raised.

    Args:
        source: a file, an `rtsp://` URL, or a device `/dev/video0`.
        audio: carry the audio tracks too.
        live: do not read ahead; the source sends as fast as it is.
        options: further options of FFmpeg's demuxer.

    Raises:
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
        options: Mapping[str, str] | None = None,
    ) -> None:
        way = _way_to(source)
        settings = {
            "source": way.name,
            "descriptor": way.descriptor,
            "audio": audio,
            "live": live,
            "options": dict(options or {}),
            "timeout_s": limits.timeout_s,
            "max_pixels": limits.max_pixels,
            "max_packet_bytes": limits.max_packet_bytes,
        }
        self._limits, self._tracks, self._ended = limits, -1, False
        subject = without_password(source)
        try:
            self._jail = Jail(
                "pipeline.media.demuxer_child",
                settings,
                limits,
                error=StreamError,
                subject=subject,
                profile=way.profile,
                address=way.address,
                descriptors=() if way.descriptor is None else (way.descriptor,),
            )
        finally:
            if way.descriptor is not None:
                os.close(way.descriptor)

    @property
    def pid(self) -> int:
        """Of the child process."""
        return self._jail.pid

    def __iter__(self) -> Iterator[StreamRecord]:
        return self

    def __next__(self) -> StreamRecord:
        if self._ended:
            raise StopIteration
        timeout_s = self._limits.timeout_s
        message = self._jail.receive(timeout_s + 1)  # its own time-outs come first, and say more
        if message is None:
            self._jail.fail(f"nothing was read for {timeout_s:g} s")
        if message.kind == ENDED:
            self._ended = True
            raise StopIteration
        try:
            record = StreamRecord.FromString(message.payload)
        except DecodeError:
            record = StreamRecord()
        if message.kind != RECORD or not self._plausible(record):
            self._jail.fail("its child process sent something else than it should")
        return record

    def _plausible(self, record: StreamRecord) -> bool:
        """One head, of a video that is allowed, then packets of its tracks: more is not believed."""
        head = record.head
        if self._tracks >= 0:
            return record.WhichOneof("body") == "packet" and record.packet.track <= self._tracks
        self._tracks = len(head.audio)
        return (
            head.codec in VIDEO_CODECS
            and 0 < head.width * head.height <= self._limits.max_pixels
            and fraction(head.time_base) > 0
            and fraction(head.rate) >= 0
            and is_plausible(head.shown)
            and (not head.pixel_format or is_pixel_format(head.pixel_format))
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
    if source.startswith(_PROTOCOLS):
        return _Way(source, "network", _port_of(source))
    if "://" in source:
        scheme = source.partition("://")[0]
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
    raise StreamError(f"{without_password(url)}: expected a port between 0 and 65535 after the host's name")


def without_password(source: str) -> str:
    """The source's name as people may see it.

    >>> without_password("rtsp://user:secret@camera.local/live")
    'rtsp://camera.local/live'
    """
    scheme, mark, rest = source.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if mark else source
