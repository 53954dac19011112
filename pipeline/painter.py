"""Applies covers to the decoder's own planes, and is the last gate before the encoder: `paint` refuses a frame with a
face that is neither covered nor kept.

All geometry is rounded outwards: a sample, of luma or chroma, that a cover's shape touches belongs to the cover. A soft
edge lies outside of the shape.

The means of a few cells suffice to find somebody again in another picture, as `bench/bench_leak.py` shows. So blur and
mosaic keep a fraction of how they differ from the picture's brightness and from grey, and add noise that outweighs it:
seeded in secret and constant for a face, so that it can neither be computed nor averaged away over frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import FrameError
from operators.frame import Array, Cover, Frame, Picture, Shape, Style

TOLERANCE_PX = 0.5
"""A face may reach out of its cover by this much, for rounding."""

MIN_CELL_PX = 4
"""Small covers get fewer cells rather than smaller ones."""

KEEP = np.array([0.16, 0.08, 0.08], np.float32)
SHARED, OWN = np.array([20, 2.5, 2.5], np.float32), np.array([15, 1.5, 1.5], np.float32)
"""For each plane: the fraction of contrast that blur and mosaic keep, and the standard deviations of their noise, in
units of 8 bits: of what all cells share, and of each cell. Before that fraction is taken, faces differ from each other
by 18 and 18 in luma, 6 and 3 in chroma."""

LIGHT_LINES = 8
"""Of every so many lines of a picture one tells how bright it is."""

OPAQUE = 255
REPEATED_PX = 160 * 160
"""How covers up to this size fade out is remembered: those of small faces cost more to begin than to paint."""

HD_LINES = 720
"""From here on, players take an unspecified matrix for BT.709."""

LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Weights of red and blue in luma, by ISO/IEC 23091-2 matrix coefficients; others are read as BT.601."""


Box: TypeAlias = tuple[float, float, float, float]


class Rect(NamedTuple):
    """Pixels x1 <= x < x2, y1 <= y < y2 of the luma plane."""

    x1: int
    y1: int
    x2: int
    y2: int


def paint(frame: Frame) -> None:
    """Writes the covers into the frame's planes, which must be the caller's own: writable, and nobody's reference.

    Raises:
        FrameError: a face is not covered (nothing has been painted), or a cover cannot be painted; the picture must
            then be covered whole or withheld.
    """
    check_covered(frame)
    if frame.covers:
        light = float(cv2.mean(frame.picture.planes[0][::LIGHT_LINES])[0])
        for cover in frame.covers:
            _paint(frame.picture, cover, light)


def plain(cover: Cover) -> Cover:
    """A cover that costs least and hides no less: a box of one colour with hard edges."""
    return replace(cover, style="solid", shape="box", feather=0.0, pixels=None)


def check_covered(frame: Frame) -> None:
    """The gate: every face that is not kept lies, as far as it is in the picture, within the box of one cover.

    Raises:
        FrameError: one does not, or a box is not four finite numbers in order.
    """
    if not frame.covers and frame.faces.kept.all():
        return
    faces = frame.faces.boxes[~frame.faces.kept].astype(np.float64)
    covers = np.array([_checked(cover).box for cover in frame.covers], np.float64).reshape(-1, 4)
    _check_boxes("face", faces)
    _check_boxes("cover", covers)
    seen = np.clip(faces, 0, (frame.picture.width, frame.picture.height) * 2)
    beside = (seen[:, :2] >= seen[:, 2:]).any(axis=1)
    before, behind = seen[:, None, :2] - covers[:, :2], covers[:, 2:] - seen[:, None, 2:]
    covered = np.any(np.all(np.minimum(before, behind) >= -TOLERANCE_PX, axis=2), axis=1)
    for face in seen[~(covered | beside)]:
        raise FrameError(
            f"{frame.stream}, frame {frame.index}: expected a cover over the face at {_numbers(face)}, "
            f"got {len(covers)} covers elsewhere; end the steps with a deidentify operator"
        )


