"""Colours in the matrix, range and depth of a picture's planes."""

from __future__ import annotations

import numpy as np

from operators.arrays import Array
from operators.frame import Cover, Picture

HD_LINES = 720
"""From here on, players take an unspecified matrix for BT.709."""
LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Weights of red and blue in luma, by ISO/IEC 23091-2 matrix coefficients; others are read as BT.601."""


def colour_of(picture: Picture, cover: Cover) -> Array:
    """A solid cover's colour in the picture's planes, `(3,)`, rounded.

    >>> from operators.stills import picture_of
    >>> colour_of(picture_of(np.zeros((2, 2, 3), np.uint8)), Cover((0, 0, 2, 2), color=(255, 255, 255))).tolist()
    [235.0, 128.0, 128.0]
    """
    return np.asarray(np.rint(np.ravel(to_planes(np.array([[cover.color]], np.float32), picture))))


def to_planes(bgr: Array, picture: Picture) -> tuple[Array, Array, Array]:
    """Y, U, V of `(h, w, 3)` float32 BGR 0..255, in the matrix, range and depth of the picture, not rounded.

    >>> from operators.stills import picture_of
    >>> [plane.item() for plane in to_planes(np.zeros((1, 1, 3)), picture_of(np.zeros((2, 2, 3), np.uint8)))]
    [16.0, 128.0, 128.0]
    """
    matrix = picture.matrix
    if matrix == 2:
        matrix = 1 if picture.height >= HD_LINES else 6
    red, blue = LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS[6])
    b, g, r = (bgr[..., i] / 255 for i in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    unit = 1 << (picture.format.bits - 8)
    if picture.full_range:
        top = 256 * unit - 1
        return y * top, np.clip(u * top + 128 * unit, 0, top), np.clip(v * top + 128 * unit, 0, top)
    return (y * 219 + 16) * unit, (u * 224 + 128) * unit, (v * 224 + 128) * unit
