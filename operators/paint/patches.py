"""What is painted over a face, by the cover's style. Nothing of it is taken from under a cover: `tones` has the colour
of blur and mosaic, and their relief, which makes a head or cells of it, comes from the cover's seed alone.
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
from operators.paint.tones import Tone

FINE = 16
"""Blur has so many tints across and down a cover."""
BULGE, SOFT = (0.22, 0.25), 0.03
"""By which fraction the middle of a blurred head is brighter than its edge, and its colour stronger, and how much its
parts differ in brightness."""
CELLS = (0.10, 0.06)
"""By how much cells of a mosaic differ in brightness and in how strong their colour is: the hue stays."""
OWN = (0.03, 0.06)
"""By how much whole covers differ in these."""


def patches_of(picture: Picture, cover: Cover, region: CoverRegion, tone: Tone | None) -> Iterator[Array]:
    """What to paint, of each plane, in the size of the region's `outer` there.

    Args:
        tone: of blur and mosaic.
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
        assert tone is not None  # noqa: S101 - see the docstring
        tints = _tints(picture, tone, relief_of(cover, region))
        for number, step in enumerate(steps_of(picture)):
            yield _enlarged(tints[..., number], cover.style, step, inner, outer)


def _tints(picture: Picture, tone: Tone, relief: Array) -> Array:
    """`(rows, columns, 3)` samples of the planes."""
    tints = np.array(tone.origin, np.float32) + np.array(tone.reach, np.float32) * (1 + relief)
    return np.asarray(np.clip(np.rint(tints), 0, (1 << picture.format.bits) - 1), picture.format.dtype)


def relief_of(cover: Cover, region: CoverRegion) -> NDArray[np.float32]:
    """`(rows, columns, 3)`: by which fraction of its tone each part of a cover differs from it, in each plane.

    >>> from operators.stills import picture_of
    >>> from operators.paint.geometry import region_of
    >>> cover = Cover((0, 0, 40, 40), "mosaic", cells=4)
    >>> relief_of(cover, region_of(picture_of(np.zeros((20, 40, 3), np.uint8)), cover)).shape
    (2, 4, 3)
    """
    box, inner, _ = region
    if cover.style == "mosaic":
        across, down = grid_of(box, cover, inner)
        return _cells(cover.seed, cover.cells)[:down, :across]
    whole = _head(cover.seed, cover.cells)
    if all(side == seen for side, seen in zip(box, inner, strict=True)):
        return whole
    # The visible part of it: where its tints lie in those of the whole.
    x1, y1, x2, y2 = box
    step_x, step_y = (inner.x2 - inner.x1) / (x2 - x1), (inner.y2 - inner.y1) / (y2 - y1)
    to_whole = np.array(
        [
            [step_x, 0, (inner.x1 - x1) / (x2 - x1) * FINE + 0.5 * step_x - 0.5],
            [0, step_y, (inner.y1 - y1) / (y2 - y1) * FINE + 0.5 * step_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(whole, to_whole, (FINE, FINE), flags=flags, borderMode=cv2.BORDER_REPLICATE))


@lru_cache(maxsize=256)
def _head(seed: int, cells: int) -> NDArray[np.float32]:
    """`(FINE, FINE, 3)`: brighter in the middle, and a little uneven."""
    away = ((np.arange(FINE) + 0.5) / FINE * 2 - 1) ** 2
    middle = 0.6 - np.minimum(np.add.outer(away, away), 1)
    drawn, own = _drawn(seed, (cells, cells))
    uneven = cv2.resize(drawn, (FINE, FINE), interpolation=cv2.INTER_CUBIC)
    bright = BULGE[0] * middle + SOFT * uneven + OWN[0] * own[0]
    strong = BULGE[1] * middle + OWN[1] * own[1]
    return np.stack([bright, strong, strong], axis=-1).astype(np.float32)


@lru_cache(maxsize=256)
def _cells(seed: int, cells: int) -> NDArray[np.float32]:
    """`(cells, cells, 3)`: each of its own brightness, and of its own strength of the one hue."""
    (bright, strong), own = _drawn(seed, (2, cells, cells))
    bright, strong = CELLS[0] * bright + OWN[0] * own[0], CELLS[1] * strong + OWN[1] * own[1]
    return np.stack([bright, strong, strong], axis=-1)


def _drawn(seed: int, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Normal numbers, none far out, of that shape, and two more."""
    rng = np.random.default_rng(seed)
    drawn, own = (np.clip(rng.standard_normal(size, np.float32), -2, 2) for size in (shape, 2))
    return drawn, own


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
