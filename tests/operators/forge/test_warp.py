"""Features come to lie where they are wanted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.arrays import Array
from operators.forge.warp import FEATURES, apply, similarity, warp
from tests.operators.forge.faces import SIZE, made_face

FACE = made_face(0)
SQUARE = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])


@pytest.mark.parametrize("shift", [(6, 0), (0, -5), (3, 4)])
def test_moved_points_move_the_picture(shift: tuple[int, int]) -> None:
    warped = warp(FACE.pixels, FACE.points, FACE.points + np.array(shift))

    inner = np.s_[20:-20, 20:-20]
    rolled = np.roll(FACE.pixels, shift[::-1], axis=(0, 1))
    assert np.abs(warped[inner].astype(int) - rolled[inner]).max() <= 3
    assert warped.shape == FACE.pixels.shape and warped.dtype == np.uint8


@pytest.mark.parametrize("size", [64, 96, 99])
def test_a_warp_onto_itself_changes_nothing(size: int) -> None:
    face = made_face(0, size)

    warped = warp(face.pixels, face.points, face.points)

    assert np.abs(warped.astype(int) - face.pixels).max() <= 3


def test_points_that_are_no_features_do_not_count() -> None:
    others = np.setdiff1d(np.arange(478), FEATURES)
    elsewhere = FACE.points.copy()
    elsewhere[others] += 20

    plain, other = (warp(FACE.pixels, FACE.points, onto) for onto in (FACE.points, elsewhere))

    np.testing.assert_array_equal(plain, other)


@pytest.mark.parametrize(
    ("onto", "affine"),
    [
        pytest.param(SQUARE, [[1, 0, 0], [0, 1, 0]], id="itself"),
        pytest.param(SQUARE + np.array([5, -1]), [[1, 0, 5], [0, 1, -1]], id="shifted"),
        pytest.param(SQUARE * 3, [[3, 0, 0], [0, 3, 0]], id="three times as large"),
        pytest.param(SQUARE @ [[0, 1], [-1, 0]], [[0, -1, 0], [1, 0, 0]], id="a quarter turn"),
        pytest.param(SQUARE * np.array([2, 1]), [[1.5, 0, 0.5], [0, 1.5, -0.5]], id="stretched: between both"),
    ],
)
def test_similarities_by_hand(onto: Array, affine: list[list[float]]) -> None:
    assert similarity(SQUARE, onto) == pytest.approx(np.array(affine), abs=1e-12)


@given(st.floats(-3, 3), st.floats(0.2, 5), st.floats(-50, 50), st.floats(-50, 50))
def test_any_turn_scale_and_shift_is_found(angle: float, scale: float, x: float, y: float) -> None:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    done = np.array([[c, -s, x], [s, c, y]])

    points = FACE.points.astype(np.float64)

    assert similarity(points, apply(done, points)) == pytest.approx(done, abs=1e-6)


def test_features_lie_within_the_picture() -> None:
    assert len(FEATURES) == len(set(FEATURES)) > 100 and FACE.points[FEATURES].max() < SIZE
