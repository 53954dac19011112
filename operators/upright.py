"""Networks want faces as people see them: here a coded picture is brought to how it is shown, and what was found in it
is brought back. Turned by quarters only; between them, the nearest.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.frame import Frame
from operators.shown import Shown


def upright(image: NDArray[np.uint8], shown: Shown) -> NDArray[np.uint8]:
    """A `(h, w, ...)` picture turned and mirrored as it is shown, a view or the picture itself; not stretched.

    >>> upright(np.array([[1, 2], [3, 4]], np.uint8), Shown.turned(90)).tolist()
    [[2, 4], [1, 3]]
    """
    turned = np.rot90(image, shown.turns)
    return turned[:, ::-1] if shown.mirrored else turned


def upright_bgr(frame: Frame) -> NDArray[np.uint8]:
    """The frame's picture as it is shown, `(h, w, 3)` uint8 BGR in square samples. Do not write into it.

    >>> from operators.stills import frame_of
    >>> upright_bgr(frame_of(np.zeros((48, 64, 3), np.uint8), shown=Shown.turned(90, sample_aspect=2))).shape
    (128, 48, 3)
    """
    coded = frame.picture.width, frame.picture.height
    square, image = frame.shown.square_size(*coded), frame.bgr
    if square != coded:
        image = np.asarray(cv2.resize(image, square, interpolation=cv2.INTER_LINEAR), np.uint8)
    return upright(image, frame.shown)


def points_to_coded(points: Array, shown: Shown, width: int, height: int) -> Array:
    """Points `(..., 2)` of the picture as it is shown, as x y in the coded one of that width and height.

    >>> points_to_coded(np.array([0, 0]), Shown.turned(90), 640, 480).tolist()
    [640.0, 0.0]
    """
    across, down = shown.square_size(width, height)
    x, y = points[..., 0], points[..., 1]
    if shown.mirrored:
        x = shown.size(width, height)[0] - x
    square = ((x, y), (across - y, x), (across - x, down - y), (y, down - x))[shown.turns]
    return np.stack([square[0] * (width / across), square[1] * (height / down)], axis=-1)


def points_to_upright(points: Array, shown: Shown, width: int, height: int) -> Array:
    """Points `(..., 2)` of the coded picture of that width and height, as x y in the one that is shown.

    >>> points_to_upright(np.array([640, 0]), Shown.turned(90), 640, 480).tolist()
    [0.0, 0.0]
    """
    across, down = shown.square_size(width, height)
    x, y = points[..., 0] * (across / width), points[..., 1] * (down / height)
    turned = ((x, y), (y, across - x), (across - x, down - y), (down - y, x))[shown.turns]
    if shown.mirrored:
        turned = shown.size(width, height)[0] - turned[0], turned[1]
    return np.stack(turned, axis=-1)


def boxes_to_coded(boxes: Array, shown: Shown, width: int, height: int) -> Array:
    """Boxes `(n, 4)` xyxy of the picture as it is shown, in the coded one.

    >>> boxes_to_coded(np.array([[0, 0, 10, 20]]), Shown.turned(90), 640, 480).tolist()
    [[620.0, 0.0, 640.0, 10.0]]
    """
    return _ordered(points_to_coded(boxes.reshape(-1, 2, 2), shown, width, height))


def boxes_to_upright(boxes: Array, shown: Shown, width: int, height: int) -> Array:
    """Boxes `(n, 4)` xyxy of the coded picture, in the one that is shown.

    >>> boxes_to_upright(np.array([[620, 0, 640, 10]]), Shown.turned(90), 640, 480).tolist()
    [[0.0, 0.0, 10.0, 20.0]]
    """
    return _ordered(points_to_upright(boxes.reshape(-1, 2, 2), shown, width, height))


def crop_view(frame: Frame, points: Array) -> tuple[NDArray[np.uint8], Array]:
    """A picture to cut levelled squares from, `(h, w, 3)` uint8 BGR, and points `(n, k, 2 or 3)` of the coded one in
    it.

    That is the coded picture itself where its samples are square and nothing is mirrored: who levels squares turns them
    too. Else it is the picture as it is shown.
    """
    coded = frame.picture.width, frame.picture.height
    if not frame.shown.mirrored and frame.shown.square_size(*coded) == coded:
        return frame.bgr, points
    moved = points.copy()
    moved[..., :2] = points_to_upright(points[..., :2], frame.shown, *coded)
    return np.ascontiguousarray(upright_bgr(frame)), moved


def _ordered(corners: Array) -> Array:
    return np.concatenate([corners.min(1), corners.max(1)], axis=1)
