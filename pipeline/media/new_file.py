"""Files that were not there before: made exclusively, never through a link, and given a name that nobody has taken."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_BYTES = 200
"""Of a name that is lengthened: file systems take 255 in all."""


def numbered(path: Path) -> Iterator[Path]:
    """The path, and then the same with 2, 3, ... before its suffix.

    >>> names = numbered(Path("rec/door.mp4"))
    >>> next(names).name, next(names).name
    ('door.mp4', 'door.2.mp4')
    """
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.stem}.{number}{path.suffix}")
        number += 1


def create_free(path: Path) -> tuple[Path, int]:
    """A new file under this name, or the first free one of `numbered`, and its descriptor.

    Raises:
        OSError: it cannot be made.
    """
    for name in numbered(path):
        try:
            return name, os.open(name, _NEW, 0o666)
        except FileExistsError:
            continue
    raise AssertionError("numbers do not end")


def create_part(path: Path) -> tuple[Path, int]:
    """A new hidden file beside `path`, under a name that nobody can foresee, and its descriptor.

    Raises:
        OSError: it cannot be made.
    """
    kept = os.fsencode(path.name)[:_KEPT_BYTES].decode(errors="ignore")
    part = path.with_name(f".{kept}.{secrets.token_hex(8)}.part")
    return part, os.open(part, _NEW, 0o666)


def publish(part: Path, path: Path, *, overwrite: bool = False) -> Path:
    """Gives a file its name, or the first free one of `numbered`; returns that.

    Args:
        overwrite: replace what has the name.

    Raises:
        OSError: it cannot be done.
    """
    if overwrite:
        part.replace(path)
        return path
    for name in numbered(path):
        try:
            os.link(part, name, follow_symlinks=False)
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links: the name is taken first, and then filled
            try:
                os.close(os.open(name, _NEW, 0o666))
            except FileExistsError:
                continue
            part.replace(name)
            return name
        part.unlink()
        return name
    raise AssertionError("numbers do not end")


class NewFile:
    """A file that a muxer writes, as the object that PyAV writes to.

    Attributes:
        error: the first one that the disk answered with; all later writes fail alike.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.error: OSError | None = None
        self._at = 0
        self._open = True

    def write(self, data: bytes) -> int:
        """Writes all of it, or fails."""
        view = memoryview(data)
        try:
            if self.error is not None:
                raise self.error
            while view:
                written = os.pwrite(self.descriptor, view, self._at)
                view, self._at = view[written:], self._at + written
        except OSError as error:
            self.error = self.error or error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self.descriptor).st_size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    @property
    def path(self) -> Path:
        """By which this very file is opened again, whatever has its name by now."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    def sync(self) -> None:
        """Brings it to the disk."""
        os.fsync(self.descriptor)

    def end(self) -> None:
        """Closes it. Not called `close`, for PyAV would."""
        if self._open:
            self._open = False
            os.close(self.descriptor)
