"""A recording: a video file that can be read while it grows, and that is not lost with whoever writes it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from pathlib import Path

from engines import StreamError
from engines.undo import undone_on_failure
from pipeline.media.containers import container_for
from pipeline.media.matroska import state_display_size
from pipeline.media.mux import DiskError, Muxer, matroska_display, options_for, sync_folder
from pipeline.media.new_file import NewFile, create_free
from pipeline.media.whole_parts import WholePart, WholeParts, has_index_at_end
from pipeline.wire import Head, Packet

_GROWING = {"flush_packets": "1", "max_interleave_delta": "1000000"}
"""What is complete goes to the file at once; pictures wait a second for sound at most."""
_FRAGMENTED = {"movflags": "+frag_keyframe+hybrid_fragmented", "min_frag_duration": "500000"}
"""Fragments while it grows, one index at the end, written in place."""


Made = Callable[[Path, tuple[int, int]], None]


def unnoticed(_: Path, __: tuple[int, int]) -> None:
    """Where nobody wants to know."""


class Recording(Muxer):
    """Has its name from its first byte on, which nobody had before.

    Args:
        path: its name; a number is added where that is taken.
        head: as `masked_head` makes it.
        made: is called when the file exists, before its first byte, with its name and what `identity` says.

    Attributes:
        path: where it is.
        pictures: that were written, of which the last may not be in the file yet.

    Raises:
        DiskError: there is no room.
        StreamError: it cannot be made, or the container cannot hold the streams.
    """

    def __init__(self, path: Path, head: Head, made: Made = unnoticed) -> None:
        container = container_for(path)
        options = options_for(head, container) | _GROWING | (_FRAGMENTED if container in ("mp4", "mov") else {})
        self._display = matroska_display(head, container)
        self.pictures = 0
        try:
            self.path, descriptor = create_free(path)
        except OSError as error:
            raise DiskError(f"{path}: cannot be made: {error.strerror}") from error
        self._new = NewFile(descriptor)
        self._parts = WholeParts(descriptor)
        self._whole = [WholePart(0, 0)]
        with undone_on_failure(partial(self.cut, 0)):
            made(self.path, self.identity)
            super().__init__(str(self.path), container, head, options, self._new)

    @property
    def identity(self) -> tuple[int, int]:
        """Of the file, whatever it is called."""
        status = os.fstat(self._new.descriptor)
        return status.st_dev, status.st_ino

    def write(self, packet: Packet, *, shift: Fraction = Fraction(0)) -> None:
        super().write(packet, shift=shift)
        self.pictures += packet.track == 0

    def whole(self, pictures: Iterable[int], *, sync: bool = True) -> WholePart:
        """The longest beginning of the file that holds as many pictures as one of these says.

        Args:
            sync: bring it to the disk.

        Raises:
            DiskError: it cannot be brought there.
        """
        self._whole += self._parts.new()
        wanted = {0, *pictures}
        found = next(part for part in reversed(self._whole) if part.pictures in wanted)
        try:
            if sync:
                self._new.sync()
        except OSError as error:
            raise DiskError(f"{self.path}: {error.strerror}") from error
        del self._whole[: self._whole.index(found)]
        return found

    def close(self) -> None:
        """Completes it; where that fails it can be cut."""
        self._close()
        try:
            if self._display is not None:
                state_display_size(self._new.path, *self._display)
            self._new.sync()
            sync_folder(self.path.parent)
        except OSError as error:
            raise DiskError(f"{self.path}: could not be finished: {error.strerror}") from error
        self._new.end()

    def abort(self) -> None:
        """Leaves it as it is: neither completed nor cut."""
        self._new.error = self._new.error or OSError(errno.ECANCELED, "it was given up")
        if self._begun and not self.pictures:
            with suppress(StreamError):  # FFmpeg 8.1 crashes where it ends without a picture
                super().write(Packet(data=b"\0", pts=0, dts=0, duration=1, key=True))
        self._drop()
        self._new.end()

    def cut(self, size: int) -> None:
        """Gives it up, and keeps its first `size` bytes; nothing where that is none."""
        path, identity = self.path, self.identity
        self.abort()
        cut_recording(path, identity, size)


def cut_recording(path: Path, identity: tuple[int, int], size: int) -> bool:
    """Shortens a recording that was left in the middle to what is known to be whole; removes it if that is nothing.

    Args:
        identity: as `Recording.identity` said; another file under that name is left alone.

    Returns: whether something of it is left.
    """
    with _reopened(path, identity) as descriptor:
        if descriptor is None:
            return False
        if not size:
            path.unlink()
        elif not has_index_at_end(descriptor):
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        return size > 0


def is_finished(path: Path, identity: tuple[int, int]) -> bool:
    """Whether it was completed: the index is at its end. Cutting it would make it unreadable."""
    with _reopened(path, identity) as descriptor:
        return descriptor is not None and has_index_at_end(descriptor)


@contextmanager
def _reopened(path: Path, identity: tuple[int, int]) -> Iterator[int | None]:
    """A descriptor of that very file; None where there is another one, or none."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        status = os.fstat(descriptor)
        yield descriptor if (status.st_dev, status.st_ino) == identity else None
    finally:
        os.close(descriptor)
