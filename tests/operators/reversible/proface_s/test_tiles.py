"""Boxes of planes as tiles: nothing but rounding is lost on the way there and back."""

from __future__ import annotations

import numpy as np
import pytest

from operators.arrays import Array
from operators.frame import PIXEL_FORMATS
from operators.reversible.proface_s.tiles import cut, join, padded, planes_of, rgb_of, to_square


def smooth(shape: tuple[int, int], top: int, phase: float) -> Array:
    """Chroma, of a phase above 0, varies by less: not all that planes can hold is a colour."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / 9
    return np.asarray(top * (0.5 + 0.2 / (1 + 2 * phase) * np.sin(rows + phase) * np.cos(columns)))


@pytest.mark.parametrize("name", sorted(PIXEL_FORMATS))
@pytest.mark.parametrize("size", [(48, 64), (47, 61)], ids=["even", "odd"])
def test_planes_come_back(name: str, size: tuple[int, int]) -> None:
    layout = PIXEL_FORMATS[name]
    top = (1 << layout.bits) - 1
    shapes = layout.plane_shapes(size[1], size[0])
    planes = [smooth((s[0], s[1]), top, k).astype(layout.dtype) for k, s in enumerate(shapes)]

    rgb = rgb_of(planes, layout)
    back = planes_of(rgb, layout)

    assert rgb.shape == (*size, 3) and rgb.dtype == np.uint8
    for one, other in zip(planes, back, strict=True):
        assert other.dtype == one.dtype and other.shape == one.shape
        assert np.abs(one.astype(float) - other).max() <= 3 * top / 255


def test_a_picture_is_cut_into_tiles_row_by_row() -> None:
    channels = np.arange(3 * 4 * 6).reshape(3, 4, 6)

    tiles = cut(channels, 2)

    assert tiles.shape == (6, 3, 2, 2)
    assert np.array_equal(tiles[0], channels[:, :2, :2]) and np.array_equal(tiles[5], channels[:, 2:, 4:])
    assert np.array_equal(join(tiles, 4, 6), channels)


def test_edges_are_repeated() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (9, 3, 3)).astype(np.uint8)

    square, whole = to_square(rgb), padded(rgb, 4)

    assert square.shape == (9, 9, 3) and whole.shape == (12, 4, 3)
    assert np.array_equal(square[:, :3], rgb) and (square[:, 3:] == rgb[:, 2:]).all()
    assert (whole[9:, :3] == rgb[8]).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 200)])
def test_a_sliver_is_a_square_that_can_be_covered(size: tuple[int, int]) -> None:
    side = max(*size, 8)

    assert to_square(np.zeros((*size, 3), np.uint8)).shape == (side, side, 3)
