"""Faces as parallel arrays, and pictures as detectors see them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.frame import PIXEL_FORMATS, Faces, Frame, Picture, to_bgr, to_bgr_of_size
from tests.operators.pictures import flat, halves, noise

COLUMNS = ("boxes", "scores", "landmarks", "tracks", "kept", "seen")
RED, BLUE = (81, 90, 240), (41, 240, 110)
"""Y, U, V in 8 bits of BT.601."""


def some_faces(n: int, *, first: int = 0, data: bool = True) -> Faces:
    """Faces that differ in every column; `age` and `votes` are further data."""
    rows = np.arange(first, first + n)
    return Faces.of(
        rows[:, None] + np.arange(4),
        rows / 100,
        landmarks=rows[:, None, None] + np.zeros((n, 5, 2)),
        tracks=rows,
        kept=rows % 2 == 0,
        seen=rows % 3 == 0,
        data={"age": rows + 0.5, "votes": np.stack([rows, rows * 2], axis=1)} if data else None,
    )


def columns_of(faces: Faces) -> dict[str, list[Any]]:
    """All that is known of the faces; tests compare it where nothing is NaN."""
    return {name: getattr(faces, name).tolist() for name in COLUMNS} | {
        name: array.tolist() for name, array in faces.data.items()
    }


@pytest.mark.parametrize(
    ("name", "size", "luma", "chroma", "n_bytes"),
    [
        ("yuv420p", (6, 4), (4, 6), (2, 3), 36),
        ("yuv420p", (7, 5), (5, 7), (3, 4), 59),
        ("yuv422p", (7, 5), (5, 7), (5, 4), 75),
        ("yuv444p", (7, 5), (5, 7), (5, 7), 105),
        ("yuv420p10le", (7, 5), (5, 7), (3, 4), 118),
        ("yuv422p10le", (7, 5), (5, 7), (5, 4), 150),
        ("yuv444p10le", (1, 1), (1, 1), (1, 1), 6),
    ],
)
def test_planes_by_hand(
    name: str, size: tuple[int, int], luma: tuple[int, int], chroma: tuple[int, int], n_bytes: int
) -> None:
    layout = PIXEL_FORMATS[name]

    assert layout.name == name
    assert layout.plane_shapes(*size) == (luma, chroma, chroma)
    assert layout.frame_bytes(*size) == n_bytes
    assert sum(plane.nbytes for plane in flat(name, *size).planes) == n_bytes


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
@pytest.mark.parametrize("size", [(32, 16), (33, 17)])
def test_colours_lie_where_their_samples_lie(name: str, size: tuple[int, int]) -> None:
    """The samples next to the edge between two colours are left out: some formats are interpolated there."""
    shown = to_bgr(halves(name, *size, RED, BLUE)).astype(int)

    assert np.abs(shown[:, :14] - (0, 0, 255)).max() <= 4
    assert np.abs(shown[:, 18:] - (255, 0, 0)).max() <= 4


@pytest.mark.parametrize("name", PIXEL_FORMATS)
@pytest.mark.parametrize("size", [(32, 16), (33, 17)])
def test_luma_is_not_shifted(name: str, size: tuple[int, int]) -> None:
    shown = flat(name, *size, (16, 128, 128))
    shown.planes[0][9, 21] = 235 << (shown.format.bits - 8)

    bright = np.argwhere(to_bgr(shown)[..., 0] > 128)

    assert bright.tolist() == [[9, 21]]


@pytest.mark.parametrize("size", [(32, 16), (33, 17)])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv444p"])
def test_10_bits_are_seen_as_their_upper_8(name: str, size: tuple[int, int]) -> None:
    fine = noise(name + "10le", *size)
    y, u, v = ((plane // 4).astype(np.uint8) for plane in fine.planes)
    coarse = Picture((y, u, v), PIXEL_FORMATS[name])

    assert np.array_equal(to_bgr(fine), to_bgr(coarse))


def test_a_picture_in_its_own_size_is_converted_alike() -> None:
    shown = noise("yuv420p", 32, 16)

    assert np.array_equal(to_bgr_of_size(shown, (32, 16)), to_bgr(shown))


@pytest.mark.parametrize("name", PIXEL_FORMATS)
def test_a_picture_made_smaller_is_averaged(name: str) -> None:
    """Every fourth column is white: a quarter of 255 is left, and not nothing, as between the middle columns."""
    shown = flat(name, 64, 32, (16, 128, 128))
    shown.planes[0][:, ::4] = 235 << (shown.format.bits - 8)

    small = to_bgr_of_size(shown, (16, 8)).astype(int)

    assert np.abs(small - 255 / 4).max() <= 3


@pytest.mark.parametrize("name", PIXEL_FORMATS)
@pytest.mark.parametrize(("size", "middle"), [((8, 4), 4), ((20, 10), 10), ((64, 40), 32)])
def test_a_picture_of_another_size_shows_the_same_places(name: str, size: tuple[int, int], middle: int) -> None:
    shown = to_bgr_of_size(halves(name, 32, 16, RED, BLUE), size).astype(int)

    assert np.abs(shown[:, : middle - 2] - (0, 0, 255)).max() <= 4
    assert np.abs(shown[:, middle + 2 :] - (255, 0, 0)).max() <= 4


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


def test_a_part_of_a_part_and_a_part_that_reaches_to_an_odd_edge() -> None:
    shown = replace(noise("yuv420p", 33, 17), full_range=True, matrix=9)

    part = shown.part(4, 2, 33, 17).part(2, 4, 29, 15)

    assert (part.full_range, part.matrix) == (True, 9)
    for found, expected in zip(part.planes, shown.part(6, 6, 33, 17).planes, strict=True):
        assert np.array_equal(found, expected)
    assert [plane.shape for plane in part.planes] == [(11, 27), (6, 14), (6, 14)]


def test_faces_of_boxes_alone() -> None:
    faces = Faces.of([[1, 2, 3, 4], [5, 6, 7, 8]])

    assert len(faces) == 2
    assert np.isnan(faces.landmarks).all()
    assert columns_of(replace(faces, landmarks=np.zeros((2, 5, 2)))) == {
        "boxes": [[1, 2, 3, 4], [5, 6, 7, 8]], "scores": [1, 1], "landmarks": np.zeros((2, 5, 2)).tolist(),
        "tracks": [-1, -1], "kept": [False, False], "seen": [True, True],
    }  # fmt: skip


@pytest.mark.parametrize("faces", [Faces.of(), some_faces(3), Faces.of([[1, 2, 3, 4]])], ids=["none", "all", "boxes"])
def test_columns_have_their_types_and_shapes(faces: Faces) -> None:
    n = len(faces)

    assert {name: (getattr(faces, name).dtype, getattr(faces, name).shape) for name in COLUMNS} == {
        "boxes": (np.float32, (n, 4)), "scores": (np.float32, (n,)), "landmarks": (np.float32, (n, 5, 2)),
        "tracks": (np.int64, (n,)), "kept": (np.bool_, (n,)), "seen": (np.bool_, (n,)),
    }  # fmt: skip


@given(
    st.slices(6)
    | st.lists(st.integers(-6, 5), max_size=8).map(lambda rows: np.array(rows, np.int64))
    | st.lists(st.booleans(), min_size=6, max_size=6)
    | st.integers(-6, 5)
)
def test_rows_are_chosen_in_every_column_alike(rows: Any) -> None:
    faces = some_faces(6)
    wanted = np.atleast_1d(np.arange(6)[rows]).tolist()

    chosen = faces[rows]

    whole = columns_of(faces)
    assert columns_of(chosen) == {name: [whole[name][row] for row in wanted] for name in whole}
    assert len(faces) == 6


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_joined_faces_are_one_after_the_other(a: int, b: int, c: int) -> None:
    one, two, three = some_faces(a), some_faces(b, first=a), some_faces(c, first=a + b)

    assert columns_of(one + two + three) == columns_of(some_faces(a + b + c))
    assert columns_of(one + (two + three)) == columns_of((one + two) + three)
    assert columns_of((one + two)[:a]) == columns_of(one)


def test_data_that_one_side_lacks_is_filled() -> None:
    both = some_faces(2, data=False) + some_faces(1, first=7)
    reverse = some_faces(1, first=7) + some_faces(1, data=False)

    assert np.isnan(both.data["age"][:2]).all() and both.data["age"][2] == 7.5
    assert both.data["votes"].tolist() == [[0, 0], [0, 0], [7, 14]]
    assert np.isnan(reverse.data["age"][1]) and reverse.data["age"][0] == 7.5
    assert both.data["votes"].dtype == some_faces(1).data["votes"].dtype


def test_data_is_added_to_a_copy_and_replaced_by_name() -> None:
    faces = some_faces(2)

    richer = faces.with_data(pose=np.zeros((2, 4, 4)), age=np.array([8.0, 9.0]))

    assert sorted(richer.data) == ["age", "pose", "votes"]
    assert richer.data["age"].tolist() == [8, 9]
    assert faces.data["age"].tolist() == [0.5, 1.5]


def test_detections_are_rows_and_tracks_of_faces_that_were_seen() -> None:
    faces = Faces.of(np.zeros((4, 4)), tracks=[7, 3, 9, 5], seen=[True, False, True, False])

    assert Frame("s", 0, 0.0, flat(), faces).detections == [(0, 7), (2, 9)]


def test_a_picture_is_converted_once_and_anew_for_another_picture() -> None:
    frame = Frame("s", 0, 0.0, flat("yuv420p", 8, 8, RED))
    later = replace(frame, picture=flat("yuv420p", 8, 8, BLUE))

    assert frame.bgr is frame.bgr
    assert frame.bgr[0, 0].argmax() == 2
    assert later.bgr[0, 0].argmax() == 0


def test_faces_are_chosen_and_joined_row_by_row() -> None:
    one = Faces.of([[0, 0, 9, 9], [5, 5, 9, 9]], [0.9, 0.4], tracks=[1, 2], data={"age": np.array([30.0, 40.0])})
    two = Faces.of([[1, 1, 2, 2]], seen=[False])

    both = one[[False, True]] + two

    assert both.tracks.tolist() == [2, -1]
    assert both.seen.tolist() == [True, False]
    assert both.data["age"][0] == 40
    assert np.isnan(both.data["age"][1])


@pytest.mark.parametrize(
    ("column", "shape", "expected"),
    [
        ("boxes", (2, 5), "(2, 4)"),
        ("scores", (1,), "(2,)"),
        ("scores", (2, 1), "(2,)"),
        ("landmarks", (2, 5, 3), "(2, 5, 2)"),
        ("tracks", (3,), "(2,)"),
        ("kept", (0,), "(2,)"),
        ("seen", (1, 2), "(2,)"),
    ],
)
def test_a_column_of_another_shape_is_refused(column: str, shape: tuple[int, ...], expected: str) -> None:
    with pytest.raises(ValueError) as refused:
        replace(some_faces(2), **{column: np.zeros(shape)})  # type: ignore[arg-type]

    assert str(refused.value) == f"faces.{column}: expected shape {expected}, got {shape}"


def test_further_data_needs_a_row_for_each_face() -> None:
    with pytest.raises(ValueError, match=r"faces.data\['mesh'\]: expected 2 rows, got 3"):
        some_faces(2).with_data(mesh=np.zeros((3, 478, 3)))
