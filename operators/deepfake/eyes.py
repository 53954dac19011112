"""Where the eyes look, from the landmarker's mesh: angles of each iris in its eye, and how well both agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.crops import LEFT_EYE, RIGHT_EYE

RIGHT_IRIS, LEFT_IRIS = 468, 473
"""Middles of the irises; right and left are the person's, as in the mesh."""
RADIUS = 0.45
"""Of the eyeball, in widths of the eye: 0.9 of half its width."""
MOST = 0.95
"""Of the sine of an angle: an iris further out than its eyeball reaches is a slip of the mesh."""


def offsets(points: NDArray[Any]) -> NDArray[np.float64]:
    """Right and left iris against the middle of their eye, `(n, 2, 2)`: across and down, in widths of the eye.

    Across is along the line between the eye's corners, so the head may be tilted.

    Args:
        points: `(n, 478, 2 or 3)`, in pixels of whatever picture.

    >>> mesh = np.zeros((1, 478, 2))
    >>> mesh[0, [RIGHT_EYE[1], LEFT_EYE[1], RIGHT_IRIS, LEFT_IRIS]] = [[10, 0], [10, 0], [7, 0], [5, 0]]
    >>> offsets(mesh).tolist()
    [[[0.2, 0.0], [0.0, 0.0]]]
    """
    xy = np.asarray(points, np.float64)[..., :2]
    found = []
    for corners, iris in ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS)):
        first, second = xy[:, corners[0]], xy[:, corners[1]]
        along = second - first
        width = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
        across = along / width
        down = np.stack([-across[:, 1], across[:, 0]], axis=1)
        away = (xy[:, iris] - (first + second) / 2) / width
        found.append(np.stack([(away * across).sum(1), (away * down).sum(1)], axis=1))
    return np.stack(found, axis=1)


def angles(offset: NDArray[Any]) -> NDArray[np.float64]:
    """Pitch and yaw in degrees `(..., 2)` of offsets `(..., 2)` across and down: against the head, not the camera.

    >>> angles(np.array([RADIUS / 2, 0])).round(3).tolist()
    [0.0, 30.0]
    """
    return np.degrees(np.arcsin(np.clip(np.asarray(offset)[..., ::-1] / RADIUS, -MOST, MOST)))


def vergence(gaze: NDArray[Any]) -> NDArray[np.float64]:
    """Degrees `(n,)` by which the eyes turn towards each other, of angles `(n, 2, 2)`; below 0 they diverge.

    The right eye is on the left of the picture: eyes that converge look right there and left here.

    >>> vergence(np.array([[[0, 5], [0, -5]]])).tolist()
    [10.0]
    """
    return np.asarray(gaze[:, 0, 1] - gaze[:, 1, 1], np.float64)


def agreement(gaze: NDArray[Any]) -> float:
    """How alike both eyes move over the frames of a track, -1..1: the correlation of their steps in angles `(n, 2, 2)`.

    NaN with fewer than four frames, or eyes that do not move.

    >>> eye = np.array([[0, 0], [1, 3], [0, 5], [2, 1]])
    >>> round(agreement(np.stack([eye, eye], 1)), 3), round(agreement(np.stack([eye, -eye], 1)), 3)
    (1.0, -1.0)
    """
    steps = np.diff(np.asarray(gaze, np.float64), axis=0)
    right, left = steps[:, 0].ravel(), steps[:, 1].ravel()
    if len(steps) < 3 or not right.std() or not left.std():
        return float("nan")
    return float(np.corrcoef(right, left)[0, 1])
