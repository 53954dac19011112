"""Crops of pictures in planes, normalised for a network: from decoded planes to the network's input in one step.

`cut` defines in numpy what `crops.cu` computes. A pixel of a crop is the mean of bilinear samples, spread evenly over
what it covers of the picture: as many along each side as that is long in pixels. So enlarging is bilinear
interpolation, and reducing by a whole number is the mean of an area. Samples are averaged before they become colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines import AnyArray, EngineError
from engines.kernels.launch import KernelDevice, blocks, suffix
from engines.kernels.planes import PLANE, plane_entry

HD_LINES = 720
"""From here on, players take an unspecified matrix for BT.709."""

LUMA_WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
"""Weights of red and blue in luma, by ISO/IEC 23091-2 matrix coefficients; others are read as BT.601."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A picture in planes.

    Attributes:
        planes: Y, U, V as `(rows, columns)` uint8 or uint16, all numpy or all on a device. Chroma samples are one or
            two luma samples wide and high.
        matrix: ISO/IEC 23091-2 matrix coefficients: 1 is BT.709, 5 and 6 BT.601, 9 BT.2020, 2 unspecified.
        full_range: luma spans 0..255 (or 0..1023) rather than 16..235.
        bits: 8 or 10.
        shift: how many bits lie unused below a sample: 6 in P010, else 0.
    """

    planes: tuple[AnyArray, AnyArray, AnyArray]
    matrix: int = 2
    full_range: bool = False
    bits: int = 8
    shift: int = 0

    @property
    def chroma_step(self) -> tuple[int, int]:
        """How many luma samples a chroma sample is wide and high."""
        (rows, columns), (chroma_rows, chroma_columns) = self.planes[0].shape, self.planes[1].shape
        return -(-columns // chroma_columns), -(-rows // chroma_rows)

    @property
    def to_rgb(self) -> NDArray[np.float64]:
        """`(3, 4)`: of Y, U, V and 1 as they are stored, to R, G, B in 0..255."""
        matrix = self.matrix
        if matrix == 2:
            matrix = 1 if self.planes[0].shape[0] >= HD_LINES else 6
        red, blue = LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS[6])
        green = 1 - red - blue
        from_v, from_u = 2 * (1 - red), 2 * (1 - blue)
        colours = np.array(
            [[1, 0, from_v], [1, -blue / green * from_u, -red / green * from_v], [1, from_u, 0]], np.float64
        )
        unit = 1 << (self.bits - 8)
        top = 256 * unit - 1
        spans = (top, top, top) if self.full_range else (219 * unit, 224 * unit, 224 * unit)
        zeros = np.array([0 if self.full_range else 16 * unit, 128 * unit, 128 * unit])
        scaled = colours * 255 / np.array(spans)
        return np.column_stack([scaled / (1 << self.shift), -scaled @ zeros])


class Scaling(NamedTuple):
    """What is done to R, G, B in 0..255: `(value - mean) * scale`."""

    mean: tuple[float, float, float] = (0, 0, 0)
    scale: tuple[float, float, float] = (1, 1, 1)


AS_IT_IS = Scaling()


def cut(
    surfaces: Sequence[Surface],
    of: Sequence[int],
    to_picture: NDArray[np.floating[Any]],
    size: tuple[int, int],
    normalise: Scaling = AS_IT_IS,
) -> NDArray[np.float32]:
    """Crops `(n, 3, height, width)` float32, R first.

    Args:
        surfaces: the pictures of a batch.
        of: the picture of each crop.
        to_picture: `(n, 2, 3)`, from x, y of a crop to x, y of its picture; whole numbers are the middles of pixels.
            What lies outside of a picture repeats its border.
        size: width and height of the crops.
        normalise: of their pixels.
    """
    crops = np.empty((len(of), 3, size[1], size[0]), np.float32)
    for crop, number, affine in zip(crops, of, to_picture, strict=True):
        surface, (across, down) = surfaces[number], sample_counts(affine)
        s, t = _middles(size[0], across), _middles(size[1], down)[:, None]
        x, y = (a * s + b * t + c for a, b, c in affine.astype(np.float64))
        step_x, step_y = surface.chroma_step
        points = [(x, y), *[((x + 0.5) / step_x - 0.5, (y + 0.5) / step_y - 0.5)] * 2]
        yuv = np.stack([_bilinear(plane, *point) for plane, point in zip(surface.planes, points, strict=True)])
        means = yuv.reshape(3, size[1], down, size[0], across).mean(axis=(2, 4))
        matrix = surface.to_rgb
        rgb = np.tensordot(matrix[:, :3], means, 1) + matrix[:, 3, None, None]
        mean, scale = (np.reshape(value, (3, 1, 1)) for value in normalise)
        crop[...] = (np.clip(rgb, 0, 255) - mean) * scale
    return crops


def cut_on(
    device: KernelDevice,
    surfaces: Sequence[Surface],
    of: Sequence[int],
    to_picture: NDArray[np.floating[Any]],
    size: tuple[int, int],
    normalise: Scaling = AS_IT_IS,
) -> AnyArray:
    """As `cut`, on a device in one launch: planes there, all of one dtype, to an array there.

    Raises:
        EngineError: planes differ in dtype, or a crop is of no picture.
    """
    crops = device.zeros((len(of), 3, size[1], size[0]), np.dtype(np.float32))
    if len(of):
        dtypes = {np.dtype(plane.dtype) for surface in surfaces for plane in surface.planes}
        if len(dtypes) != 1 or not 0 <= min(of) <= max(of) < len(surfaces):
            raise EngineError(f"expected crops {list(of)} of {len(surfaces)} pictures of one dtype, got {dtypes}")
        (dtype,) = dtypes
        tables = [device.upload(table) for table in (surface_table(surfaces), crop_table(of, to_picture))]
        device.run(f"cut{suffix(dtype)}", blocks(*size, len(of)), *tables, output_entry(size, normalise), crops)
        device.finish()
    return crops


def sample_counts(affine: NDArray[np.floating[Any]]) -> tuple[int, int]:
    """How many samples of the picture a pixel of the crop takes across and down."""
    across, down = (max(1, math.ceil(length - 1e-3)) for length in np.hypot(*affine[:, :2]))
    return across, down


def _middles(count: int, parts: int) -> NDArray[np.float64]:
    """Middles of the `parts` of each of `count` pixels."""
    return (np.arange(count * parts) + 0.5) / parts - 0.5


def _bilinear(plane: AnyArray, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = plane.shape
    x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, below = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
    u, v = x - left, y - top
    upper = plane[top, left] * (1 - u) + plane[top, right] * u
    lower = plane[below, left] * (1 - u) + plane[below, right] * u
    return np.asarray(upper * (1 - v) + lower * v)


SURFACE = np.dtype([("planes", PLANE, 3), ("to_rgb", "f4", (3, 4)), ("step_x", "f4"), ("step_y", "f4")], align=True)
CROP = np.dtype([("surface", "i4"), ("across", "i4"), ("down", "i4"), ("to_picture", "f4", (2, 3))], align=True)
OUTPUT = np.dtype([("width", "i4"), ("height", "i4"), ("mean", "f4", 3), ("scale", "f4", 3)], align=True)
"""The structures of `crops.cu`."""


def surface_table(surfaces: Sequence[Surface]) -> NDArray[Any]:
    """`(n,)` SURFACE. It holds addresses: the planes must outlive its use."""
    table = np.zeros(len(surfaces), SURFACE)
    for entry, surface in zip(table, surfaces, strict=True):
        entry["planes"] = [plane_entry(plane) for plane in surface.planes]
        entry["to_rgb"] = surface.to_rgb
        entry["step_x"], entry["step_y"] = surface.chroma_step
    return table


def crop_table(of: Sequence[int], to_picture: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """`(n,)` CROP."""
    table = np.zeros(len(of), CROP)
    table["surface"], table["to_picture"] = of, to_picture
    counts = np.array([sample_counts(affine) for affine in to_picture]).reshape(-1, 2)
    table["across"], table["down"] = counts.T
    return table


def output_entry(size: tuple[int, int], normalise: Scaling) -> NDArray[Any]:
    """One OUTPUT."""
    return np.array((*size, *normalise), OUTPUT)
