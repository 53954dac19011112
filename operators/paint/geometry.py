"""Where covers lie in a picture. All is rounded outwards: a sample, of luma or chroma, that a cover's shape touches
belongs to the cover.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

from operators.frame import Cover, Picture

MIN_CELL_PX = 4
"""Small covers get fewer cells rather than smaller ones."""
Box: TypeAlias = tuple[float, float, float, float]


class Rect(NamedTuple):
    """Pixels x1 <= x < x2, y1 <= y < y2 of the luma plane."""

    x1: int
    y1: int
    x2: int
    y2: int


class CoverRegion(NamedTuple):
    """Where a cover lies: its box, and the pixels of the picture in it without and with the soft edge."""

    box: Box
    inner: Rect
    outer: Rect


def region_of(picture: Picture, cover: Cover) -> CoverRegion | None:
    """Where a cover lies, None if that is outside of the picture.

    >>> import numpy as np
    >>> from operators.stills import picture_of
    >>> region_of(picture_of(np.zeros((90, 160, 3), np.uint8)), Cover((11, 10, 31, 30))).inner
    Rect(x1=10, y1=10, x2=32, y2=30)
    """
    box = x1, y1, x2, y2 = _at_least_a_pixel(cover.box)
    inner = _visible(picture, box)
    if inner is None:
        return None
    soft_x, soft_y = cover.feather * (x2 - x1), cover.feather * (y2 - y1)
    outer = _visible(picture, (x1 - soft_x, y1 - soft_y, x2 + soft_x, y2 + soft_y))
    assert outer is not None  # noqa: S101 - it contains `inner`
    return CoverRegion(box, inner, outer)


def grid_of(box: Box, cover: Cover, inner: Rect) -> tuple[int, int]:
    """How many cells across and down `inner`: as many as the box has, less where it reaches out of the picture.

    >>> grid_of((0, 0, 40, 40), Cover((0, 0, 40, 40), cells=4), Rect(0, 0, 20, 40))
    (2, 4)
    """
    x1, y1, x2, y2 = box
    sides = ((inner.x2 - inner.x1, x2 - x1), (inner.y2 - inner.y1, y2 - y1))
    across, down = (int(min(cover.cells * seen / max(side, seen), seen / MIN_CELL_PX)) for seen, side in sides)
    return max(across, 1), max(down, 1)


def _at_least_a_pixel(box: Box) -> Box:
    x1, y1, x2, y2 = box
    more_x, more_y = max(1 - (x2 - x1), 0) / 2, max(1 - (y2 - y1), 0) / 2
    return x1 - more_x, y1 - more_y, x2 + more_x, y2 + more_y


def _visible(picture: Picture, box: Box) -> Rect | None:
    """The pixels that a box touches, whole chroma samples only; None where it lies outside of the picture."""
    fmt, (x1, y1, x2, y2) = picture.format, box
    sx, sy = fmt.subsample_x, fmt.subsample_y
    x1, x2 = max(x1, 0), min(x2, picture.width)
    y1, y2 = max(y1, 0), min(y2, picture.height)
    if x1 >= x2 or y1 >= y2:
        return None
    return Rect(
        math.floor(x1 / sx) * sx,
        math.floor(y1 / sy) * sy,
        min(math.ceil(x2 / sx) * sx, picture.width),
        min(math.ceil(y2 / sy) * sy, picture.height),
    )


def touched(box: Box) -> Rect:
    """The pixels that a box touches, those beyond the right and lower edge of the picture too.

    >>> touched((-3.5, 0.2, 7.1, 8))
    Rect(x1=0, y1=0, x2=8, y2=8)
    """
    x1, y1, x2, y2 = (max(side, 0) for side in box)
    return Rect(math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2))


def window(rect: Rect, step: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a plane whose samples are `step` pixels wide and high.

    >>> window(Rect(2, 4, 7, 8), (2, 2))
    (slice(2, 4, None), slice(1, 4, None))
    """
    return slice(rect.y1 // step[1], -(-rect.y2 // step[1])), slice(rect.x1 // step[0], -(-rect.x2 // step[0]))


def shape_of(rect: Rect, step: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of that window.

    >>> shape_of(Rect(2, 4, 7, 8), (2, 2))
    (2, 3)
    """
    rows, columns = window(rect, step)
    return rows.stop - rows.start, columns.stop - columns.start


def steps_of(picture: Picture) -> tuple[tuple[int, int], ...]:
    chroma = picture.format.subsample_x, picture.format.subsample_y
    return (1, 1), chroma, chroma
