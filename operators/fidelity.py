"""How near two pictures are: PSNR, SSIM and the correlation of patches, by one convention for all benches and cards.

Pictures are `(n, h, w, 3)`, RGB, uint8 or floats in 0..1; floats out of range are clipped, as they would be seen, and
never rescaled. The range of the data is 1, whatever is in it. Each picture has a number of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

MOST_DB = 100.0
"""Of identical pictures."""
SIGMA, TRUNCATE, BORDER = 1.5, 3.5, 5
"""SSIM's window of 11 pixels, which has to lie inside of the picture."""
C1, C2 = 0.01**2, 0.03**2
PATCH_PX = 8
LUMA = np.array([0.299, 0.587, 0.114])
FLAT = 1e-5
"""The variance of grain: a patch with less has no detail to be given back."""

Pictures = NDArray[Any]
PerPicture = NDArray[np.float64]


def psnr(a: Pictures, b: Pictures) -> PerPicture:
    """`(n,)` in dB, 100 at most.

    Raises:
        ValueError: other shapes, or a value that is no number.

    >>> one_level = np.full((1, 4, 4, 3), 101, np.uint8)
    >>> psnr(one_level, one_level - 1).round(2).tolist()
    [48.13]
    """
    x, y = _both(a, b)
    error = ((x - y) ** 2).mean(axis=(1, 2, 3))
    return np.asarray(np.minimum(MOST_DB, -10 * np.log10(np.maximum(error, 1e-300))))


def ssim(a: Pictures, b: Pictures) -> PerPicture:
    """`(n,)`, 1 for identical pictures: a Gaussian window of 11 pixels, a mean over positions and channels.

    Raises:
        ValueError: other shapes, sides under 11 pixels, or a value that is no number.
    """
    x, y = _both(a, b)
    if min(x.shape[1:3]) <= 2 * BORDER:
        raise ValueError(f"ssim: expected sides of {2 * BORDER + 1} pixels or more, got {x.shape[1:3]}")
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    both = _blurred(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + C1) * (2 * both + C2) / ((mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2))
    return np.asarray(alike[:, BORDER:-BORDER, BORDER:-BORDER].mean(axis=(1, 2, 3)))


def patch_correlation(a: Pictures, b: Pictures, worst: float = 1.0) -> PerPicture:
    """How much the luminance of 8x8 patches correlates, whichever its sign: this quantile over the patches, `(n,)`.

    Patches that are flat in either picture count as 0.

    >>> ramp = np.tile(np.arange(8, dtype=np.uint8)[:, None, None] * 20, (1, 1, 8, 3))
    >>> patch_correlation(ramp, 255 - ramp).round(6).tolist()
    [1.0]
    """
    x, y = (_patches(each @ LUMA) for each in _both(a, b))
    x, y = x - x.mean(axis=2, keepdims=True), y - y.mean(axis=2, keepdims=True)
    spread = (x**2).mean(axis=2), (y**2).mean(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.abs((x * y).mean(axis=2)) / np.sqrt(spread[0] * spread[1])
    return np.asarray(np.quantile(np.where(np.minimum(*spread) < FLAT, 0.0, found), worst, axis=1))


def as_seen(pictures: Pictures) -> NDArray[np.float64]:
    """In 0..1: 8 bits scaled, floats clipped.

    >>> as_seen(np.array([-0.5, 0.25, 7.0])).tolist(), as_seen(np.array([255], np.uint8)).tolist()
    ([0.0, 0.25, 1.0], [1.0])
    """
    if pictures.dtype == np.uint8:
        return pictures / 255.0
    return np.clip(pictures.astype(np.float64), 0, 1)


def _both(a: Pictures, b: Pictures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if a.shape != b.shape or a.ndim != 4 or a.shape[3] != 3:
        raise ValueError(f"pictures: expected two times (n, h, w, 3), got {a.shape} and {b.shape}")
    x, y = as_seen(a), as_seen(b)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("pictures: expected numbers, got values that are none")
    return x, y


def _blurred(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(x, (0, SIGMA, SIGMA, 0), truncate=TRUNCATE))


def _patches(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n, h, w)` -> `(n, patches, 64)`; what is left over at the edges is cut off."""
    n, h, w = luma.shape
    rows, columns = h // PATCH_PX, w // PATCH_PX
    cut = luma[:, : rows * PATCH_PX, : columns * PATCH_PX].reshape(n, rows, PATCH_PX, columns, PATCH_PX)
    return cut.transpose(0, 1, 3, 2, 4).reshape(n, rows * columns, PATCH_PX * PATCH_PX)
