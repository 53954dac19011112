"""Small pictures in every pixel format, made from numbers."""

from __future__ import annotations

import numpy as np

from operators.arrays import Array
from operators.frame import PIXEL_FORMATS, Picture


def flat(
    name: str = "yuv420p",
    width: int = 64,
    height: int = 48,
    yuv: tuple[int, int, int] = (96, 128, 128),
    *,
    matrix: int = 2,
    full_range: bool = False,
) -> Picture:
    """One colour; Y, U and V are given in 8 bits, whatever the format's depth."""
    layout = PIXEL_FORMATS[name]
    y, u, v = (
        np.full(shape, value << (layout.bits - 8), layout.dtype)
        for shape, value in zip(layout.plane_shapes(width, height), yuv, strict=True)
    )
    return Picture((y, u, v), layout, full_range, matrix)


def halves(name: str, width: int, height: int, left: tuple[int, int, int], right: tuple[int, int, int]) -> Picture:
    """One colour left of the middle column, another from there on; the middle lies on a whole chroma sample."""
    shown = flat(name, width, height, left)
    for plane, value, step in zip(shown.planes, right, (1, *[shown.format.subsample_x] * 2), strict=True):
        plane[:, width // 4 * 2 // step :] = value << (shown.format.bits - 8)
    return shown


def noise(name: str = "yuv420p", width: int = 64, height: int = 48, *, seed: int = 0) -> Picture:
    """Random samples over the whole range of the format's depth."""
    layout, rng = PIXEL_FORMATS[name], np.random.default_rng(seed)
    y, u, v = (rng.integers(0, 1 << layout.bits, shape, layout.dtype) for shape in layout.plane_shapes(width, height))
    return Picture((y, u, v), layout)


def rectangle(image: Array) -> tuple[int, int, int, int]:
    """The box x1 y1 x2 y2 around what is not 0 in `(h, w)`."""
    rows, columns = np.nonzero(image)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
