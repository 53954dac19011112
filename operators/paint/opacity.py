"""How much of a cover each sample of a plane gets. A soft edge lies outside of the cover's shape."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.frame import Cover, Picture, Shape
from operators.paint.geometry import Box, Rect, shape_of

OPAQUE = 255
REPEATED_PX = 160 * 160
"""How covers up to this size fade out is remembered: those of small faces cost more to begin than to paint."""


def weights_of(picture: Picture, box: Box, cover: Cover, outer: Rect, step: tuple[int, int]) -> tuple[Array, Array]:
    """How much each sample of a plane within `outer` gets of the cover, and keeps of itself: OPAQUE together.

    >>> from operators.stills import picture_of
    >>> picture, cover = picture_of(np.zeros((2, 4, 3), np.uint8)), Cover((0, 0, 2, 2), shape="box")
    >>> weights_of(picture, cover.box, cover, Rect(0, 0, 4, 2), (1, 1))[0].tolist()
    [[255, 255, 0, 0], [255, 255, 0, 0]]
    """
    x1, y1, x2, y2 = box
    within = x1 - outer.x1, y1 - outer.y1, x2 - outer.x1, y2 - outer.y1
    size = outer.x2 - outer.x1, outer.y2 - outer.y1
    make = _opacity_again if size[0] * size[1] <= REPEATED_PX else _opacity
    dtype: Any = picture.format.dtype
    opaque, rest = make(within, size, step, cover.shape, cover.feather)
    return opaque.astype(dtype, copy=False), rest.astype(dtype, copy=False)


def _opacity(
    box: Box, size: tuple[int, int], step: tuple[int, int], shape: Shape, feather: float
) -> tuple[Array, Array]:
    """As `weights_of`, of a picture `size` pixels wide and high: OPAQUE under the shape, falling to 0 at the feather.

    What counts is the point of a sample nearest to the cover's centre.
    """
    (rows, columns), (x1, y1, x2, y2) = shape_of(Rect(0, 0, *size), step), box
    x = _distances(columns, step[0], (x1 + x2) / 2) * (2 / (x2 - x1))
    y = _distances(rows, step[1], (y1 + y2) / 2) * (2 / (y2 - y1))
    reach = 1 + 2 * feather
    if shape == "box":
        level = np.outer(OPAQUE * _ramp(y, reach), _ramp(x, reach))
    elif feather:
        slope = OPAQUE / (reach * reach - 1)
        falling, across = (reach * reach - y * y) * slope, x * x * slope
        level = np.subtract.outer(falling.astype(np.float32), across.astype(np.float32))
    else:
        level = np.where(np.add.outer(y * y, x * x) < 1, np.float32(OPAQUE), np.float32(0))
    # The fastest way to round and to cut off at both ends; `convertScaleAbs` would mirror what is negative.
    cv2.threshold(level, 0, 0, cv2.THRESH_TOZERO, dst=level)
    opaque = np.asarray(cv2.convertScaleAbs(level))
    return opaque, OPAQUE - opaque


_opacity_again = lru_cache(maxsize=256)(_opacity)


def _ramp(distance: Array, reach: float) -> NDArray[np.float32]:
    """1 below 1, 0 from `reach` on, straight in between."""
    if reach == 1:
        return (distance < 1).astype(np.float32)
    return np.asarray(np.clip((reach - distance) / (reach - 1), 0, 1), np.float32)


def _distances(count: int, step: int, centre: float) -> Array:
    """From `centre` to the nearest point of each of `count` samples, `step` pixels wide, the first at 0."""
    middles = np.arange(count) * step + (step / 2 - centre)
    return np.asarray(np.maximum(np.abs(middles) - step / 2, 0))
