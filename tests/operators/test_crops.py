"""Crops: where they lie, and to the pixel how they are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.kernels.crops import Surface
from engines.kernels.crops import cut as cut_planes
from operators import crops
from tests.operators.forge.faces import made_face

MESH = np.concatenate([made_face(0).points, np.zeros((478, 1), np.float32)], axis=1)


@given(
    angle=st.floats(-3, 3), scale=st.floats(0.3, 4), x=st.floats(-50, 50), y=st.floats(-50, 50), margin=st.floats(1, 2)
)
def test_a_face_lies_in_its_crop_in_the_same_way_however_it_was_turned(
    angle: float, scale: float, x: float, y: float, margin: float
) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = MESH.copy()
    moved[:, :2] = MESH[:, :2] @ turn.T + (x, y)

    upright, turned = (
        crops.points_to_crop(mesh[None], crops.squares(mesh[None], 64, margin=margin)) for mesh in (MESH, moved)
    )

    np.testing.assert_allclose(turned, upright, atol=0.02)
    box = np.ptp(upright[0, : crops.CONTOUR], axis=0)
    assert box.max() == pytest.approx(64 / margin, rel=1e-4)
    middle = (upright[0, : crops.CONTOUR].max(axis=0) + upright[0, : crops.CONTOUR].min(axis=0)) / 2
    np.testing.assert_allclose(middle, 31.5, atol=0.01)


def test_no_mesh_no_square_and_no_faces_no_squares() -> None:
    assert np.isnan(crops.squares(np.full((1, 478, 3), np.nan), 64)).all()
    assert crops.squares(np.empty((0, 478, 3)), 64).shape == (0, 2, 3)
    assert crops.cut(np.zeros((8, 8, 3), np.uint8), np.empty((0, 2, 3)), 16).shape == (0, 16, 16, 3)


@pytest.mark.parametrize(
    ("box", "size", "margin", "scale", "corner"),
    [
        pytest.param((0, 0, 8, 8), 8, 1.0, 1, (0, 0), id="pixel by pixel"),
        pytest.param((10, 20, 30, 40), 10, 1.0, 2, (10.5, 20.5), id="half as large: between two pixels"),
        pytest.param((10, 20, 30, 30), 10, 1.0, 2, (10.5, 15.5), id="by the longer side, around the middle"),
        pytest.param((10, 20, 30, 40), 10, 1.5, 3, (6, 16), id="with a margin"),
        pytest.param((10, 20, 15, 25), 10, 1.0, 0.5, (9.75, 19.75), id="enlarged"),
    ],
)
def test_squares_around_boxes_by_hand(
    box: tuple[int, ...], size: int, margin: float, scale: float, corner: tuple[float, float]
) -> None:
    (affine,) = crops.boxes_to_squares(np.array([box]), size, margin=margin)

    np.testing.assert_allclose(affine, [[scale, 0, corner[0]], [0, scale, corner[1]]])


def test_no_boxes_no_squares() -> None:
    assert crops.boxes_to_squares(np.empty((0, 4)), 64).shape == (0, 2, 3)


def test_a_crop_that_is_not_levelled_is_not_turned() -> None:
    turned = MESH.copy()
    turned[:, :2] = MESH[:, :2] @ np.array([[0.8, 0.6], [-0.6, 0.8]])

    level, plain = (crops.squares(turned[None], 64, level=level)[0] for level in (True, False))

    assert plain[0, 1] == plain[1, 0] == 0 and plain[0, 0] == plain[1, 1] > 0
    assert abs(level[0, 1]) > 0.1


NUMBERS = st.floats(-40, 40)


@given(st.floats(-3, 3), st.floats(0.1, 5), NUMBERS, NUMBERS, st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1))
def test_points_come_back_into_the_crop_they_were_taken_from(
    angle: float, scale: float, x: float, y: float, points: list[tuple[float, float]]
) -> None:
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.concatenate([linear, [[x], [y]]], axis=1)
    inside = np.array(points)

    back = crops.points_to_crop((inside @ linear.T + (x, y))[None], affine[None])

    np.testing.assert_allclose(back[0], inside, atol=0.01)


def test_irises_do_not_move_the_square() -> None:
    staring = MESH.copy()
    staring[crops.CONTOUR :] += 100

    assert np.array_equal(crops.squares(staring[None], 64), crops.squares(MESH[None], 64))
    assert crops.CONTOUR == 468


def test_each_face_has_its_own_affine() -> None:
    """Points of 478 x 3, as a mesh has them; what is third is left out."""
    affines = np.array([[[1, 0, 5], [0, 1, 7]], [[2, 0, 0], [0, 2, 0]]], np.float64)
    points = np.array([[[5, 7, 99], [6, 9, 99]], [[4, 8, 99], [0, 2, 99]]], np.float32)

    assert crops.points_to_crop(points, affines).tolist() == [[[0, 0], [1, 2]], [[2, 4], [0, 1]]]


def test_what_lies_outside_of_the_picture_repeats_its_border() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 0], image[:, -1] = (10, 20, 30), (40, 50, 60)

    (crop,) = crops.cut(image, crops.boxes_to_squares(np.array([[-8, -8, 16, 16]]), 24), 24)

    assert np.unique(crop[:, :9].reshape(-1, 3), axis=0).tolist() == [[10, 20, 30]]
    assert np.unique(crop[:, 15:].reshape(-1, 3), axis=0).tolist() == [[40, 50, 60]]


def test_crops_of_another_size() -> None:
    checks = np.zeros((3, 8, 8, 3), np.uint8)
    checks[:, ::2, ::2] = checks[:, 1::2, 1::2] = 200

    assert crops.resize(checks, 8) is checks
    assert (crops.resize(checks, 4) == 100).all() and crops.resize(checks, 4).shape == (3, 4, 4, 3)
    assert crops.resize(checks, 16).shape == (3, 16, 16, 3)
    assert crops.resize(checks[:0], 4).shape == (0, 4, 4, 3)


@pytest.mark.parametrize(("count", "lengths"), [(0, []), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_batches_are_in_order_and_not_too_large(count: int, lengths: list[int]) -> None:
    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 6, 6, 3))

    batches = list(crops.batches(pixels, 3, max_rows=4))

    assert [len(batch) for batch in batches] == lengths
    assert [int(crop.max()) for batch in batches for crop in batch] == list(range(count))
    assert all(batch.shape[1:] == (3, 3, 3) for batch in batches)


def test_a_whole_picture_is_cut_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)

    (crop,) = crops.cut(image, crops.boxes_to_squares(np.array([[0, 0, 24, 24]]), 24), 24)

    np.testing.assert_array_equal(crop, image)


def test_reducing_by_a_whole_number_is_the_mean_of_areas() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)

    (crop,) = crops.cut(image, crops.boxes_to_squares(np.array([[0, 0, 30, 30]]), 10), 10)

    means = image.reshape(10, 3, 10, 3, 3).mean(axis=(1, 3))
    assert np.abs(crop - means).max() <= 1


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.3, 5.1])
def test_the_same_as_on_a_device(scale: float) -> None:
    """Grey planes, so that colours cannot differ; what is cut in numpy from planes defines what a GPU cuts."""
    grey = np.random.default_rng(1).integers(0, 256, (90, 120), np.uint8)
    flat = np.full((90, 120), 128, np.uint8)
    turn = scale * np.array([[0.9, -0.3], [0.3, 0.9]])
    affine = np.concatenate([turn, [[30.2], [20.7]]], axis=1)[None]

    ours = crops.cut(np.repeat(grey[:, :, None], 3, 2), affine, 16)[0, :, :, 0]
    theirs = cut_planes([Surface((grey, flat, flat), full_range=True)], [0], affine, (16, 16))[0, 0]

    assert np.abs(ours - theirs).max() <= 4  # OpenCV places samples on 1/32 of a pixel


def test_golden() -> None:
    """Pixels that a network was trained on must be those that it is given: this changes when cutting does."""
    y, x = np.mgrid[:50, :60]
    image = np.stack([x * 4, y * 5, (x * y) % 256], axis=2).astype(np.uint8)

    (crop,) = crops.cut(image, np.array([[[4.6, 1.5, 6.0], [-1.5, 4.6, 20.0]]]), 6)

    np.testing.assert_allclose(crop, GOLDEN, atol=1)


def test_input_of_a_network() -> None:
    pixels = np.full((1, 2, 2, 3), (0, 51, 255), np.uint8)

    given = crops.to_input(pixels, mean=(0.5, 0, 0), std=(0.5, 1, 2))

    assert given.shape == (1, 3, 2, 2) and given.dtype == np.float32
    np.testing.assert_allclose(given[0, :, 0, 0], [-1, 0.2, 0.5], rtol=1e-6)


GOLDEN = [
    [[24, 100, 120], [42, 93, 187], [61, 85, 132], [79, 77, 74], [98, 70, 86], [116, 63, 106]],
    [[30, 123, 176], [48, 115, 100], [67, 108, 105], [85, 101, 170], [104, 93, 148], [122, 85, 122]],
    [[36, 146, 121], [54, 139, 121], [73, 131, 157], [91, 123, 97], [110, 116, 124], [128, 109, 151]],
    [[42, 169, 99], [60, 161, 148], [79, 154, 105], [97, 147, 150], [116, 139, 113], [134, 131, 113]],
    [[48, 192, 151], [66, 185, 111], [85, 177, 137], [103, 169, 114], [122, 162, 149], [140, 155, 127]],
    [[54, 215, 106], [72, 207, 136], [91, 200, 127], [109, 193, 114], [128, 185, 130], [146, 177, 121]],
]  # fmt: skip
