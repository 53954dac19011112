"""A box of a decoder's planes as tiles of one size, and back: networks take RGB squares of a fixed side.

Faces keep at least their own resolution, for what was made smaller does not come back. Colours go through the
full-range BT.601 matrix whatever the video's own is: it is undone by the same one, so that only its rounding is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from operators.arrays import Array, Image
from operators.frame import PixelFormat

LEAST_PX = 8
"""Sides of what `obfuscate` takes."""


def rgb_of(planes: Sequence[Array], layout: PixelFormat) -> Image:
    """Planes Y, U and V of a box as `(h, w, 3)` uint8 RGB; each chroma sample is repeated.

    >>> from operators.frame import PIXEL_FORMATS
    >>> y, uv = np.full((2, 4), 50, np.uint8), np.full((1, 2), 128, np.uint8)
    >>> rgb_of([y, uv, uv], PIXEL_FORMATS["yuv420p"])[1, 3].tolist()
    [50, 50, 50]
    """
    luma, *chroma = (_to_8_bits(plane, layout) for plane in planes)
    height, width = luma.shape
    u, v = (plane.repeat(layout.subsample_y, 0).repeat(layout.subsample_x, 1)[:height, :width] for plane in chroma)
    return np.asarray(cv2.cvtColor(np.dstack([luma, v, u]), cv2.COLOR_YCrCb2RGB), np.uint8)


def planes_of(rgb: Image, layout: PixelFormat) -> list[Array]:
    """`(h, w, 3)` uint8 RGB as planes Y, U and V of that layout; each chroma sample is the mean of what it covers."""
    coded = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)
    sx, sy = layout.subsample_x, layout.subsample_y
    odd = (0, -rgb.shape[0] % sy), (0, -rgb.shape[1] % sx)
    planes = [coded[:, :, 0].astype(np.float32)]
    for channel in (2, 1):
        whole = np.pad(coded[:, :, channel], odd, "edge").astype(np.float32)
        rows, columns = whole.shape
        planes.append(whole.reshape(rows // sy, sy, columns // sx, sx).mean(axis=(1, 3)))
    scale = 1 << (layout.bits - 8)
    return [np.rint(plane * scale).astype(layout.dtype) for plane in planes]


def enlarged(rgb: Image, times: int) -> Image:
    """The crop so many times as large, smoothly, and so that `reduced` gives it back but for rounding.

    >>> crop = np.random.default_rng(0).integers(60, 190, (6, 8, 3)).astype(np.uint8)
    >>> bool(np.abs(reduced(enlarged(crop, 2), 2) - crop.astype(float)).max() < 12)
    True
    """
    if times == 1:
        return rgb
    height, width = rgb.shape[:2]
    size, exact = (width * times, height * times), rgb.astype(np.float32)
    made = cv2.resize(exact, size, interpolation=cv2.INTER_CUBIC)
    missing = exact - cv2.resize(np.clip(made, 0, 255), (width, height), interpolation=cv2.INTER_AREA)
    whole = cv2.add(made, cv2.resize(missing, size, interpolation=cv2.INTER_CUBIC))
    return np.asarray(np.rint(np.clip(whole, 0, 255)), np.uint8)


def reduced(rgb: Image, times: int) -> Image:
    """What was enlarged, as it was."""
    if times == 1:
        return rgb
    size = rgb.shape[1] // times, rgb.shape[0] // times
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def padded(rgb: Image, tile: int) -> Image:
    """The crop with its right and lower edges repeated until both sides are multiples of a tile's.

    >>> padded(np.zeros((130, 90, 3), np.uint8), 128).shape
    (256, 128, 3)
    """
    height, width = rgb.shape[:2]
    return np.asarray(cv2.copyMakeBorder(rgb, 0, -height % tile, 0, -width % tile, cv2.BORDER_REPLICATE), np.uint8)


def to_square(rgb: Image) -> Image:
    """The crop with its right or lower edge repeated until it is as high as wide, and large enough to be covered."""
    height, width = rgb.shape[:2]
    side = max(height, width, LEAST_PX)
    return np.asarray(cv2.copyMakeBorder(rgb, 0, side - height, 0, side - width, cv2.BORDER_REPLICATE), np.uint8)


def cut(channels: Array, tile: int) -> Array:
    """`(c, h, w)` as tiles `(n, c, t, t)`, row by row.

    >>> cut(np.arange(8).reshape(1, 2, 4), 2)[1].tolist()
    [[[2, 3], [6, 7]]]
    """
    c, height, width = channels.shape
    grid = channels.reshape(c, height // tile, tile, width // tile, tile)
    return np.ascontiguousarray(grid.transpose(1, 3, 0, 2, 4)).reshape(-1, c, tile, tile)


def join(tiles: Array, height: int, width: int) -> Array:
    """Tiles `(n, c, t, t)` as `(c, h, w)`.

    >>> picture = np.arange(8).reshape(1, 2, 4)
    >>> bool((join(cut(picture, 2), 2, 4) == picture).all())
    True
    """
    _, c, tile, _ = tiles.shape
    grid = tiles.reshape(height // tile, width // tile, c, tile, tile)
    return np.ascontiguousarray(grid.transpose(2, 0, 3, 1, 4)).reshape(c, height, width)


def _to_8_bits(plane: Array, layout: PixelFormat) -> Array:
    if layout.bits == 8:
        return plane
    return np.asarray(np.minimum((plane + 2) >> (layout.bits - 8), 255), np.uint8)
