"""Parts of a face as soft masks, from MediaPipe's mesh: the whole face, its eyes, its mouth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Rng
from operators.forge.face import Points

Mask = NDArray[np.float32]

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 48, 278, 129, 358)
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)
"""The middle first, then four points around it. Right and left are the person's."""


def face_mask(points: Points, size: int, rng: Rng) -> Mask:
    """The face with a soft edge, drawn as forgers draw it: the oval, without the forehead, or the features alone."""
    hulls = (
        OVAL,
        (*OVAL[6:-6], *RIGHT_BROW, *LEFT_BROW),
        (*LIPS, *RIGHT_EYE, *LEFT_EYE, *RIGHT_BROW, *LEFT_BROW, *NOSE),
    )
    chosen = hulls[rng.choice(3, p=(0.5, 0.3, 0.2))]
    return soft_hull(points, chosen, size, grow=float(rng.uniform(-0.06, 0.02)), feather=float(rng.uniform(0.01, 0.08)))


def oval_mask(points: Points, size: int, feather: float = 0.03) -> Mask:
    """The whole face, from chin to hairline."""
    return soft_hull(points, OVAL, size, grow=-0.02, feather=feather)


def eyes_mask(points: Points, size: int, rng: Rng) -> Mask:
    """Both eyes, with their brows or without."""
    feather, brows = float(rng.uniform(0.015, 0.05)), bool(rng.random() < 0.5)
    sides = ((RIGHT_EYE, RIGHT_BROW), (LEFT_EYE, LEFT_BROW))
    parts = [soft_hull(points, eye + (brow if brows else ()), size, grow=0.04, feather=feather) for eye, brow in sides]
    return np.maximum(*parts)


def mouth_mask(points: Points, size: int, rng: Rng) -> Mask:
    """The mouth with some skin around it."""
    grow, feather = float(rng.uniform(0.02, 0.08)), float(rng.uniform(0.015, 0.05))
    return soft_hull(points, LIPS, size, grow=grow, feather=feather)


def soft_hull(points: Points, of: Sequence[int], size: int, *, grow: float, feather: float) -> Mask:
    """`(size, size)` 0..1 of the hull of some points, inside of it with an edge that fades to 0.

    Args:
        grow: how far the hull is widened (or narrowed, below 0), in widths of the face.
        feather: half the width of the fading edge, in widths of the face.
    """
    width = float(np.ptp(points[list(OVAL), 0]))
    hull = cv2.convexHull(np.rint(points[list(of)]).astype(np.int32))
    mask = cv2.fillConvexPoly(np.zeros((size, size), np.float32), hull, 1.0)
    reach = round(abs(grow) * width)
    if reach:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        mask = cv2.dilate(mask, disc) if grow > 0 else cv2.erode(mask, disc, borderValue=0)
    return blurred(mask, feather * width)


def blurred(image: NDArray[Any], sigma: float) -> Mask:
    """By a Gaussian of that standard deviation in pixels.

    >>> spot = np.zeros((9, 9))
    >>> spot[4, 4] = 100
    >>> round(float(blurred(spot, 1.0)[4, 4]))  # 100 / (2 pi)
    16
    """
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 0.3)), np.float32)
