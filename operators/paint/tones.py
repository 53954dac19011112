"""The tone of blur and mosaic: skin as it is anywhere, in the light and the colours of what can be seen beside covers.

No sample that a cover touches, with its soft edge, has a part in it. So nothing that is painted over a face depends
on the face: pictures of one track, however many, tell no more of it than what they show around their covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from operators.arrays import Array
from operators.frame import PIXEL_FORMATS, Picture
from operators.paint.colours import to_planes
from operators.paint.geometry import Rect

STRIDE = 16
"""Of every so many lines and columns one tells what a picture looks like."""
SKIN = (76, 98, 147)
"""Blue, green, red: as bright as the mean of the faces in FairFace, whose people come from all over the world, and of
its hue but for a little more yellow, as video shows it."""
USUAL_LIGHT, LIGHT_POWER = 0.28, 0.4
"""How bright a picture is, 0..1, in which skin looks like that. Skin follows the light less than in proportion: cameras
are adjusted to faces."""
DARKEST, BRIGHTEST = 0.1, 1.5
"""Within these factors."""
USUAL_SPREAD, SPREAD_POWER = 18.0, 0.6
"""How far chroma spreads, in units of 8 bits, in pictures in which skin has all its colour: it pales in infrared, in
old films and where cameras are set to pale colours."""
NEUTRAL, DARK = 24, 16
"""Samples whose chroma is nearer to grey than this, and that are brighter than black by this, tell a picture's cast."""
CAST, DOUBT = 0.8, 0.15
"""Skin takes on this much of the cast, less where few samples tell it: this fraction of all samples has none."""


class Sums(NamedTuple):
    """Over samples beside the covers, in their own units; chroma as distances from grey, U and V.

    Attributes:
        samples: how many there are.
        luma: sum of it.
        chroma: sums of both.
        squares: sum of the squares of both.
        neutral: how many tell the cast.
        cast: sums of the chroma of those.
    """

    samples: int = 0
    luma: int = 0
    chroma: tuple[int, int] = (0, 0)
    squares: int = 0
    neutral: int = 0
    cast: tuple[int, int] = (0, 0)


class Tone(NamedTuple):
    """Y, U, V of black skin under that cast, and how far skin lies from it; both in samples of the planes."""

    origin: tuple[float, float, float]
    reach: tuple[float, float, float]


def sums_of(picture: Picture, hidden: Sequence[Rect]) -> Sums:
    """What a picture shows beside its covers, which are not painted yet and touch these pixels.

    >>> from operators.stills import picture_of
    >>> white = picture_of(np.full((64, 32, 3), 255, np.uint8))
    >>> sums_of(white, [Rect(0, 0, 32, 32)])
    Sums(samples=4, luma=940, chroma=(0, 0), squares=0, neutral=4, cast=(0, 0))
    """
    fmt = picture.format
    unit, low, _ = luma_range(picture)
    seen = np.ones((-(-picture.height // STRIDE), -(-picture.width // STRIDE)), np.bool_)
    for rect in hidden:
        x1, y1, x2, y2 = (-(-side // STRIDE) for side in rect)
        seen[y1:y2, x1:x2] = False
    down, across = STRIDE // fmt.subsample_y, STRIDE // fmt.subsample_x
    y = picture.planes[0][::STRIDE, ::STRIDE][seen].astype(np.int64)
    u, v = (plane[::down, ::across][seen].astype(np.int64) - 128 * unit for plane in picture.planes[1:])
    neutral = (np.abs(u) + np.abs(v) < NEUTRAL * unit) & (y > (low + DARK) * unit)
    return Sums(
        len(y),
        int(y.sum()),
        (int(u.sum()), int(v.sum())),
        int((u * u + v * v).sum()),
        int(neutral.sum()),
        (int(u[neutral].sum()), int(v[neutral].sum())),
    )


def luma_range(picture: Picture) -> tuple[int, int, int]:
    """Steps per unit of 8 bits, black and the way to white in these units.

    >>> from operators.stills import picture_of
    >>> luma_range(picture_of(np.zeros((2, 2, 3), np.uint8)))
    (1, 16, 219)
    """
    low, span = (0, 255) if picture.full_range else (16, 219)
    return 1 << (picture.format.bits - 8), low, span


def tone_of(picture: Picture, sums: Sums) -> Tone:
    """Skin in a picture that shows this beside its covers.

    >>> from operators.stills import picture_of
    >>> tone = tone_of(picture_of(np.zeros((2, 2, 3), np.uint8)), Sums())
    >>> [round(a + b) for a, b in zip(*tone)]
    [111, 111, 151]
    """
    tone = skin_of(picture)
    if not sums.samples:
        return tone
    unit, low, span = luma_range(picture)
    light = max((sums.luma / sums.samples / unit - low) / span, 0)
    bright = min(max((light / USUAL_LIGHT) ** LIGHT_POWER, DARKEST), BRIGHTEST)
    variance = sums.squares / sums.samples - sum((each / sums.samples) ** 2 for each in sums.chroma)
    spread = max(variance, 0) ** 0.5 / unit
    coloured = min(bright, 1) * min((spread / USUAL_SPREAD) ** SPREAD_POWER, 1)
    part = CAST / (sums.neutral + DOUBT * sums.samples)
    y, u, v = tone.origin
    return Tone(
        (y, u + part * sums.cast[0], v + part * sums.cast[1]),
        (tone.reach[0] * bright, tone.reach[1] * coloured, tone.reach[2] * coloured),
    )


def skin_of(picture: Picture) -> Tone:
    """The tone in usual light and usual colours."""
    return _skin(picture.format.name, picture.matrix, picture.full_range, picture.height)


@lru_cache(maxsize=64)
def _skin(name: str, matrix: int, full_range: bool, height: int) -> Tone:
    blank: Array = np.zeros((height, 1), np.uint8)
    picture = Picture((blank, blank, blank), PIXEL_FORMATS[name], full_range, matrix)
    unit, low, _ = luma_range(picture)
    origin = float(low * unit), 128.0 * unit, 128.0 * unit
    y, u, v = (float(plane.item()) for plane in to_planes(np.array([[SKIN]], np.float32), picture))
    return Tone(origin, (y - origin[0], u - origin[1], v - origin[2]))
