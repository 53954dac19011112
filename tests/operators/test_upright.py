"""Pictures turned for networks, and points and boxes turned back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.upright import boxes_to_coded, boxes_to_upright, points_to_coded, points_to_upright, upright
from tests.operators.pictures import rectangle

WIDTH, HEIGHT = 40, 30
ROTATIONS = st.sampled_from([0, 90, 180, 270, -90, 450])
POINTS = st.lists(st.tuples(st.integers(-9, 49), st.integers(-9, 39)), max_size=5)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90, 450])
def test_points_follow_their_pixel(rotation: int) -> None:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[5, 7] = 1

    y, x = np.argwhere(upright(image, rotation))[0]
    turned = points_to_upright(np.array([7.5, 5.5]), rotation, WIDTH, HEIGHT)

    assert turned.tolist() == [x + 0.5, y + 0.5]
    assert points_to_coded(turned, rotation, WIDTH, HEIGHT).tolist() == [7.5, 5.5]


@pytest.mark.parametrize(
    ("rotation", "point", "box"),
    [
        pytest.param(0, (7, 5), (2, 3, 12, 8), id="as it is"),
        pytest.param(90, (5, 33), (3, 28, 8, 38), id="counter-clockwise"),
        pytest.param(180, (33, 25), (28, 22, 38, 27), id="upside down"),
        pytest.param(270, (25, 7), (22, 2, 27, 12), id="clockwise"),
        pytest.param(-90, (25, 7), (22, 2, 27, 12), id="clockwise, as a negative number"),
        pytest.param(100, (7, 5), (2, 3, 12, 8), id="no quarter turn"),
    ],
)
def test_turns_by_hand(rotation: int, point: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    """Of a picture 40 wide and 30 high."""
    coded_point, coded_box = np.array([7.0, 5.0]), np.array([[2.0, 3.0, 12.0, 8.0]])

    assert points_to_upright(coded_point, rotation, WIDTH, HEIGHT).tolist() == list(point)
    assert boxes_to_upright(coded_box, rotation, WIDTH, HEIGHT).tolist() == [list(box)]


@given(ROTATIONS, POINTS)
def test_points_go_there_and_back(rotation: int, points: list[tuple[int, int]]) -> None:
    coded = np.array(points, np.float32).reshape(-1, 1, 2)

    turned = points_to_upright(coded, rotation, WIDTH, HEIGHT)

    assert np.array_equal(points_to_coded(turned, rotation, WIDTH, HEIGHT), coded)


@given(POINTS)
def test_four_quarter_turns_change_nothing(points: list[tuple[int, int]]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    turned, moved, size = image, np.array(points, np.float32).reshape(-1, 2), (WIDTH, HEIGHT)

    for _ in range(4):
        turned, moved, size = upright(turned, 90), points_to_upright(moved, 90, *size), size[::-1]

    assert np.array_equal(turned, image)
    assert moved.tolist() == [list(point) for point in points]


@given(ROTATIONS, ROTATIONS)
def test_two_turns_are_one_of_their_sum(first: int, second: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)

    assert np.array_equal(upright(upright(image, first), second), upright(image, first + second))


@given(ROTATIONS, st.integers(0, 30), st.integers(0, 20), st.integers(1, 10), st.integers(1, 10))
def test_a_box_holds_the_same_pixels_in_both_pictures(rotation: int, x: int, y: int, w: int, h: int) -> None:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[y : y + h, x : x + w] = 1
    coded = np.array([[x, y, x + w, y + h]])

    turned = boxes_to_upright(coded, rotation, WIDTH, HEIGHT)

    assert turned[0].tolist() == list(rectangle(upright(image, rotation)))
    assert np.array_equal(boxes_to_coded(turned, rotation, WIDTH, HEIGHT), coded)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_unknown_landmarks_stay_unknown_and_no_boxes_stay_none(rotation: int) -> None:
    points = np.full((2, 5, 2), np.nan, np.float32)

    assert np.isnan(points_to_coded(points, rotation, WIDTH, HEIGHT)).all()
    assert boxes_to_coded(np.zeros((0, 4), np.float32), rotation, WIDTH, HEIGHT).shape == (0, 4)


def test_only_quarter_turns() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)

    assert upright(image, 120).tolist() == image.tolist()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turning_copies_no_pixels(rotation: int) -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    assert np.shares_memory(upright(image, rotation), image)
