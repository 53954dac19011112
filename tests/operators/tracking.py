"""Frames and faces for the tests of `operators.track`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from operators.frame import PIXEL_FORMATS, Faces, Frame, Picture
from operators.track import Track

FPS = 25
WIDTH, HEIGHT = 320, 240
Box = tuple[float, float, float, float]


def blank(width: int = WIDTH, height: int = HEIGHT) -> Picture:
    yuv = PIXEL_FORMATS["yuv420p"]
    y, u, v = (np.zeros(shape, np.uint8) for shape in yuv.plane_shapes(width, height))
    return Picture((y, u, v), yuv)


PICTURE = blank()


def face(x: float, y: float = 100, size: float = 40) -> Box:
    """A square box around a centre."""
    return (x - size / 2, y - size / 2, x + size / 2, y + size / 2)


def frame(index: int, boxes: Sequence[Box] | None = (), *, stream: str = "s", scores: object = None) -> Frame:
    """A frame on which a detector saw these boxes, or, with None, at which it did not look."""
    faces = Faces.of(boxes or (), scores)
    return Frame(stream, index, index / FPS, PICTURE, faces, examined=boxes is not None)


def follow(rows: Sequence[Sequence[Box] | None], track: Track | None = None) -> list[Frame]:
    """One frame for each row of boxes, through the tracker and settled with all that came after."""
    track = track or Track()
    tracked = track([frame(index, boxes) for index, boxes in enumerate(rows)])
    return [track.settle(now, tracked[index + 1 :]) for index, now in enumerate(tracked)]


def same(a: Frame, b: Frame) -> bool:
    names = ("boxes", "scores", "tracks", "seen", "kept")
    return all(np.array_equal(getattr(a.faces, name), getattr(b.faces, name)) for name in names)
