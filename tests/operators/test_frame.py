"""Faces as parallel arrays, and pictures as detectors see them."""

from __future__ import annotations

import numpy as np
import pytest

from operators.frame import PIXEL_FORMATS, Faces, Picture, to_bgr, to_bgr_of_size


@pytest.mark.parametrize("name", PIXEL_FORMATS)
@pytest.mark.parametrize("size", [(32, 16), (33, 17)])
@pytest.mark.parametrize(
    ("yuv", "bgr"),
    [((16, 128, 128), (0, 0, 0)), ((235, 128, 128), (255, 255, 255)), ((81, 90, 240), (0, 0, 255))],
    ids=["black", "white", "red"],
)
def test_colours_are_right_in_every_format(
    name: str, size: tuple[int, int], yuv: tuple[int, int, int], bgr: tuple[int, int, int]
) -> None:
    layout = PIXEL_FORMATS[name]
    shift = layout.bits - 8
    y, u, v = (
        np.full(shape, value << shift, layout.dtype)
        for shape, value in zip(layout.plane_shapes(*size), yuv, strict=True)
    )

    picture = to_bgr(Picture((y, u, v), layout))

    assert picture.shape == (size[1], size[0], 3)
    assert np.abs(picture.astype(int) - bgr).max() <= 3
    for smaller_or_larger in ((8, 6), (64, 34)):
        resized = to_bgr_of_size(Picture((y, u, v), layout), smaller_or_larger)
        assert resized.shape == (*smaller_or_larger[::-1], 3)
        assert np.abs(resized.astype(int) - bgr).max() <= 3


@pytest.mark.parametrize("name", PIXEL_FORMATS)
def test_a_part_of_a_picture_is_a_view_of_the_same_places(name: str) -> None:
    layout = PIXEL_FORMATS[name]
    planes = [np.arange(rows * columns).reshape(rows, columns) for rows, columns in layout.plane_shapes(16, 12)]

    part = Picture((planes[0], planes[1], planes[2]), layout).part(4, 2, 11, 8)

    assert (part.width, part.height) == (7, 6)
    assert [plane.shape for plane in part.planes] == list(layout.plane_shapes(7, 6))
    across, down = layout.subsample_x, layout.subsample_y
    assert [plane[0, 0] for plane in part.planes] == [
        planes[0][2, 4], planes[1][2 // down, 4 // across], planes[2][2 // down, 4 // across],
    ]  # fmt: skip
    assert all(np.shares_memory(one, other) for one, other in zip(part.planes, planes, strict=True))


def test_faces_are_chosen_and_joined_row_by_row() -> None:
    one = Faces.of([[0, 0, 9, 9], [5, 5, 9, 9]], [0.9, 0.4], tracks=[1, 2], data={"age": np.array([30.0, 40.0])})
    two = Faces.of([[1, 1, 2, 2]], seen=[False])

    both = one[[False, True]] + two

    assert both.tracks.tolist() == [2, -1]
    assert both.seen.tolist() == [True, False]
    assert both.data["age"][0] == 40
    assert np.isnan(both.data["age"][1])


def test_arrays_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"faces.tracks: expected shape \(1,\), got \(2,\)"):
        Faces(np.zeros((1, 4)), np.ones(1), np.zeros((1, 5, 2)), np.zeros(2), np.zeros(1), np.zeros(1))