def cover_whole(picture: Picture) -> None:
    """Gives the whole picture its own average colour, so that nothing is left to be recognised.

    Raises:
        FrameError: the planes are read-only.
    """
    for plane in _writable(picture):
        plane[...] = round(float(cv2.mean(plane)[0]))


class Place(NamedTuple):
    """Where a cover lies: its box, and the pixels of the picture in it without and with the soft edge."""

    box: Box
    inner: Rect
    outer: Rect


def place_of(picture: Picture, cover: Cover) -> Place | None:
    """Where a cover lies, None if that is outside of the picture."""
    box = x1, y1, x2, y2 = _at_least_a_pixel(cover.box)
    inner = _visible(picture, box)
    if inner is None:
        return None
    soft_x, soft_y = cover.feather * (x2 - x1), cover.feather * (y2 - y1)
    outer = _visible(picture, (x1 - soft_x, y1 - soft_y, x2 + soft_x, y2 + soft_y))
    assert outer is not None  # noqa: S101 - it contains `inner`
    return Place(box, inner, outer)


def _paint(picture: Picture, cover: Cover, light: float) -> None:
    place = place_of(picture, cover)
    if place is None:
        return
    box, _, outer = place
    steps = _steps(picture)
    if cover.style == "solid" and cover.shape == "box" and not cover.feather:
        for plane, step, value in zip(_writable(picture), steps, colour_of(picture, cover), strict=True):
            plane[_window(_touched(box), step)] = value
        return
    luma, chroma = (_weights(picture, box, cover, outer, step) for step in steps[:2])
    patches = patches_of(picture, cover, place, light)
    for plane, step, weights, patch in zip(_writable(picture), steps, (luma, chroma, chroma), patches, strict=True):
        under = plane[_window(outer, step)]
        # Each rounded by itself: under the shape nothing of what is hidden shows through, not even in the last bit.
        painted = cv2.multiply(patch, weights[0], scale=1 / OPAQUE)
        cv2.add(painted, cv2.multiply(under, weights[1], scale=1 / OPAQUE), dst=under)


def patches_of(picture: Picture, cover: Cover, place: Place, light: float) -> Iterator[Array]:
    """What to paint, of each plane, in the size of the place's `outer` there.

    Args:
        light: the mean of the picture's luma, which blur and mosaic pale towards.
    """
    box, inner, outer = place
    dtype = picture.format.dtype
    if cover.style == "solid":
        for step, value in zip(_steps(picture), colour_of(picture, cover), strict=True):
            yield np.full(_shape(outer, step), value, dtype)
    elif cover.style == "image":
        stretched = _stretched(cover, box, outer)
        for step, plane in zip(_steps(picture), _to_planes(stretched, picture), strict=True):
            rows, columns = _shape(outer, step)
            yield np.rint(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA)).astype(dtype)
    else:
        cells = _cells(picture, box, cover, light, inner)
        if cover.style == "blur":  # round and smooth while it is small, and without overshoot
            low, high = cells.min(axis=(0, 1)), cells.max(axis=(0, 1))
            smooth = cv2.resize(cells, (4 * cells.shape[1], 4 * cells.shape[0]), interpolation=cv2.INTER_CUBIC)
            cells = np.clip(smooth, low, high)
        for number, step in enumerate(_steps(picture)):
            yield _enlarged(cells[..., number], cover.style, step, inner, outer)


def colour_of(picture: Picture, cover: Cover) -> Array:
    """A solid cover's colour in the picture's planes, `(3,)`, rounded."""
    return np.asarray(np.rint(np.ravel(_to_planes(np.array([[cover.color]], np.float32), picture))))


def _cells(picture: Picture, box: Box, cover: Cover, light: float, inner: Rect) -> Array:
    """What blur and mosaic leave: `(rows, columns, 3)` noisy and paled means of the planes within `inner`."""
    columns, rows = grid = grid_of(box, cover, inner)
    unit = 1 << (picture.format.bits - 8)
    middle = np.array([light, 128 * unit, 128 * unit], np.float32)
    planes = zip(picture.planes, _steps(picture), strict=True)
    means = np.stack([_means(plane[_window(inner, step)], grid) for plane, step in planes], axis=-1)
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
    (down, across), (wide_down, wide_across) = _window(inner, step), _window(outer, step)
    size = across.stop - across.start, down.stop - down.start
    patch = cv2.resize(cells, size, interpolation=cv2.INTER_NEAREST if style == "mosaic" else cv2.INTER_LINEAR)
    top, bottom = down.start - wide_down.start, wide_down.stop - down.stop
    left, right = across.start - wide_across.start, wide_across.stop - across.stop
    return np.asarray(cv2.copyMakeBorder(patch, top, bottom, left, right, cv2.BORDER_REPLICATE))


