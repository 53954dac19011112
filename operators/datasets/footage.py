"""Where the pictures of a clip are: a video, image files, or members of a tar archive."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import FrameError
from operators.arrays import Image

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
T = TypeVar("T")


class Footage(Protocol):
    """The pictures of a clip."""

    def frames(self, max_frames: int = 0) -> Iterator[tuple[int, Image]]:
        """Indices and `(h, w, 3)` uint8 BGR pictures, in order.

        Args:
            max_frames: how many, spread evenly over the clip; 0 for all.

        Raises:
            FrameError: it cannot be read.
        """
        ...

    def files(self) -> Sequence[Path]:
        """What is read for it."""
        ...


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A video of a data set, which is trusted as far as its owners are; uploads are opened in `pipeline.media`."""

    path: Path

    def frames(self, max_frames: int = 0) -> Iterator[tuple[int, Image]]:
        video = cv2.VideoCapture(str(self.path))
        try:
            if not video.isOpened():
                raise FrameError(f"{self.path}: expected a video, but it cannot be opened; fetch it again")
            wanted = set(spread(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), max_frames))
            index = 0
            while video.grab():
                if not wanted or index in wanted:
                    yield index, _decoded(self.path, video.retrieve()[1])
                index += 1
        finally:
            video.release()

    def files(self) -> Sequence[Path]:
        return (self.path,)


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Image files, in order."""

    paths: Sequence[Path]

    def frames(self, max_frames: int = 0) -> Iterator[tuple[int, Image]]:
        return _stills(self.paths, lambda path: path.read_bytes(), max_frames)

    def files(self) -> Sequence[Path]:
        return self.paths


@dataclass(frozen=True, slots=True)
class Archived:
    """Images in a tar archive that is not compressed, in order; nothing is unpacked."""

    archive: Path
    members: Sequence[str]

    def frames(self, max_frames: int = 0) -> Iterator[tuple[int, Image]]:
        return _stills(self.members, self._content, max_frames)

    def files(self) -> Sequence[Path]:
        return (self.archive,)

    def _content(self, member: str) -> bytes:
        members = _places(self.archive)
        if member not in members:
            raise FrameError(f"{self.archive}: no {member} in it; fetch it again")
        start, size = members[member]
        with self.archive.open("rb") as file:
            file.seek(start)
            return file.read(size)


def spread(count: int, max_frames: int) -> list[int]:
    """Up to `max_frames` of `count` indices, each in the middle of an equal part; all if `max_frames` is 0.

    >>> spread(10, 3)
    [1, 5, 8]
    """
    if not max_frames or max_frames >= count:
        return list(range(count))
    return [int((part + 0.5) * count / max_frames) for part in range(max_frames)]


def footage_of(path: Path) -> Footage | None:
    """A video, or a folder of pictures in the order of their names; None if it is neither."""
    if path.suffix.lower() in VIDEOS:
        return VideoFile(path)
    pictures = pictures_in(path) if path.is_dir() else []
    return ImageFiles(tuple(pictures)) if pictures else None


def footage_in(folder: Path) -> list[tuple[str, Footage]]:
    """Names and footage of what lies in a folder, in order: MP4 files, and folders of pictures."""
    paths = sorted(chain(folder.glob("*.mp4"), folder.glob("*/")))
    return [(path.stem, footage) for path in paths if (footage := footage_of(path)) is not None]


def pictures_in(folder: Path) -> list[Path]:
    """Image files in a folder, numbers in their names in the order of numbers."""
    return in_order(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def in_order(paths: Iterable[Path]) -> list[Path]:
    """By name, where one that is a number stands for that number.

    >>> [path.name for path in in_order([Path("10.png"), Path("9.png"), Path("cover.png")])]
    ['cover.png', '9.png', '10.png']
    """
    return sorted(paths, key=lambda path: (int(path.stem) if path.stem.isdecimal() else -1, path.name))


def _stills(names: Sequence[T], content: Callable[[T], bytes], max_frames: int) -> Iterator[tuple[int, Image]]:
    for index in spread(len(names), max_frames):
        name = names[index]
        try:
            data = content(name)
        except OSError as error:
            raise FrameError(f"{name}: cannot be read ({error.strerror}); fetch it again") from error
        yield index, _decoded(name, cv2.imdecode(np.frombuffer(data, np.uint8), 1) if data else None)


def _decoded(name: object, image: NDArray[np.generic] | None) -> Image:
    if image is None:
        raise FrameError(f"{name}: expected a picture, but it cannot be decoded; fetch it again")
    return np.asarray(image, np.uint8)


@cache
def _places(archive: Path) -> dict[str, tuple[int, int]]:
    """Where each member's bytes begin, and how many there are."""
    try:
        with tarfile.open(archive, "r:") as tape:
            return {m.name.removeprefix("./"): (m.offset_data, m.size) for m in tape if m.isfile()}
    except (OSError, tarfile.TarError) as error:
        raise FrameError(f"{archive}: expected a tar archive ({error}); fetch it again") from error
