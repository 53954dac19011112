"""Phone video often lies on its side until a player turns it. Networks want faces upright: here a coded picture is
turned for them, and what they found is turned back. Only quarter turns; any other rotation leaves the picture as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array


def upright(image: NDArray[np.uint8], rotation: int) -> NDArray[np.uint8]:
    """A `(h, w, ...)` picture turned by `rotation` degrees counter-clockwise, a view or the picture itself.

    >>> upright(np.array([[1, 2], [3, 4]], np.uint8), 90).tolist()
    [[2, 4], [1, 3]]
    """
    return np.rot90(image, _quarters(rotation))


def points_to_coded(points: Array, rotation: int, width: int, height: int) -> Array:
    """Points `(..., 2)` of the upright picture, as x y in the coded one of that width and height.

    >>> points_to_coded(np.array([0, 0]), 90, 640, 480).tolist()
    [640, 0]
    """
    x, y = points[..., 0], points[..., 1]
    turned = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[_quarters(rotation)]
    return np.stack(turned, axis=-1)


def points_to_upright(points: Array, rotation: int, width: int, height: int) -> Array:
    """Points `(..., 2)` of the coded picture of that width and height, as x y in the upright one.

    >>> points_to_upright(np.array([640, 0]), 90, 640, 480).tolist()
    [0, 0]
    """
    x, y = points[..., 0], points[..., 1]
    turned = ((x, y), (y, width - x), (width - x, height - y), (height - y, x))[_quarters(rotation)]
    return np.stack(turned, axis=-1)


def boxes_to_coded(boxes: Array, rotation: int, width: int, height: int) -> Array:
    """Boxes `(n, 4)` xyxy of the upright picture, in the coded one.

    >>> boxes_to_coded(np.array([[0, 0, 10, 20]]), 90, 640, 480).tolist()
    [[620, 0, 640, 10]]
    """
    return _ordered(points_to_coded(boxes.reshape(-1, 2, 2), rotation, width, height))


def boxes_to_upright(boxes: Array, rotation: int, width: int, height: int) -> Array:
    """Boxes `(n, 4)` xyxy of the coded picture, in the upright one.

    >>> boxes_to_upright(np.array([[620, 0, 640, 10]]), 90, 640, 480).tolist()
    [[0, 0, 10, 20]]
    """
    return _ordered(points_to_upright(boxes.reshape(-1, 2, 2), rotation, width, height))


def _quarters(rotation: int) -> int:
    return rotation // 90 % 4 if rotation % 90 == 0 else 0


def _ordered(corners: Array) -> Array:
    return np.concatenate([corners.min(1), corners.max(1)], axis=1)
