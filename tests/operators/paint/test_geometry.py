"""Which samples a cover touches: always whole ones, always outwards."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.frame import PIXEL_FORMATS, Cover, Picture
from operators.paint.geometry import Rect, grid_of, region_of, shape_of, steps_of, touched, window
from tests.operators.pictures import flat

Box = tuple[float, float, float, float]
FORMATS = st.sampled_from(["yuv420p", "yuv422p", "yuv444p"])
SIZES = st.integers(1, 40)


@pytest.mark.parametrize(
    ("name", "size", "box", "inner"),
    [
        pytest.param("yuv420p", (40, 30), (4, 6, 12, 10), (4, 6, 12, 10), id="on whole samples"),
        pytest.param("yuv420p", (40, 30), (5, 7, 11, 9), (4, 6, 12, 10), id="odd sides"),
        pytest.param("yuv420p", (40, 30), (4.9, 6.1, 11.1, 9.9), (4, 6, 12, 10), id="fractions"),
        pytest.param("yuv422p", (40, 30), (5, 7, 11, 9), (4, 7, 12, 9), id="odd sides in 4:2:2"),
        pytest.param("yuv444p", (40, 30), (5, 7, 11, 9), (5, 7, 11, 9), id="odd sides in 4:4:4"),
        pytest.param("yuv420p", (40, 30), (-7, -7, 3, 3), (0, 0, 4, 4), id="over the upper left corner"),
        pytest.param("yuv420p", (39, 29), (35, 25, 60, 60), (34, 24, 39, 29), id="to the edge of an odd picture"),
        pytest.param("yuv444p", (40, 30), (10.2, 10.2, 10.4, 10.4), (9, 9, 11, 11), id="less than a pixel becomes one"),
        pytest.param("yuv444p", (40, 30), (10.5, 10.5, 10.5, 10.5), (10, 10, 11, 11), id="a point becomes a pixel"),
    ],
)
def test_regions_by_hand(name: str, size: tuple[int, int], box: Box, inner: Rect) -> None:
    region = region_of(flat(name, *size), Cover(box))

    assert region is not None
    assert region.inner == region.outer == inner


def test_the_soft_edge_is_a_fraction_of_the_cover_on_each_side() -> None:
    region = region_of(flat("yuv420p", 100, 100), Cover((40, 40, 60, 80), feather=0.1))

    assert region is not None
    assert (region.box, region.inner, region.outer) == ((40, 40, 60, 80), (40, 40, 60, 80), (38, 36, 62, 84))


@pytest.mark.parametrize("box", [(40, 0, 50, 9), (0, 30, 9, 40), (-9, 0, 0, 9), (0, -9, 9, 0)], ids=str)
def test_a_cover_outside_of_the_picture_has_no_region(box: Box) -> None:
    assert region_of(flat("yuv420p", 40, 30), Cover(box, feather=1.0)) is None


@given(FORMATS, SIZES, SIZES, st.tuples(*[st.floats(-20, 50)] * 2), st.tuples(*[st.floats(0, 60)] * 2), st.floats(0, 1))
def test_regions_are_rounded_outwards_and_by_less_than_a_sample(
    name: str, width: int, height: int, corner: tuple[float, float], sides: tuple[float, float], feather: float
) -> None:
    shown = flat(name, width, height)

    region = region_of(shown, Cover((*corner, corner[0] + sides[0], corner[1] + sides[1]), feather=feather))

    if region is None:
        return
    box, inner, outer = region
    fmt = shown.format
    for axis, step, end in ((0, fmt.subsample_x, width), (1, fmt.subsample_y, height)):
        low, high = max(box[axis], 0), min(box[axis + 2], end)
        assert box[axis + 2] - box[axis] > 1 - 1e-9
        assert 0 <= outer[axis] <= inner[axis] <= low < high <= inner[axis + 2] <= outer[axis + 2] <= end
        assert low - inner[axis] < step and inner[axis + 2] - high < step
        assert inner[axis] % step == 0 and (inner[axis + 2] % step == 0 or inner[axis + 2] == end)


@pytest.mark.parametrize(
    ("box", "cells", "inner", "grid"),
    [
        pytest.param((0, 0, 100, 60), 4, (0, 0, 100, 60), (4, 4), id="as many as wanted"),
        pytest.param((0, 0, 100, 12), 4, (0, 0, 100, 12), (4, 3), id="none below 4 pixels"),
        pytest.param((0, 0, 3, 3), 4, (0, 0, 4, 4), (1, 1), id="one at least"),
        pytest.param((-50, 0, 50, 60), 4, (0, 0, 50, 60), (2, 4), id="half of it is outside"),
        pytest.param((-99, 0, 1, 60), 4, (0, 0, 2, 60), (1, 4), id="nearly all of it is outside"),
        pytest.param((0.5, 0.5, 63.5, 63.5), 16, (0, 0, 64, 64), (16, 16), id="rounding outwards adds none"),
    ],
)
def test_cells_by_hand(box: Box, cells: int, inner: tuple[int, int, int, int], grid: tuple[int, int]) -> None:
    assert grid_of(box, Cover(box, cells=cells), Rect(*inner)) == grid


@given(st.tuples(*[st.floats(-99, 99)] * 2), st.tuples(*[st.floats(1, 200)] * 2), st.integers(1, 16))
def test_never_more_cells_than_wanted_nor_cells_below_4_pixels(
    corner: tuple[float, float], sides: tuple[float, float], cells: int
) -> None:
    cover = Cover((*corner, corner[0] + sides[0], corner[1] + sides[1]), cells=cells)
    region = region_of(flat("yuv420p", 80, 60), cover)

    if region is None:
        return
    grid = grid_of(region.box, cover, region.inner)

    for count, seen in zip(grid, (region.inner.x2 - region.inner.x1, region.inner.y2 - region.inner.y1), strict=True):
        assert 1 <= count <= cells
        assert count == 1 or seen / count >= 4


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((4, 6, 12, 10), (4, 6, 12, 10)),
        ((4.1, 6.9, 11.1, 9.9), (4, 6, 12, 10)),
        ((-4.1, -6, 11, 9), (0, 0, 11, 9)),
        ((-4, -6, -1, -2), (0, 0, 0, 0)),
    ],
)
def test_pixels_that_a_box_touches(box: Box, pixels: tuple[int, int, int, int]) -> None:
    assert touched(box) == pixels


@pytest.mark.parametrize(
    ("step", "rows", "columns"),
    [((1, 1), (7, 10), (5, 12)), ((2, 1), (7, 10), (2, 6)), ((2, 2), (3, 5), (2, 6)), ((1, 2), (3, 5), (5, 12))],
)
def test_samples_of_a_plane(step: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> None:
    rect = Rect(5, 7, 12, 10)

    assert window(rect, step) == (slice(*rows), slice(*columns))
    assert shape_of(rect, step) == (rows[1] - rows[0], columns[1] - columns[0])


@pytest.mark.parametrize("name", PIXEL_FORMATS)
@pytest.mark.parametrize("size", [(16, 12), (17, 13)])
def test_the_window_of_a_whole_picture_is_its_planes(name: str, size: tuple[int, int]) -> None:
    shown: Picture = flat(name, *size)

    shapes = [shape_of(Rect(0, 0, *size), step) for step in steps_of(shown)]

    assert shapes == [plane.shape for plane in shown.planes]
    assert all(math.prod(step) in (1, 2, 4) for step in steps_of(shown))
