"""Another person's face, or a region of it, over the face."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from operators.arrays import Rng
from operators.forge.colour import matched, resampled
from operators.forge.face import Forgery, GenuineFace, Kind, Pixels, lay_over
from operators.forge.regions import Mask, face_mask, oval_mask
from operators.forge.warp import warp

MIN_PX = 8


def swap_seamless(face: GenuineFace, donor: GenuineFace, rng: Rng) -> Forgery:
    """The donor's face from chin to hairline, its gradients kept and its border taken from the face."""
    mask = oval_mask(face.points, len(face.pixels), float(rng.uniform(0.015, 0.04)))
    placed = _placed(donor, face)
    coloured = matched(placed, face.pixels, mask, float(rng.uniform(0.5, 1)))
    return lay_over(face, _poisson(np.rint(coloured).astype(np.uint8), face.pixels, mask), mask)


def swap_region(region: Callable[..., Mask], *, coarsest: float = 0.6) -> Kind:
    """The kind that takes one region of the donor, warped to the landmarks, its colours matched, under a soft mask.

    Args:
        region: draws the mask, `region(points, size, rng)`.
        coarsest: the lowest resolution that the donor's pixels are brought to, as a part of their own.
    """

    def kind(face: GenuineFace, donor: GenuineFace, rng: Rng) -> Forgery:
        mask = region(face.points, len(face.pixels), rng)
        placed = _placed(donor, face)
        coloured = matched(placed, face.pixels, mask, float(rng.uniform(0.7, 1)))
        return lay_over(face, resampled(coloured, float(rng.uniform(coarsest, 1))), mask)

    return kind


swap = swap_region(face_mask, coarsest=0.5)
"""The donor's face, as far as `face_mask` draws it."""


def _placed(donor: GenuineFace, face: GenuineFace) -> Pixels:
    return warp(donor.pixels, donor.points, face.points)


def _poisson(pixels: Pixels, onto: Pixels, mask: Mask) -> Pixels:
    """`seamlessClone` wants the mask's box off the border, and puts its middle at the given point."""
    inside = np.zeros(mask.shape, np.uint8)
    inside[1:-1, 1:-1] = (mask[1:-1, 1:-1] > 0.01) * np.uint8(255)
    x, y, width, height = cv2.boundingRect(inside)
    if min(width, height) < MIN_PX:
        return pixels
    middle = x + width // 2, y + height // 2
    return np.asarray(cv2.seamlessClone(pixels, onto, inside, middle, cv2.NORMAL_CLONE), np.uint8)