def grid_of(box: Box, cover: Cover, inner: Rect) -> tuple[int, int]:
    """How many cells across and down `inner`: as many as the box has, less where it reaches out of the picture."""
    x1, y1, x2, y2 = box
    sides = ((inner.x2 - inner.x1, x2 - x1), (inner.y2 - inner.y1, y2 - y1))
    across, down = (int(min(cover.cells * seen / max(side, seen), seen / MIN_CELL_PX)) for seen, side in sides)
    return max(across, 1), max(down, 1)


def _stretched(cover: Cover, box: Box, outer: Rect) -> Array:
    """The cover's image, stretched over the box, as float32 BGR of the size of `outer`; its border is repeated."""
    assert cover.pixels is not None  # noqa: S101 - see _checked
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


def _weights(picture: Picture, box: Box, cover: Cover, outer: Rect, step: tuple[int, int]) -> tuple[Array, Array]:
    """How much each sample of a plane within `outer` gets of the cover, and keeps of itself: OPAQUE together."""
    x1, y1, x2, y2 = box
    within = x1 - outer.x1, y1 - outer.y1, x2 - outer.x1, y2 - outer.y1
    size = outer.x2 - outer.x1, outer.y2 - outer.y1
    make = _opacity_again if size[0] * size[1] <= REPEATED_PX else _opacity
    dtype: Any = picture.format.dtype
    opaque, rest = make(within, size, step, cover.shape, cover.feather)
    return opaque.astype(dtype, copy=False), rest.astype(dtype, copy=False)


def _opacity(
    box: Box, size: tuple[int, int], step: tuple[int, int], shape: Shape, feather: float
) -> tuple[Array, Array]:
    """As `_weights`, of a picture `size` pixels wide and high: OPAQUE under the shape, falling to 0 at the feather.

    What counts is the point of a sample nearest to the cover's centre.
    """
    (rows, columns), (x1, y1, x2, y2) = _shape(Rect(0, 0, *size), step), box
    x = _distances(columns, step[0], (x1 + x2) / 2) * (2 / (x2 - x1))
    y = _distances(rows, step[1], (y1 + y2) / 2) * (2 / (y2 - y1))
    reach = 1 + 2 * feather
    if shape == "box":
        level = np.outer(OPAQUE * _ramp(y, reach), _ramp(x, reach))
    elif feather:
        slope = OPAQUE / (reach * reach - 1)
        falling, across = (reach * reach - y * y) * slope, x * x * slope
        level = np.subtract.outer(falling.astype(np.float32), across.astype(np.float32))
    else:
        level = np.where(np.add.outer(y * y, x * x) < 1, np.float32(OPAQUE), np.float32(0))
    # The fastest way to round and to cut off at both ends; `convertScaleAbs` would mirror what is negative.
    cv2.threshold(level, 0, 0, cv2.THRESH_TOZERO, dst=level)
    opaque = np.asarray(cv2.convertScaleAbs(level))
    return opaque, OPAQUE - opaque


_opacity_again = lru_cache(maxsize=256)(_opacity)


def _ramp(distance: Array, reach: float) -> NDArray[np.float32]:
    """1 below 1, 0 from `reach` on, straight in between."""
    if reach == 1:
        return (distance < 1).astype(np.float32)
    return np.asarray(np.clip((reach - distance) / (reach - 1), 0, 1), np.float32)


def _distances(count: int, step: int, centre: float) -> Array:
    """From `centre` to the nearest point of each of `count` samples, `step` pixels wide, the first at 0."""
    middles = np.arange(count) * step + (step / 2 - centre)
    return np.asarray(np.maximum(np.abs(middles) - step / 2, 0))


