"""How much of faces lies under covers, and which covers lie on no face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.frame import Cover

NEAR = 0.5
"""A cover is false where it lies further from every face than this part of the face's size."""
GRID = 12
"""Points across a face at which it is looked at: none lies on its middle."""


def inside(points: Array, covers: Sequence[Cover]) -> NDArray[np.bool_]:
    """Which of the points `(..., 2)` lie under the shapes of covers.

    >>> inside(np.array([[1.0, 1.0], [5.0, 5.0]]), [Cover((0, 0, 10, 10))]).tolist()
    [False, True]
    """
    under = np.zeros(points.shape[:-1], np.bool_)
    for cover in covers:
        corners = np.array(cover.box).reshape(2, 2)
        offset = np.abs(points - corners.mean(axis=0)) / np.maximum((corners[1] - corners[0]) / 2, 1e-9)
        under |= (offset**2).sum(axis=-1) <= 1 if cover.shape == "ellipse" else offset.max(axis=-1) <= 1
    return under


def hidden(faces: Array, covers: Sequence[Cover]) -> Array:
    """For each face `(n, 4)` how much of the ellipse in its box lies under covers: `(n,)` in 0..1.

    >>> hidden(np.array([[0.0, 0, 10, 10]]), [Cover((-5, -5, 5, 15), shape="box")]).round(1).tolist()
    [0.5]
    """
    grid = np.stack(np.meshgrid(*[np.linspace(-0.95, 0.95, GRID)] * 2), axis=-1).reshape(-1, 2)
    disc = grid[(grid**2).sum(axis=1) <= 1]
    centers, halves = (faces[:, :2] + faces[:, 2:]) / 2, (faces[:, 2:] - faces[:, :2]) / 2
    return np.asarray(inside(centers[:, None] + disc[None] * halves[:, None], covers).mean(axis=1))


def grown(boxes: Array, by: float = NEAR) -> Array:
    """Boxes `(n, 4)` whose sides lie this part of a box's size further out.

    >>> grown(np.array([[10.0, 10, 20, 30]]), 0.5).tolist()
    [[5.0, 0.0, 25.0, 40.0]]
    """
    out = (boxes[:, 2:4] - boxes[:, :2]) * by
    return np.hstack([boxes[:, :2] - out, boxes[:, 2:4] + out])


def on_no_face(places: Array, covers: Array) -> NDArray[np.bool_]:
    """Which of the covers' boxes `(m, 4)` have their centres near none of the faces `(n, 4)`.

    >>> on_no_face(np.array([[0.0, 0, 10, 10]]), np.array([[10.0, 0, 18, 10], [10, 0, 22, 10]])).tolist()
    [False, True]
    """
    centers = (covers[:, :2] + covers[:, 2:]) / 2
    near = grown(places)
    within: NDArray[np.bool_] = (centers[:, None] >= near[None, :, :2]) & (centers[:, None] <= near[None, :, 2:])
    return np.asarray(~np.any(np.all(within, axis=-1), axis=1))


def false_area(places: Array, covers: Sequence[Cover], width: int, height: int) -> float:
    """The part of the picture that is under covers and not near a face `(n, 4)`."""
    across, down = np.meshgrid((np.arange(128) + 0.5) / 128 * width, (np.arange(72) + 0.5) / 72 * height)
    points = np.stack([across, down], axis=-1)
    near = [Cover(tuple(each), shape="box") for each in grown(places).tolist()]
    return float((inside(points, covers) & ~inside(points, near)).mean())


def boxes_of(covers: Sequence[Cover]) -> Array:
    """Boxes of covers, `(m, 4)`.

    >>> boxes_of([]).shape
    (0, 4)
    """
    return np.array([cover.box for cover in covers], float).reshape(-1, 4)
