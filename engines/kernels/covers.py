"""Covers painted into pictures in their planes, on a device: `covers.cu`. What is painted, `operators.paint` defines.

All that a cover means has become numbers before: this module knows the structures and the order of launches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import AnyArray
from engines.kernels.launch import KernelDevice, blocks, suffix
from engines.kernels.planes import PLANE, plane_entry

SOLID, IMAGE, MOSAIC, BLUR = range(4)
FINER = 4
"""Blur has so many tints across and down each cell."""

RECT = np.dtype([("x1", "i4"), ("y1", "i4"), ("x2", "i4"), ("y2", "i4")])
COVER = np.dtype(
    [
        *[(name, PLANE, 3) for name in ("planes", "patches")],
        *[(name, "f8") for name in ("centre_x", "centre_y", "per_x", "per_y", "reach")],
        *[(name, RECT) for name in ("inner", "outer")],
        *[(name, "i4") for name in ("step_x", "step_y", "style", "is_box", "across", "down")],
        *[(name, "i4") for name in ("sums", "tints", "noise", "light")],
        *[(name, "f4") for name in ("light_share", "unit")],
        ("keep", "f4", 3),
        ("colours", "i4", 3),
    ],
    align=True,
)
"""The structure of `covers.cu`, which explains it."""


def paint_on(
    device: KernelDevice,
    covers: NDArray[Any],
    lights: Sequence[AnyArray],
    noise: NDArray[np.float32],
    dtype: np.dtype[Any],
    *,
    light_lines: int,
) -> None:
    """Paints covers into planes on the device, all of one dtype.

    Covers that overlap are painted one after the other, in their order; all others at once.

    Args:
        device: where the planes are.
        covers: `(n,)` COVER; `sums` and `tints` are filled in here, `light` is the number of the cover's picture.
        lights: of each picture, the plane whose mean says how bright it is.
        noise: `(m, 3)` float32; the cells of a cover, row by row, begin at its `noise`.
        dtype: of the planes.
        light_lines: of every so many lines of a plane, the first counts as light.
    """
    cells = covers["across"] * covers["down"]
    finer = np.where(covers["style"] == BLUR, FINER, 1)
    covers = covers.copy()
    covers["sums"] = len(lights) + 3 * (np.cumsum(cells) - cells)
    covers["tints"] = 3 * (np.cumsum(cells * finer**2) - cells * finer**2)
    sums = device.zeros((len(lights) + 3 * int(cells.sum()),), np.dtype(np.uint64))
    tints = device.zeros((max(3 * int((cells * finer**2).sum()), 1),), np.dtype(np.int32))
    drawn = device.upload(noise if len(noise) else np.zeros((1, 3), np.float32))

    lit = _light_table(lights, light_lines)
    tables = [(table, device.upload(table)) for table in (lit, *layers(covers))]
    _sum_cells(device, dtype, *tables[0], 1, sums)
    for layer, table in tables[1:]:
        if np.isin(layer["style"], (MOSAIC, BLUR)).any():
            _sum_cells(device, dtype, layer, table, 3, sums)
            size = FINER * int(layer["across"].max()), FINER * int(layer["down"].max())
            device.run("tint_cells", blocks(*size, 3 * len(layer)), table, sums, drawn, tints)
        device.run(f"paint{suffix(dtype)}", blocks(*_largest(layer["outer"]), 3 * len(layer)), table, tints)
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
    return cover["light"] == other["light"] and not apart


def _sum_cells(
    device: KernelDevice, dtype: np.dtype[Any], covers: NDArray[Any], table: AnyArray, planes: int, sums: AnyArray
) -> None:
    grid = blocks(_largest(covers["inner"])[0], int(covers["down"].max()), planes * len(covers))
    device.run(f"sum_cells{suffix(dtype)}", grid, table, np.int32(planes), sums)


def _light_table(lights: Sequence[AnyArray], every: int) -> NDArray[Any]:
    """`(n,)` COVER of one cell each, to be summed up: of every so many lines the first."""
    table = np.zeros(len(lights), COVER)
    table["style"], table["across"], table["down"], table["sums"] = MOSAIC, 1, 1, np.arange(len(lights))
    for entry, plane in zip(table, lights, strict=True):
        samples, row, column, rows, columns = plane_entry(plane)
        entry["planes"][0] = samples, every * row, column, -(-rows // every), columns
        entry["inner"] = 0, 0, columns, -(-rows // every)
    return table


def _largest(rects: NDArray[Any]) -> tuple[int, int]:
    """The greatest width and height."""
    return int((rects["x2"] - rects["x1"]).max()), int((rects["y2"] - rects["y1"]).max())
