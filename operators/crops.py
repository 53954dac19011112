"""Faces cut out of pictures, squared and levelled: the one way to do it, for training as for running.

A detector of forgeries looks at the finest detail, and resampling changes that. So whoever cuts a face, job or
operator, cuts it here, and a golden test holds the pixels. On a GPU `engines.kernels.crops` does the same from planes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Affines = NDArray[np.float64]

RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)
"""Outer and inner corners of the person's right and left eye in MediaPipe's mesh, in order of x in the picture."""
CONTOUR = 468
"""Points of the mesh before the irises."""


def squares(meshes: NDArray[np.floating[Any]], size: int, *, margin: float = 1.1, level: bool = True) -> Affines:
    """Where the crops of faces lie: affines `(n, 2, 3)` from x, y of a crop to x, y of its picture.

    The square is centred on the box around the mesh, `margin` times its longer side, and turned so that the eyes are
    level. Whole numbers are the middles of pixels, on both sides.

    Args:
        meshes: `(n, 478, 2 or 3)` in pixels of the pictures, as in `faces.data["mesh"]`; NaN gives NaN.
        size: of the crops, in pixels.
        level: whether crops are turned; sets cut by their makers are not.
    """
    points = np.asarray(meshes, np.float64)[..., :2]
    along = points[:, LEFT_EYE].mean(axis=1) - points[:, RIGHT_EYE].mean(axis=1)
    angle = np.arctan2(along[:, 1], along[:, 0]) if level else np.zeros(len(points))
    turn = np.stack([np.stack([np.cos(angle), -np.sin(angle)], -1), np.stack([np.sin(angle), np.cos(angle)], -1)], 1)
    upright = points[:, :CONTOUR] @ turn  # rows times the rotation: turned back by the angle
    low, high = upright.min(axis=1), upright.max(axis=1)
    middle = np.einsum("nij,nj->ni", turn, (low + high) / 2)
    scale = margin * (high - low).max(axis=1) / size
    linear = turn * scale[:, None, None]
    offset = middle - linear.sum(axis=2) * (size - 1) / 2
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def boxes_to_squares(boxes: NDArray[np.floating[Any]], size: int, *, margin: float = 1.0) -> Affines:
    """The same around boxes `(n, 4)` xyxy, for networks that want what a detector found and no more.

    >>> boxes_to_squares(np.array([[10, 20, 14, 28]]), 8).tolist()
    [[[1.0, 0.0, 8.0], [0.0, 1.0, 20.0]]]
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5  # edges of pixels to their middles
    scale = margin * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) / size
    affines = np.zeros((len(boxes), 2, 3))
    affines[:, 0, 0] = affines[:, 1, 1] = scale
    affines[:, :, 2] = middle - scale[:, None] * (size - 1) / 2
    return affines


def cut(image: NDArray[np.uint8], to_picture: Affines, size: int) -> NDArray[np.uint8]:
    """The crops `(n, size, size, 3)` uint8 of a `(h, w, 3)` picture; channels keep their order.

    A pixel is the mean of bilinear samples, as many along each side as it covers pixels of the picture. What lies
    outside of the picture repeats its border.

    >>> image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, axis=2)
    >>> cut(image, np.array([[[1.0, 0, 1], [0, 1, 1]]]), 2)[0, :, :, 0].tolist()
    [[5, 6], [9, 10]]
    """
    crops = np.empty((len(to_picture), size, size, 3), np.uint8)
    for crop, affine in zip(crops, to_picture, strict=True):
        parts = max(1, math.ceil(np.hypot(*affine[:, 0]) - 1e-3))
        finer = affine.copy()
        finer[:, :2] /= parts
        finer[:, 2] -= affine[:, :2].sum(axis=1) * (parts - 1) / (2 * parts)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        sampled = cv2.warpAffine(image, finer, (size * parts,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        crop[...] = cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA) if parts > 1 else sampled
    return crops


def points_to_crop(points: NDArray[np.floating[Any]], to_picture: Affines) -> NDArray[np.float32]:
    """Points `(n, k, 2 or 3)` of the pictures as x, y `(n, k, 2)` in their crops.

    >>> points_to_crop(np.array([[[12.0, 24.0]]]), boxes_to_squares(np.array([[10, 20, 14, 28]]), 8)).tolist()
    [[[4.0, 4.0]]]
    """
    linear, offset = to_picture[:, :, :2], to_picture[:, None, :, 2]
    away = np.asarray(points, np.float64)[..., :2] - offset
    return np.asarray(np.einsum("nij,nkj->nki", np.linalg.inv(linear), away), np.float32)


def resize(crops: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Crops `(n, s, s, 3)` at another size: the mean of areas when reduced, else bilinear.

    >>> crop = np.array([[0, 2], [4, 6]], np.uint8)[None, :, :, None].repeat(3, axis=3)
    >>> resize(crop, 1).tolist()
    [[[[3, 3, 3]]]]
    """
    if crops.shape[1] == size:
        return crops
    how = cv2.INTER_AREA if size < crops.shape[1] else cv2.INTER_LINEAR
    resized = [cv2.resize(crop, (size, size), interpolation=how) for crop in crops]
    return np.asarray(resized, np.uint8).reshape(-1, size, size, 3)


def batches(pixels: NDArray[np.uint8], size: int, max_rows: int = 32) -> Iterator[NDArray[np.uint8]]:
    """Crops `(n, s, s, 3)`, which may lie on disk, at that size and in their order, at most so many at a time.

    >>> [len(batch) for batch in batches(np.zeros((5, 8, 8, 3), np.uint8), 8, max_rows=2)]
    [2, 2, 1]
    """
    for first in range(0, len(pixels), max_rows):
        yield resize(np.asarray(pixels[first : first + max_rows]), size)


def to_input(
    crops: NDArray[np.uint8], *, mean: Sequence[float] = (0, 0, 0), std: Sequence[float] = (1, 1, 1)
) -> NDArray[np.float32]:
    """`(n, 3, s, s)` float32 of crops `(n, s, s, 3)`: `(value / 255 - mean) / std`, what networks are given.

    >>> white = to_input(np.full((1, 2, 4, 3), 255, np.uint8), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> white.shape, white.max().item()
    ((1, 3, 2, 4), 1.0)
    """
    scaled = (crops.astype(np.float32) / 255 - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
