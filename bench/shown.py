"""Whether a result still shows a face that its source had, by pixels alone: of no detector, and of no cover."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from operators.arrays import Array

NEAR = 5.0
"""Pixels that differ by less than this on average, in levels of luma, are the same."""
ALIKE = 0.6
"""Details that correlate by more than this are those of the face."""
FINE = 1 / 14
"""Details are what is finer than this part of the face's height: a cover leaves nothing of it."""
PLAIN = 1.5
"""Where the details of the source vary by less than this, in levels, they say nothing."""
FLAT = 0.25
"""Nor where those of the result do."""


def shows(before: Array, after: Array) -> bool:
    """Whether at least half of a face is still to be seen.

    Args:
        before: `(h, w)` luma of the face in the source.
        after: `(h, w)` luma of the same place in the result.

    >>> face = np.random.default_rng(0).integers(0, 255, (40, 30)).astype(np.uint8)
    >>> shows(face, face), shows(face, np.full_like(face, 128)), shows(face, face // 2)
    (True, False, True)
    """
    one, other = before.astype(np.float32), after.astype(np.float32)
    fine_one, fine_other = _details(one), _details(other)
    for half in _halves(*before.shape):
        if np.abs(one[half] - other[half]).mean() < NEAR:
            return True
        a, b = fine_one[half], fine_other[half]
        if a.std() > PLAIN and b.std() > FLAT and float((a * b).mean() / (a.std() * b.std())) > ALIKE:
            return True
    return False


def _details(luma: Array) -> Array:
    """What a blur takes away, with a mean of 0."""
    fine = luma - cv2.GaussianBlur(luma, (0, 0), max(0.8, FINE * len(luma)))
    return np.asarray(fine - fine.mean())


def _halves(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """The upper, lower, left and right half, without the edges, which lie at the border of a cover."""
    y1, x1, y2, x2 = height // 8, width // 8, height - height // 8, width - width // 8
    middle_y, middle_x = height // 2, width // 2
    yield slice(y1, middle_y), slice(x1, x2)
    yield slice(middle_y, y2), slice(x1, x2)
    yield slice(y1, y2), slice(x1, middle_x)
    yield slice(y1, y2), slice(middle_x, x2)