def _to_planes(bgr: Array, picture: Picture) -> tuple[Array, Array, Array]:
    """Y, U, V of `(h, w, 3)` float32 BGR 0..255, in the matrix, range and depth of the picture, not rounded."""
    matrix = picture.matrix
    if matrix == 2:
        matrix = 1 if picture.height >= HD_LINES else 6
    red, blue = LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS[6])
    b, g, r = (bgr[..., i] / 255 for i in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    unit = 1 << (picture.format.bits - 8)
    if picture.full_range:
        top = 256 * unit - 1
        return y * top, np.clip(u * top + 128 * unit, 0, top), np.clip(v * top + 128 * unit, 0, top)
    return (y * 219 + 16) * unit, (u * 224 + 128) * unit, (v * 224 + 128) * unit


def _at_least_a_pixel(box: Box) -> Box:
    x1, y1, x2, y2 = box
    more_x, more_y = max(1 - (x2 - x1), 0) / 2, max(1 - (y2 - y1), 0) / 2
    return x1 - more_x, y1 - more_y, x2 + more_x, y2 + more_y


def _visible(picture: Picture, box: Box) -> Rect | None:
    """The pixels that a box touches, whole chroma samples only; None where it lies outside of the picture."""
    fmt, (x1, y1, x2, y2) = picture.format, box
    sx, sy = fmt.subsample_x, fmt.subsample_y
    x1, x2 = max(x1, 0), min(x2, picture.width)
    y1, y2 = max(y1, 0), min(y2, picture.height)
    if x1 >= x2 or y1 >= y2:
        return None
    return Rect(
        math.floor(x1 / sx) * sx,
        math.floor(y1 / sy) * sy,
        min(math.ceil(x2 / sx) * sx, picture.width),
        min(math.ceil(y2 / sy) * sy, picture.height),
    )


def _touched(box: Box) -> Rect:
    """The pixels that a box touches, those beyond the right and lower edge of the picture too."""
    x1, y1, x2, y2 = (max(side, 0) for side in box)
    return Rect(math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2))


def _window(rect: Rect, step: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a plane whose samples are `step` pixels wide and high."""
    return slice(rect.y1 // step[1], -(-rect.y2 // step[1])), slice(rect.x1 // step[0], -(-rect.x2 // step[0]))


def _shape(rect: Rect, step: tuple[int, int]) -> tuple[int, int]:
    rows, columns = _window(rect, step)
    return rows.stop - rows.start, columns.stop - columns.start


def _steps(picture: Picture) -> tuple[tuple[int, int], ...]:
    chroma = picture.format.subsample_x, picture.format.subsample_y
    return (1, 1), chroma, chroma


def _writable(picture: Picture) -> tuple[Array, Array, Array]:
    if not all(plane.flags.writeable for plane in picture.planes):
        raise FrameError("expected planes of our own to paint in, got read-only ones; copy the picture first")
    return picture.planes


def _checked(cover: Cover) -> Cover:
    if cover.style not in ("blur", "mosaic", "solid", "image") or cover.shape not in ("ellipse", "box"):
        raise FrameError(f"no cover of style {cover.style!r} and shape {cover.shape!r}")
    if cover.style == "image" and (cover.pixels is None or cover.pixels.ndim != 3 or cover.pixels.shape[2] != 3):
        raise FrameError("a cover of style 'image' needs pixels (h, w, 3)")
    if cover.cells < 1 or not 0 <= cover.feather <= 1:
        raise FrameError(f"expected cells >= 1 and feather in 0..1, got {cover.cells} and {cover.feather}")
    return cover


def _check_boxes(what: str, boxes: Array) -> None:
    wrong = ~(np.isfinite(boxes).all(axis=1) & (boxes[:, :2] <= boxes[:, 2:]).all(axis=1))
    for box in boxes[wrong]:
        raise FrameError(f"{what}: expected finite x1 <= x2 and y1 <= y2, got {_numbers(box)}")


def _numbers(box: Array) -> str:
    return " ".join(f"{float(value):.1f}" for value in box)
