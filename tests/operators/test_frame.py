"""Faces as parallel arrays, and pictures as detectors see them."""

from __future__ import annotations

import numpy as np
import pytest

from operators.frame import PIXEL_FORMATS, Faces, Picture, to_bgr


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
