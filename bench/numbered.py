"""Clips whose frames carry their number in a bar code, and a person who wanders about where no config expects one.

The number says which frame of the source a picture of the result is; the person's place in that frame is known here and
nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from matplotlib import cbook

from bench.corridor import CutHead, cut_head
from bench.shown import shows
from operators.arrays import Array, Image

BITS = 16
CODE_WIDTH, CODE_HEIGHT = 80, 48
"""Of the bar code at scale 1, px."""
PORTRAIT, PORTRAIT_FACE = "grace_hopper.jpg", (174, 126, 352, 333)
"""A public-domain portrait among matplotlib's sample data, and the face in it."""
VISIT, GONE = 90, 12
"""A visit lasts so many frames; in the last of them nobody is there. The next one begins elsewhere."""


def _cells(scale: int, inset: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each bit's cell, without a margin."""
    for bit in range(BITS):
        x, y = 10 * (bit % 8), 8 + 24 * (bit // 8)
        yield (
            slice(scale * (y + inset), scale * (y + 16 - inset)),
            slice(scale * (x + inset), scale * (x + 10 - inset)),
        )


def draw_number(luma: Array, number: int, scale: int = 1) -> None:
    """Draws a number into the upper left corner, as black and white cells.

    >>> luma = np.full((48, 80), 128, np.uint8)
    >>> draw_number(luma, 1234)
    >>> read_number(luma)
    1234
    """
    for bit, cell in enumerate(_cells(scale, 0)):
        luma[cell] = 235 if number >> bit & 1 else 16


def read_number(luma: Array, scale: int = 1) -> int:
    """The number that a picture carries."""
    cells = enumerate(_cells(scale, 3))
    return sum(int(luma[cell].mean() > 128) << bit for bit, cell in cells)


def is_legible(luma: Array, scale: int = 1) -> bool:
    """Whether all cells of a number are black or white: where a cover lies over it, some are neither.

    >>> luma = np.full((48, 80), 128, np.uint8)
    >>> is_legible(luma)
    False
    >>> draw_number(luma, 1234)
    >>> is_legible(luma)
    True
    """
    return all(abs(float(luma[cell].mean()) - 128) > 64 for cell in _cells(scale, 3))


def portrait() -> tuple[Image, Array]:
    """The picture, and the box of the face in it."""
    image = cv2.imread(str(cbook.get_sample_data(PORTRAIT, asfileobj=False)))
    return np.asarray(image, np.uint8), np.array(PORTRAIT_FACE)


@dataclass(frozen=True)
class Wanderer:
    """Somebody who comes, walks a little and goes, again and again, always elsewhere.

    Attributes:
        width, height: of the pictures.
        face_px: how high the face is.
        below: the rows below this one are walked in, the number stands above.
        seed: of the ways.
    """

    width: int
    height: int
    face_px: int
    below: int = 0
    seed: int = 0

    @cached_property
    def head(self) -> CutHead:
        image, box = portrait()
        head = cut_head(image, box, self.face_px)
        height, width = (side // 2 * 2 for side in head.opacity.shape[:2])
        return CutHead(head.picture[:height, :width], head.opacity[:height, :width])

    @cached_property
    def _planes(self) -> Array:
        return np.asarray(cv2.cvtColor(self.head.picture, cv2.COLOR_BGR2YUV_I420))

    def at(self, number: int) -> tuple[int, int] | None:
        """The upper left corner of the head in that frame, in even pixels; None while nobody is there."""
        visit, since = divmod(number, VISIT)
        if since >= VISIT - GONE:
            return None
        rng = np.random.default_rng((self.seed, visit))
        height, width = self.head.opacity.shape[:2]
        room = np.array([self.width - width, self.height - self.below - height])
        begin, end = rng.uniform(0, room), rng.uniform(0, room)
        longest = 0.03 * self.face_px * VISIT
        way = (end - begin) * min(1.0, longest / max(1.0, float(np.hypot(*(end - begin)))))
        x, y = begin + way * since / VISIT
        return int(x) // 2 * 2, (self.below + int(y)) // 2 * 2

    def draw(self, stacked: Array, number: int) -> None:
        """Draws the person into planes of yuv420p, one below the other, `(h + h / 2, w)` uint8."""
        place = self.at(number)
        if place is None:
            return
        x, y = place
        high, wide = self.head.opacity.shape[:2]
        opacity = self.head.opacity[..., 0]
        _blend(stacked[y : y + high, x : x + wide], self._planes[:high], opacity)
        small = cv2.resize(opacity, (wide // 2, high // 2), interpolation=cv2.INTER_AREA)
        chroma = stacked[self.height :].reshape(2, self.height // 2, self.width // 2)
        theirs = self._planes[high:].reshape(2, high // 2, wide // 2)
        for plane, head in zip(chroma, theirs, strict=True):
            _blend(plane[y // 2 : (y + high) // 2, x // 2 : (x + wide) // 2], head, small)

    def is_shown(self, luma: Array, number: int) -> bool:
        """Whether a picture of the result, `(h, w)` luma, shows the face that its source had in that frame."""
        place = self.at(number)
        if place is None:
            return False
        high, wide = self.head.opacity.shape[:2]
        # The face lies in the middle of the head: as far from each edge as the head reaches out around it.
        top, left = round(high * (1 - self.face_px / high) / 2), round(wide * 0.24)
        inner = slice(top, high - top), slice(left, wide - left)
        there = luma[place[1] : place[1] + high, place[0] : place[0] + wide]
        return there.shape == (high, wide) and shows(self._planes[:high][inner], there[inner])


def _blend(below: Array, above: Array, opacity: Array) -> None:
    below[:] = np.rint(below * (1 - opacity) + above * opacity)


def encode(path: Path, pictures: Iterator[Array], *, rate: int, options: dict[str, str]) -> None:
    """Writes pictures, planes of yuv420p one below the other, by x264."""
    with av.open(str(path), "w") as container:
        stream: Any = None
        for number, stacked in enumerate(pictures):
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(rate), options=options)
                stream.width, stream.height, stream.pix_fmt = stacked.shape[1], len(stacked) * 2 // 3, "yuv420p"
            frame = av.VideoFrame.from_ndarray(stacked, format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def lumas(path: Path) -> Iterator[Array]:
    """The luma of each frame that a plain decode shows, `(h, w)`."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            yield rows[: frame.height, : frame.width]
