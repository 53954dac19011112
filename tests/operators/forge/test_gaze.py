"""Irises are moved within their lids, by as much as is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.forge import gaze
from operators.forge.gaze import LEAST, MOST, cross_eyes, iris, shift_irises
from operators.forge.regions import LEFT_EYE, RIGHT_EYE, RIGHT_IRIS
from tests.operators.forge.faces import SIZE, made_face

FACE = made_face(0)


def dark(pixels: NDArray[np.uint8], half: slice) -> float:
    """Where across the picture the dark of the iris in this half of it lies."""
    columns = np.arange(SIZE)[half]
    weight = (255 - pixels[36:46, half].mean(axis=2)).clip(150) - 150
    return float((weight.sum(axis=0) * columns).sum() / weight.sum())


def moved(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Of the person's right and left eye, in widths of the eye."""
    sides = slice(0, SIZE // 2), slice(SIZE // 2, SIZE)
    right, left = (dark(pixels, side) - dark(FACE.pixels, side) for side in sides)
    return right / (0.16 * SIZE), left / (0.16 * SIZE)


def test_irises_move_by_what_was_asked() -> None:
    """A quarter of an eye's width of 0.16 of the picture, to the right in it: the right eye alone."""
    forged = shift_irises(FACE, right=(0.25, 0.0), left=(0.0, 0.0))

    changed = (forged.pixels != FACE.pixels).any(axis=2)
    assert changed[:, : SIZE // 2].any() and not changed[:, SIZE // 2 :].any()
    box = np.s_[36:46, 24:44]
    columns = np.arange(24, 44)
    dark = [(255 - pixels[box].mean(axis=2)).clip(150) - 150 for pixels in (FACE.pixels, forged.pixels)]
    before, after = ((d.sum(axis=0) * columns).sum() / d.sum() for d in dark)
    assert after - before == pytest.approx(0.25 * 0.16 * SIZE, abs=1.5)
    assert abs(FACE.points[RIGHT_IRIS[0], 0] - before) < 1.5


def test_no_shift_changes_nothing() -> None:
    np.testing.assert_array_equal(shift_irises(FACE, (0, 0), (0, 0)).pixels, FACE.pixels)


@given(st.integers(0, 2**32 - 1))
def test_only_eyes_are_in_the_mask(seed: int) -> None:
    mask = iris(FACE, FACE, np.random.default_rng(seed)).mask

    allowed = np.zeros_like(mask, bool)
    for eye in (RIGHT_EYE, LEFT_EYE):
        low, high = FACE.points[list(eye)].min(axis=0), FACE.points[list(eye)].max(axis=0)
        allowed[int(low[1]) - 1 : int(high[1]) + 3, int(low[0]) - 1 : int(high[0]) + 3] = True
    assert mask.any() and not mask[~allowed].any()


@pytest.mark.parametrize("seed", range(4))
def test_both_irises_go_one_way_or_against_each_other(seed: int) -> None:
    together, against = (moved(kind(FACE, FACE, np.random.default_rng(seed)).pixels) for kind in (iris, cross_eyes))

    assert together[0] == pytest.approx(together[1], abs=0.05) and abs(together[0]) > 0.5 * LEAST
    assert against[0] == pytest.approx(-against[1], abs=0.05) and against[0] == pytest.approx(together[0], abs=0.05)


@given(st.integers(0, 2**32 - 1))
def test_shifts_are_far_enough_to_be_seen_and_no_farther_than_eyes_turn(seed: int) -> None:
    x, y = gaze._draw(np.random.default_rng(seed))

    assert LEAST <= abs(x) <= MOST[0] and abs(y) <= MOST[1]


def test_shifts_go_to_either_side() -> None:
    drawn = np.array([gaze._draw(np.random.default_rng(seed)) for seed in range(40)])

    assert {*np.sign(drawn[:, 0])} == {*np.sign(drawn[:, 1])} == {-1, 1}


def test_the_whole_iris_takes_part_and_what_is_far_away_does_not() -> None:
    ring = np.array([[40.0, 40], [44, 40], [36, 40], [40, 44], [40, 36]])

    hold = gaze._hold(ring, (6.0, 0.0), SIZE)

    y, x = np.mgrid[:SIZE, :SIZE]
    away = np.hypot(x - 46, y - 40)
    assert hold[away <= 4].min() == 1 and hold[away >= 4 * (1.5 + 1.5 * 6 / 4)].max() == 0
    assert 0 < hold[40, 54] < hold[40, 52] < 1
