"""Pictures brought to how they are shown for networks, and points and boxes brought back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.shown import Shown
from operators.stills import frame_of
from operators.upright import (
    boxes_to_coded,
    boxes_to_upright,
    crop_view,
    points_to_coded,
    points_to_upright,
    upright,
    upright_bgr,
)
from tests.operators.pictures import rectangle

WIDTH, HEIGHT = 40, 30
ROTATIONS = st.sampled_from([0, 90, 180, 270, -90, 450])
SHOWN = st.builds(
    lambda degrees, mirrored, aspect: Shown.turned(degrees, mirrored=mirrored, sample_aspect=aspect),
    ROTATIONS,
    st.booleans(),
    st.sampled_from([Fraction(1), Fraction(4), Fraction(1, 2)]),
)
POINTS = st.lists(st.tuples(st.integers(-9, 49), st.integers(-9, 39)), max_size=5)
MIRRORS = [Shown.turned(degrees, mirrored=mirrored) for degrees in (0, 90, 180, 270) for mirrored in (False, True)]


@pytest.mark.parametrize("shown", MIRRORS, ids=str)
def test_points_follow_their_pixel(shown: Shown) -> None:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[5, 7] = 1

    y, x = np.argwhere(upright(image, shown))[0]
    turned = points_to_upright(np.array([7.5, 5.5]), shown, WIDTH, HEIGHT)

    assert turned.tolist() == [x + 0.5, y + 0.5]
    assert points_to_coded(turned, shown, WIDTH, HEIGHT).tolist() == [7.5, 5.5]


@pytest.mark.parametrize(
    ("shown", "point", "box"),
    [
        pytest.param(Shown(), (7, 5), (2, 3, 12, 8), id="as it is"),
        pytest.param(Shown.turned(90), (5, 33), (3, 28, 8, 38), id="counter-clockwise"),
        pytest.param(Shown.turned(180), (33, 25), (28, 22, 38, 27), id="upside down"),
        pytest.param(Shown.turned(270), (25, 7), (22, 2, 27, 12), id="clockwise"),
        pytest.param(Shown.turned(-90), (25, 7), (22, 2, 27, 12), id="clockwise, as a negative number"),
        pytest.param(Shown.turned(100), (5, 33), (3, 28, 8, 38), id="nearly a quarter turn"),
        pytest.param(Shown.turned(0, mirrored=True), (33, 5), (28, 3, 38, 8), id="mirrored"),
        pytest.param(Shown.turned(90, mirrored=True), (25, 33), (22, 28, 27, 38), id="turned and mirrored"),
        pytest.param(Shown.turned(0, sample_aspect=4), (28, 5), (8, 3, 48, 8), id="samples four times as wide"),
        pytest.param(Shown.turned(0, sample_aspect=Fraction(1, 2)), (7, 10), (2, 6, 12, 16), id="twice as high"),
        pytest.param(Shown.turned(90, sample_aspect=2), (5, 66), (3, 56, 8, 76), id="stretched, then turned"),
    ],
)
def test_by_hand(shown: Shown, point: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    """Of a picture 40 wide and 30 high."""
    coded_point, coded_box = np.array([7.0, 5.0]), np.array([[2.0, 3.0, 12.0, 8.0]])

    assert points_to_upright(coded_point, shown, WIDTH, HEIGHT).tolist() == list(point)
    assert boxes_to_upright(coded_box, shown, WIDTH, HEIGHT).tolist() == [list(box)]


@given(SHOWN, POINTS)
def test_points_go_there_and_back(shown: Shown, points: list[tuple[int, int]]) -> None:
    coded = np.array(points, np.float32).reshape(-1, 1, 2)

    turned = points_to_upright(coded, shown, WIDTH, HEIGHT)

    assert np.array_equal(points_to_coded(turned, shown, WIDTH, HEIGHT), coded)
    assert turned.dtype == np.float32


@given(POINTS)
def test_four_quarter_turns_change_nothing(points: list[tuple[int, int]]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    turned, moved, size, quarter = image, np.array(points, np.float32).reshape(-1, 2), (WIDTH, HEIGHT), Shown.turned(90)

    for _ in range(4):
        turned, moved, size = upright(turned, quarter), points_to_upright(moved, quarter, *size), size[::-1]

    assert np.array_equal(turned, image)
    assert moved.tolist() == [list(point) for point in points]


@given(ROTATIONS, ROTATIONS)
def test_two_turns_are_one_of_their_sum(first: int, second: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)

    twice = upright(upright(image, Shown.turned(first)), Shown.turned(second))

    assert np.array_equal(twice, upright(image, Shown.turned(first + second)))


@given(SHOWN, st.integers(0, 30), st.integers(0, 20), st.integers(1, 10), st.integers(1, 10))
def test_a_box_holds_the_same_pixels_in_both_pictures(shown: Shown, x: int, y: int, w: int, h: int) -> None:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[y : y + h, x : x + w] = 1
    coded = np.array([[x, y, x + w, y + h]])
    across, down = (
        side // whole for side, whole in zip(shown.square_size(WIDTH, HEIGHT), (WIDTH, HEIGHT), strict=True)
    )

    turned = boxes_to_upright(coded, shown, WIDTH, HEIGHT)

    assert turned[0].tolist() == list(rectangle(upright(image.repeat(down, 0).repeat(across, 1), shown)))
    assert np.array_equal(boxes_to_coded(turned, shown, WIDTH, HEIGHT), coded)


@pytest.mark.parametrize("shown", MIRRORS, ids=str)
def test_unknown_landmarks_stay_unknown_and_no_boxes_stay_none(shown: Shown) -> None:
    points = np.full((2, 5, 2), np.nan, np.float32)

    assert np.isnan(points_to_coded(points, shown, WIDTH, HEIGHT)).all()
    assert boxes_to_coded(np.zeros((0, 4), np.float32), shown, WIDTH, HEIGHT).shape == (0, 4)


@pytest.mark.parametrize("shown", MIRRORS, ids=str)
def test_turning_copies_no_pixels(shown: Shown) -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    assert np.shares_memory(upright(image, shown), image)


def test_a_picture_in_square_samples() -> None:
    """Its left half is white: shown four times as wide and mirrored, the right half is."""
    image = np.zeros((32, 16, 3), np.uint8)
    image[:, :8] = 255

    seen = upright_bgr(frame_of(image, shown=Shown.turned(0, mirrored=True, sample_aspect=4)))

    assert seen.shape == (32, 64, 3)
    assert seen[:, :28].max() < 9 and seen[:, 36:].min() > 246


def test_what_levelled_squares_are_cut_from() -> None:
    image, points = np.zeros((30, 40, 3), np.uint8), np.array([[[2.0, 3.0, 0.5]]])

    (plain, same), (stretched, moved), (_, mirrored) = (
        crop_view(frame_of(image, shown=shown), points)
        for shown in (Shown.turned(90), Shown.turned(0, sample_aspect=4), Shown.turned(0, mirrored=True))
    )

    assert plain.shape == (30, 40, 3) and same is points
    assert stretched.shape == (30, 160, 3) and moved.tolist() == [[[8, 3, 0.5]]]
    assert mirrored.tolist() == [[[38, 3, 0.5]]]
    assert points.tolist() == [[[2, 3, 0.5]]]
