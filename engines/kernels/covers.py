"""Covers painted into pictures in their planes, on a device: `covers.cu`. What is painted, `operators.paint` defines.

All that a cover means has become numbers before: this module knows the structures and the order of launches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import AnyArray
from engines.kernels.launch import KernelDevice, blocks, suffix
from engines.kernels.planes import PLANE

SOLID, IMAGE, MOSAIC, BLUR = range(4)
TINTED = (MOSAIC, BLUR)
SUMS = 8
"""Of each picture: what its samples beside covers add up to."""

RECT = np.dtype([("x1", "i4"), ("y1", "i4"), ("x2", "i4"), ("y2", "i4")])
COVER = np.dtype(
    [
        *[(name, PLANE, 3) for name in ("planes", "patches")],
        *[(name, "f8") for name in ("centre_x", "centre_y", "per_x", "per_y", "reach")],
        *[(name, RECT) for name in ("inner", "outer")],
        *[(name, "i4") for name in ("step_x", "step_y", "style", "is_box", "across", "down")],
        *[(name, "i4") for name in ("tints", "picture", "blends")],
        ("colours", "i4", 3),
    ],
    align=True,
)
PICTURE = np.dtype(
    [
        ("planes", PLANE, 3),
        *[(name, "i4") for name in ("step_x", "step_y", "stride", "first", "covers")],
        *[(name, "i4") for name in ("unit", "low", "span", "neutral", "dark")],
        *[(name, "f8", 3) for name in ("origin", "reach")],
        *[(name, "f8") for name in ("usual_light", "light_power", "darkest", "brightest")],
        *[(name, "f8") for name in ("usual_spread", "spread_power", "cast", "doubt")],
    ],
    align=True,
)
"""The structures of `covers.cu`, which explains them."""


def paint_on(
    device: KernelDevice,
    pictures: NDArray[Any],
    covers: NDArray[Any],
    relief: NDArray[np.float32],
    overlaps: NDArray[np.bool_],
    dtype: np.dtype[Any],
) -> None:
    """Paints covers into planes on the device, all of one dtype.

    Covers that overlap are painted one after the other, in their order; all others at once.

    Args:
        device: where the planes are.
        pictures: `(m,)` PICTURE.
        covers: `(n,)` COVER, picture by picture; `tints` says where theirs begin in `relief`.
        relief: `(k,)` float32; of each cover plane by plane and row by row.
        overlaps: `(n,)` which covers overlap others, and are painted once more where they are opaque.
        dtype: of the planes.
    """
    table, tinted = device.upload(covers), np.isin(covers["style"], TINTED)
    tints = device.zeros((max(len(relief), 1),), np.dtype(np.int32))
    kept: list[AnyArray] = [table]
    if tinted.any():
        scenes, raised = device.upload(pictures), device.upload(relief)
        sums = device.zeros((len(pictures) * SUMS,), np.dtype(np.uint64))
        kept += [scenes, raised, sums]
        lines, stride = pictures["planes"][:, 0], pictures["stride"]
        columns, rows = (int((-(-lines[side] // stride)).max()) for side in ("columns", "rows"))
        device.run(f"sum_beside{suffix(dtype)}", blocks(columns, rows, len(pictures)), scenes, table, sums)
        size = int(covers["across"].max()), int(covers["down"].max())
        device.run("tint_covers", blocks(*size, 3 * len(covers)), scenes, table, sums, raised, tints)
    for name, some in (("paint", covers), ("paint_core", covers[overlaps])):
        for layer in layers(some):
            kept.append(device.upload(layer))
            grid = blocks(*_largest(layer["outer"]), 3 * len(layer))
            device.run(f"{name}{suffix(dtype)}", grid, kept[-1], tints)
    device.finish()


def layers(covers: NDArray[Any]) -> list[NDArray[Any]]:
    """Splits covers so that none overlaps another of its layer, and each lies above all earlier ones it overlaps."""
    depths: list[int] = []
    for cover in covers:
        below = [d for d, other in zip(depths, covers, strict=False) if _overlap(cover, other)]
        depths.append(max(below, default=-1) + 1)
    return [covers[np.equal(depths, depth)] for depth in range(max(depths, default=-1) + 1)]


def _overlap(cover: Any, other: Any) -> bool:
    a, b = cover["outer"], other["outer"]
    apart = a["x2"] <= b["x1"] or b["x2"] <= a["x1"] or a["y2"] <= b["y1"] or b["y2"] <= a["y1"]
    return cover["picture"] == other["picture"] and not apart


def _largest(rects: NDArray[Any]) -> tuple[int, int]:
    """The greatest width and height."""
    return int((rects["x2"] - rects["x1"]).max()), int((rects["y2"] - rects["y1"]).max())
