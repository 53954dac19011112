"""What detectors share: how a picture is brought to the size a network sees, and what it found back to the picture."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.frame import Faces, Frame, to_bgr_of_size
from operators.upright import boxes_to_coded, points_to_coded, upright

WIDE = 2.4


def upright_size(frame: Frame) -> tuple[int, int]:
    """Width and height of the picture as it is shown, in square samples.

    >>> from operators.shown import Shown
    >>> from operators.stills import frame_of
    >>> upright_size(frame_of(np.zeros((480, 640, 3), np.uint8), shown=Shown.turned(90)))
    (480, 640)
    """
    return frame.shown.size(frame.picture.width, frame.picture.height)


def extent(width: float, height: float) -> float:
    """The longer side of a picture, or of one of 2.4 : 1 with as many pixels if that is less: a panorama or a strip is
    not seen smaller for its shape.

    >>> extent(1280, 720), extent(640, 480), round(extent(60000, 300))
    (1280.0, 640.0, 6573)
    """
    return min(float(max(width, height)), math.sqrt(width * height * WIDE))


def on_grid(width: float, height: float, stride: int) -> tuple[int, int]:
    """A size stretched up to multiples of the stride, at least one of it.

    >>> on_grid(100, 60, 32)
    (128, 64)
    """
    across, down = (max(1, -(-round(side) // stride)) * stride for side in (width, height))
    return across, down


def seen_upright(frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture as it is shown, as BGR of that width and height, both even."""
    lying = size[::-1] if frame.shown.turns % 2 else size
    return upright(to_bgr_of_size(frame.picture, lying), frame.shown)


def to_faces(frame: Frame, seen: tuple[int, int], boxes: Array, scores: Array, landmarks: Array) -> Faces:
    """The faces of a frame whose upright picture a network saw at size `seen`.

    Args:
        frame: the frame; its own faces are left out.
        seen: width and height of what the network saw.
        boxes: `(n, 4)` x1 y1 x2 y2 in the network's pixels; they may reach out of the picture.
        scores: `(n,)`.
        landmarks: `(n, 5, 2)` in the network's pixels.

    >>> from operators.stills import frame_of
    >>> frame, landmarks = frame_of(np.zeros((480, 640, 3), np.uint8)), np.zeros((1, 5, 2))
    >>> to_faces(frame, (320, 240), np.array([[10, 10, 30, 40]]), np.array([0.9]), landmarks).boxes.tolist()
    [[20.0, 20.0, 60.0, 80.0]]
    """
    width, height = upright_size(frame)
    to_picture = np.array([width / seen[0], height / seen[1]], np.float32)
    boxes = np.clip(boxes * np.tile(to_picture, 2), 0, (width, height, width, height))
    coded = frame.shown, frame.picture.width, frame.picture.height
    points = points_to_coded(landmarks * to_picture, *coded)
    return Faces.of(boxes_to_coded(boxes, *coded), scores, landmarks=points)


def square_around(frame: Frame, box: Array, *, sizes: float, least_px: float) -> tuple[Array, Frame]:
    """A part of the picture, square as it is shown, around a box `(4,)` of the coded picture.

    Args:
        sizes: how many longer sides of the box it is wide, as far as the picture reaches.
        least_px: and at least so many pixels, of square samples.

    Returns:
        Where its upper left corner lies in the coded picture, `(2,)` float32, and the part as a frame.

    >>> from operators.shown import Shown
    >>> from operators.stills import frame_of
    >>> frame = frame_of(np.zeros((640, 288, 3), np.uint8), shown=Shown.turned(0, sample_aspect=4))
    >>> corner, part = square_around(frame, np.array([100, 300, 125, 400]), sizes=2, least_px=32)
    >>> corner.tolist(), (part.picture.width, part.picture.height), upright_size(part)
    ([86.0, 250.0], (50, 200), (200, 200))
    """
    coded = np.array([frame.picture.width, frame.picture.height])
    square = np.array(frame.shown.square_size(*coded.tolist()))
    side = min(max(sizes * float(((box[2:] - box[:2]) * square / coded).max()), least_px), *square.tolist())
    sides = np.maximum(np.rint(round(side) * coded / square), 1)
    x, y = (np.clip((box[:2] + box[2:] - sides) / 2, 0, coded - sides).astype(int) // 2 * 2).tolist()
    across, down = sides.astype(int).tolist()
    part = replace(frame, picture=frame.picture.part(x, y, x + across, y + down))
    return np.array([x, y], np.float32), part


def suppress(boxes: Array, scores: Array, iou: float) -> NDArray[np.int64]:
    """Rows of the boxes `(n, 4)` x1 y1 x2 y2 to keep, best first: of two that overlap by more, the lesser goes.

    >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]])
    >>> suppress(boxes, np.array([0.8, 0.9, 0.7]), iou=0.5).tolist()
    [1, 2]
    """
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return np.asarray(cv2.dnn.NMSBoxes(sides.tolist(), scores.tolist(), 0.0, iou), np.int64).reshape(-1)


def left_first(landmarks: Array) -> Array:
    """Orders each pair of eyes and mouth corners `(n, 5, 2)` from left to right.

    >>> left_first(np.array([[[30, 10], [10, 10], [20, 20], [25, 30], [15, 30]]]))[0, :, 0].tolist()
    [10, 30, 20, 15, 25]
    """
    ordered = landmarks.copy()
    for left in (0, 3):
        pair = ordered[:, left : left + 2]
        swapped = pair[:, 0, 0] > pair[:, 1, 0]
        pair[swapped] = pair[swapped, ::-1]
    return ordered
