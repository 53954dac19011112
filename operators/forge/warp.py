"""Pictures bent so that the features of one face come to lie on another's."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from operators.forge.face import Pixels, Points
from operators.forge.regions import LEFT_BROW, LEFT_EYE, LIPS, NOSE, OVAL, RIGHT_BROW, RIGHT_EYE

FEATURES = sorted({*OVAL, *LIPS, *RIGHT_EYE, *LEFT_EYE, *RIGHT_BROW, *LEFT_BROW, *NOSE})
STEP_PX = 8
"""The bend is worked out in every so many pixels, and interpolated between: it is smoother than that."""
SMOOTHING = 1.0


def warp(pixels: Pixels, points: Points, onto: Points) -> Pixels:
    """A `(s, s, 3)` picture in which the features of one mesh have come to lie on another's, by a thin-plate spline.

    Args:
        points, onto: meshes `(478, 2)` in pixels.
    """
    size = len(pixels)
    at = np.arange(0, size + STEP_PX, STEP_PX, dtype=np.float64)
    grid = np.stack(np.meshgrid(at, at), axis=-1)
    spline = RBFInterpolator(onto[FEATURES], points[FEATURES], smoothing=SMOOTHING, kernel="thin_plate_spline")
    coarse = spline(grid.reshape(-1, 2)).reshape(grid.shape).astype(np.float32)
    fine = np.arange(size, dtype=np.float32) / STEP_PX
    sources = cv2.remap(coarse, *np.meshgrid(fine, fine), cv2.INTER_LINEAR)
    return np.asarray(cv2.remap(pixels, sources, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def similarity(points: Points, onto: Points) -> NDArray[np.float64]:
    """The `(2, 3)` turn, scale and shift that brings `points (k, 2)` closest to `onto (k, 2)`.

    >>> corners = np.array([[0.0, 0], [1, 0], [0, 1]])
    >>> (similarity(corners, 2 * corners + (5, 7)).round(6) + 0.0).tolist()
    [[2.0, 0.0, 5.0], [0.0, 2.0, 7.0]]
    """
    middle, target = points.mean(axis=0), onto.mean(axis=0)
    a, b = ((points - middle) @ (1, 1j), (onto - target) @ (1, 1j))
    factor = np.vdot(a, b) / np.vdot(a, a)
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target - linear @ middle])


def apply(affine: NDArray[Any], points: Points) -> NDArray[np.float64]:
    """Points `(k, 2)` moved by a `(2, 3)` affine.

    >>> apply(np.array([[2, 0, 5], [0, 2, 7]]), np.array([[1, 1]])).tolist()
    [[7, 9]]
    """
    return np.asarray(points @ affine[:, :2].T + affine[:, 2])
