"""From a photo's file to its pixels, decoded in a child process that sees nothing but the file's bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from engines import StreamError
from pipeline.jail.parent import Jail, JailLimits
from pipeline.jail.protocol import Received, printable
from pipeline.photos import photo_child

LARGEST_FILE = 256 << 20
"""Bytes."""
CHANNELS = 3
_MOST_NOTES = 8


@dataclass(frozen=True, eq=False, slots=True)
class DecodedPhoto:
    """A photo as it is shown.

    Attributes:
        image: `(h, w, 3)` uint8 BGR.
        notes: what of it is not as it was, a sentence each.
    """

    image: NDArray[np.uint8]
    notes: tuple[str, ...]


def read_photo(path: Path, limits: JailLimits) -> DecodedPhoto:
    """Decodes a photo.

    Raises:
        StreamError: it is none that is taken, is broken or too large, or cannot be read.
    """
    try:
        if not path.is_file():
            raise StreamError(f"{path}: is no file")
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise StreamError(f"{path}: has {size} bytes; at most {LARGEST_FILE} are taken")
        content = path.read_bytes()
    except OSError as error:
        raise StreamError(f"{path}: cannot be read ({error.strerror})") from error
    settings = {"max_pixels": limits.max_pixels}
    with Jail("pipeline.photos.photo_child", settings, limits, error=StreamError, subject=str(path)) as jail:
        jail.send(photo_child.PHOTO, content)
        width, height, notes = _size(jail, limits)
        pixels = np.empty(width * height * CHANNELS, np.uint8)
        filled = 0
        while filled < len(pixels):
            message = _next(jail, limits)
            if message.kind != photo_child.PIXELS or not 0 < len(message.payload) <= len(pixels) - filled:
                _disbelieve(jail)
            pixels[filled : filled + len(message.payload)] = np.frombuffer(message.payload, np.uint8)
            filled += len(message.payload)
    return DecodedPhoto(pixels.reshape(height, width, CHANNELS), notes)


def _size(jail: Jail, limits: JailLimits) -> tuple[int, int, tuple[str, ...]]:
    message = _next(jail, limits)
    try:
        stated = json.loads(message.payload)
        width, height = int(stated["width"]), int(stated["height"])
        notes = tuple(printable(str(note).encode()) for note in stated["notes"][:_MOST_NOTES])
    except (ValueError, KeyError, TypeError):
        _disbelieve(jail)
    if message.kind != photo_child.SIZE or min(width, height) < 1 or width * height > limits.max_pixels:
        _disbelieve(jail)
    return width, height, notes


def _next(jail: Jail, limits: JailLimits) -> Received:
    message = jail.receive(limits.timeout_s)
    if message is None:
        jail.fail(f"took longer than {limits.timeout_s:g} s")
    return message


def _disbelieve(jail: Jail) -> NoReturn:
    jail.fail("its child process sent something else than it should")
