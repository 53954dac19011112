"""Irises moved inside of their eyes."""

from __future__ import annotations

import cv2
import numpy as np

from operators.arrays import Rng
from operators.forge.face import Forgery, GenuineFace, Points, lay_over
from operators.forge.regions import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS, Mask

Shift = tuple[float, float]

MOST = (0.25, 0.12)
"""How far irises are moved at most, across and down, in widths of the eye."""
LEAST = 0.08


def shift_irises(face: GenuineFace, right: Shift, left: Shift) -> Forgery:
    """The face with each iris moved by so many widths of its eye, across and down, in the picture's directions.

    The iris keeps its shape; what lies between it and the eyelids is stretched. Lids and skin stay.
    """
    size = len(face.pixels)
    columns, rows = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    mask = np.zeros((size, size), np.float32)
    for eye, iris_points, shift in ((RIGHT_EYE, RIGHT_IRIS, right), (LEFT_EYE, LEFT_IRIS, left)):
        outline, iris_at = face.points[list(eye)], face.points[list(iris_points)]
        width = float(np.ptp(outline[:, 0]))
        dx, dy = shift[0] * width, shift[1] * width
        within = _eye(outline, size)
        hold = _hold(iris_at, (dx, dy), size) * within
        columns, rows = columns - np.float32(dx) * hold, rows - np.float32(dy) * hold
        mask = np.maximum(mask, within)
    moved = cv2.remap(face.pixels, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return lay_over(face, moved, mask)


def iris(face: GenuineFace, _donor: GenuineFace, rng: Rng) -> Forgery:
    """Both irises moved one way: a redirected gaze."""
    shift = _draw(rng)
    return shift_irises(face, shift, shift)


def cross_eyes(face: GenuineFace, _donor: GenuineFace, rng: Rng) -> Forgery:
    """The irises moved against each other, across."""
    x, y = _draw(rng)
    return shift_irises(face, (x, y), (-x, y))


def _draw(rng: Rng) -> Shift:
    x = float(rng.choice((-1, 1)) * rng.uniform(LEAST, MOST[0]))
    return x, float(rng.uniform(-MOST[1], MOST[1]))


def _eye(outline: Points, size: int) -> Mask:
    """`(size, size)` 0..1: the inside of the lids, with an edge that fades inwards over about a pixel."""
    shape = np.zeros((size, size), np.uint8)
    cv2.fillPoly(shape, [np.rint(outline * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return shape.astype(np.float32) / np.float32(255)


def _hold(iris_at: Points, shift: Shift, size: int) -> Mask:
    """How much of the shift each pixel takes part in: all of it over the iris where it comes to lie, none far away."""
    middle = iris_at[0] + shift
    radius = max(1.0, float(np.linalg.norm(iris_at[1:] - iris_at[0], axis=1).mean()))
    y, x = np.mgrid[:size, :size]
    away = np.hypot(x - middle[0], y - middle[1]) / radius
    reach = 1 + 1.5 * float(np.hypot(*shift)) / radius + 0.5
    return np.asarray(np.clip((reach - away) / (reach - 1.1), 0, 1), np.float32)
