"""How many people are found by what no cover of a face hides: hair, clothes and background around it.

A square twice as high as the face with the cover's ellipse cut out; LFW often has two pictures of one occasion.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import cv2
import numpy as np

from bench.leak_attackers import principal
from bench.leak_figures import alike
from bench.leak_tracks import PersonPicture
from operators.arrays import Array
from operators.deidentify.cover import CoverFaces

SIDE, SIDE_PX = 2.0, 32
"""Of the square, in heights of the face and in pixels."""


def around(people: Sequence[Sequence[PersonPicture]], learn: Sequence[Sequence[PersonPicture]]) -> Array:
    """Scores `(n, n)` of single pictures, by principal components of other people's."""
    found, known = (_pixels(each) for each in (people, learn))
    _, parts = principal(known, found)
    return alike(parts[::2], parts[1::2], "cosine")


def _pixels(people: Sequence[Sequence[PersonPicture]]) -> Array:
    scale = inspect.signature(CoverFaces).parameters["scale"].default
    pixels = []
    for picture in (picture for pictures in people for picture in pictures):
        image = picture.image.copy()
        (x1, y1, x2, y2), grow = picture.box, 2 * scale - 1
        axes = round((x2 - x1) / 2 * grow), round((y2 - y1) / 2 * grow)
        cv2.ellipse(image, (round((x1 + x2) / 2), round((y1 + y2) / 2)), axes, 0, 0, 360, (0, 0, 0), -1)
        left, top, right, _ = picture.square(SIDE)
        to_view = np.array([[1, 0, -left], [0, 1, -top]]) * SIDE_PX / (right - left)
        view = cv2.warpAffine(cv2.GaussianBlur(image, (0, 0), 2), to_view, (SIDE_PX, SIDE_PX))
        pixels.append(cv2.cvtColor(view, cv2.COLOR_BGR2YCrCb).reshape(-1))
    return np.array(pixels, np.float32)
