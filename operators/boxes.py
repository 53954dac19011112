"""Geometry of boxes `(n, 4)` x1 y1 x2 y2."""

from __future__ import annotations

import numpy as np

from operators.arrays import Array


def area(boxes: Array) -> Array:
    """`(n,)`, 0 for a box whose sides are out of order.

    >>> area(np.array([[0, 0, 4, 3], [5, 5, 2, 9]])).tolist()
    [12, 0]
    """
    return np.asarray(np.clip(boxes[:, 2:4] - boxes[:, :2], 0, None).prod(axis=1))


def intersection(one: Array, other: Array) -> Array:
    """Areas `(n, m)` that boxes `(n, 4)` share with boxes `(m, 4)`.

    >>> intersection(np.array([[0, 0, 4, 4]]), np.array([[2, 2, 6, 6], [4, 0, 8, 4]])).tolist()
    [[4, 0]]
    """
    upper = np.maximum(one[:, None, :2], other[None, :, :2])
    lower = np.minimum(one[:, None, 2:4], other[None, :, 2:4])
    return np.asarray(np.clip(lower - upper, 0, None).prod(axis=-1))


def iou(one: Array, other: Array) -> Array:
    """Overlap `(n, m)` of boxes `(n, 4)` and `(m, 4)`, 0..1; 0 where a box has no area.

    >>> iou(np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 0, 2, 4], [5, 5, 9, 9]])).tolist()
    [[0.5, 0.0]]
    """
    shared = intersection(one, other)
    union = area(one)[:, None] + area(other)[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
