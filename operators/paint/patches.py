"""What is painted over a face, by the cover's style.

The means of a few cells suffice to find somebody again in another picture, as `bench/bench_leak.py` shows. So blur and
mosaic keep a fraction of how they differ from the picture's brightness and from grey, and add noise that outweighs it:
seeded in secret and constant for a face, so that it can neither be computed nor averaged away over frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.frame import Cover, Picture, Style
from operators.paint.colours import colour_of, to_planes
from operators.paint.geometry import Box, CoverRegion, Rect, grid_of, shape_of, steps_of, window

KEEP = np.array([0.16, 0.08, 0.08], np.float32)
SHARED, OWN = np.array([20, 2.5, 2.5], np.float32), np.array([15, 1.5, 1.5], np.float32)
"""For each plane: the fraction of contrast that blur and mosaic keep, and the standard deviations of their noise, in
units of 8 bits: of what all cells share, and of each cell. Before that fraction is taken, faces differ from each other
by 18 and 18 in luma, 6 and 3 in chroma."""


def patches_of(picture: Picture, cover: Cover, region: CoverRegion, light: float) -> Iterator[Array]:
    """What to paint, of each plane, in the size of the region's `outer` there.

    Args:
        light: the mean of the picture's luma, which blur and mosaic pale towards.
    """
    box, inner, outer = region
    dtype = picture.format.dtype
    if cover.style == "solid":
        for step, value in zip(steps_of(picture), colour_of(picture, cover), strict=True):
            yield np.full(shape_of(outer, step), value, dtype)
    elif cover.style == "image":
        stretched = _stretched(cover, box, outer)
        for step, plane in zip(steps_of(picture), to_planes(stretched, picture), strict=True):
            rows, columns = shape_of(outer, step)
            yield np.rint(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA)).astype(dtype)
    else:
        cells = _cells(picture, box, cover, light, inner)
        if cover.style == "blur":  # round and smooth while it is small, and without overshoot
            low, high = cells.min(axis=(0, 1)), cells.max(axis=(0, 1))
            smooth = cv2.resize(cells, (4 * cells.shape[1], 4 * cells.shape[0]), interpolation=cv2.INTER_CUBIC)
            cells = np.clip(smooth, low, high)
        for number, step in enumerate(steps_of(picture)):
            yield _enlarged(cells[..., number], cover.style, step, inner, outer)


def _cells(picture: Picture, box: Box, cover: Cover, light: float, inner: Rect) -> Array:
    """What blur and mosaic leave: `(rows, columns, 3)` noisy and paled means of the planes within `inner`."""
    columns, rows = grid = grid_of(box, cover, inner)
    unit = 1 << (picture.format.bits - 8)
    middle = np.array([light, 128 * unit, 128 * unit], np.float32)
    planes = zip(picture.planes, steps_of(picture), strict=True)
    means = np.stack([_means(plane[window(inner, step)], grid) for plane, step in planes], axis=-1)
    cells = middle + KEEP * (means - middle) + unit * noise_of(cover.seed, cover.cells)[:rows, :columns]
    return np.asarray(np.clip(np.rint(cells), 0, 256 * unit - 1), picture.format.dtype)


def _means(samples: Array, grid: tuple[int, int]) -> Array:
    """Of equal cells, `grid` across and down; what is left over at the far edges counts in none."""
    (rows, columns), (across, down) = samples.shape, grid
    whole = samples[: rows - rows % down, : columns - columns % across]
    return np.asarray(cv2.resize(whole, grid, interpolation=cv2.INTER_AREA))


@lru_cache(maxsize=256)
def noise_of(seed: int, cells: int) -> NDArray[np.float32]:
    """`(cells, cells, 3)`, of each cell and plane, in units of 8 bits."""
    drawn = np.random.default_rng(seed).standard_normal((3, 1 + cells, cells), np.float32)
    noise = SHARED * drawn[:, 0, 0] + OWN * drawn[:, 1:].transpose(1, 2, 0)
    return np.asarray(noise, np.float32)


def _enlarged(cells: Array, style: Style, step: tuple[int, int], inner: Rect, outer: Rect) -> Array:
    """Cells over `inner`, edged or smooth, with their border repeated up to `outer`."""
    (down, across), (wide_down, wide_across) = window(inner, step), window(outer, step)
    size = across.stop - across.start, down.stop - down.start
    patch = cv2.resize(cells, size, interpolation=cv2.INTER_NEAREST if style == "mosaic" else cv2.INTER_LINEAR)
    top, bottom = down.start - wide_down.start, wide_down.stop - down.stop
    left, right = across.start - wide_across.start, wide_across.stop - across.stop
    return np.asarray(cv2.copyMakeBorder(patch, top, bottom, left, right, cv2.BORDER_REPLICATE))


def _stretched(cover: Cover, box: Box, outer: Rect) -> Array:
    """The cover's image, stretched over the box, as float32 BGR of the size of `outer`; its border is repeated."""
    assert cover.pixels is not None  # noqa: S101 - see checked
    x1, y1, x2, y2 = box
    image: Array = cover.pixels.astype(np.float32)
    # Reduced first, for warpAffine looks at four pixels only, and would alias.
    size = min(math.ceil(x2 - x1), image.shape[1]), min(math.ceil(y2 - y1), image.shape[0])
    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    scale_x, scale_y = size[0] / (x2 - x1), size[1] / (y2 - y1)
    to_image = np.array(
        [
            [scale_x, 0, (outer.x1 + 0.5 - x1) * scale_x - 0.5],
            [0, scale_y, (outer.y1 + 0.5 - y1) * scale_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    width, height = outer.x2 - outer.x1, outer.y2 - outer.y1
    return np.asarray(cv2.warpAffine(image, to_image, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE))
