"""Masks of parts of a face: each holds what it is called after, and nothing of the others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.forge import regions
from operators.forge.regions import Mask, blurred, eyes_mask, face_mask, mouth_mask, oval_mask, soft_hull
from tests.operators.forge.faces import SIZE, made_face

POINTS = made_face(0).points
WIDTH = float(np.ptp(POINTS[list(regions.OVAL), 0]))
SEEDS = st.integers(0, 2**32 - 1)


def in_middle(mask: Mask, *parts: tuple[int, ...]) -> list[float]:
    """The mask in the middle of each part of the face."""
    middles = [np.rint(POINTS[list(part)].mean(axis=0)).astype(int) for part in parts]
    return [float(mask[y, x]) for x, y in middles]


@given(SEEDS)
def test_eyes_and_mouth_are_apart(seed: int) -> None:
    eyes, mouth = (draw(POINTS, SIZE, np.random.default_rng(seed)) for draw in (eyes_mask, mouth_mask))
    right, left, lips = regions.RIGHT_EYE, regions.LEFT_EYE, regions.LIPS

    assert in_middle(eyes, right, left, lips) == pytest.approx([1, 1, 0], abs=0.3)
    assert in_middle(mouth, right, left, lips) == pytest.approx([0, 0, 1], abs=0.1)


def test_eyes_come_with_their_brows_or_without() -> None:
    masks = [eyes_mask(POINTS, SIZE, np.random.default_rng(seed)) for seed in range(20)]
    brows = [in_middle(mask, regions.RIGHT_BROW, regions.LEFT_BROW) for mask in masks]

    assert {round(right) for right, _ in brows} == {0, 1}
    assert all(round(right) == round(left) for right, left in brows)


@given(SEEDS)
def test_a_face_holds_its_features_and_not_the_background(seed: int) -> None:
    mask = face_mask(POINTS, SIZE, np.random.default_rng(seed))

    lips, nose = in_middle(mask, regions.LIPS, regions.NOSE)
    assert lips > 0.3 and nose > 0.6
    assert mask[[0, 0, -1, -1], [0, -1, 0, -1]].max() < 0.001


def test_a_face_is_drawn_with_its_forehead_without_it_or_as_features_alone() -> None:
    masks = [face_mask(POINTS, SIZE, np.random.default_rng(seed)) > 0.5 for seed in range(40)]
    forehead, cheek, chin = (15, 48), (48, 78), (86, 48)

    drawn = {tuple(bool(mask[point]) for point in (forehead, cheek, chin)) for mask in masks}

    assert drawn == {(True, True, True), (False, True, True), (False, False, False)}


def test_the_oval_holds_the_face_and_fades() -> None:
    mask = oval_mask(POINTS, SIZE)

    x, y = POINTS[list(regions.OVAL)].mean(axis=0).astype(int)
    assert (
        mask[y, x] == pytest.approx(1, abs=1e-3) and mask[0, 0] == 0 and 0 < mask.min(initial=1, where=mask > 0) < 0.1
    )


@pytest.mark.parametrize("draw", [face_mask, eyes_mask, mouth_mask])
def test_the_same_chance_draws_the_same_mask(draw: Callable[..., Mask]) -> None:
    first, again, other = (draw(POINTS, SIZE, np.random.default_rng(seed)) for seed in (5, 5, 6))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (SIZE, SIZE) and first.dtype == np.float32 and 0 <= first.min() < first.max() <= 1


@given(st.floats(0, 0.1), st.floats(0, 0.1))
def test_a_hull_that_is_widened_holds_what_it_held(less: float, more: float) -> None:
    narrow, plain, wide = (
        soft_hull(POINTS, regions.LIPS, SIZE, grow=grow, feather=0.02) for grow in (-less, 0.0, more)
    )

    assert (narrow <= plain + 1e-6).all() and (plain <= wide + 1e-6).all()


def test_a_hull_is_widened_by_widths_of_the_face() -> None:
    plain, wide = (soft_hull(POINTS, regions.LIPS, SIZE, grow=grow, feather=0) > 0.5 for grow in (0, 0.1))

    widths = [int(np.ptp(np.flatnonzero(mask.any(axis=0)))) for mask in (plain, wide)]
    assert widths[1] - widths[0] == pytest.approx(2 * 0.1 * WIDTH, abs=1.5)


def test_a_feather_is_half_the_width_of_the_edge() -> None:
    """Of a Gaussian of that deviation, 84 % lie within one deviation beyond its middle."""
    sharp, soft = (oval_mask(POINTS, SIZE, feather) for feather in (0.0, 0.04))

    row = SIZE // 2
    edge = int(np.flatnonzero(sharp[row] > 0.5)[0])
    assert soft[row, edge + round(0.04 * WIDTH)] == pytest.approx(0.84, abs=0.08)
    assert soft[row, edge - round(0.04 * WIDTH)] == pytest.approx(0.16, abs=0.08)


def test_a_blur_keeps_the_sum() -> None:
    point = np.zeros((31, 31), np.float32)
    point[15, 15] = 1

    spread = blurred(point, 2.0)

    assert spread.sum() == pytest.approx(1) and spread[15, 15] == pytest.approx(1 / (2 * np.pi * 4), rel=0.05)
    assert 0.9 < blurred(point, 0)[15, 15] < 1


def test_parts_are_made_of_points_of_the_mesh_and_share_none() -> None:
    names = ("OVAL", "LIPS", "RIGHT_EYE", "LEFT_EYE", "RIGHT_BROW", "LEFT_BROW", "NOSE", "RIGHT_IRIS", "LEFT_IRIS")
    parts = [getattr(regions, name) for name in names]

    assert all(len(set(part)) == len(part) and 0 <= min(part) <= max(part) < 478 for part in parts)
    assert not [set(one) & set(other) for one, other in combinations(parts, 2) if set(one) & set(other)]
