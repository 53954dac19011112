"""Degradation treats all pictures of one call alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.forge.degrade import _levels, _light, degrade, jpeg
from tests.operators.forge.faces import made_face

FACE = made_face(0).pixels


@given(seed=st.integers(0, 2**32 - 1), strength=st.floats(0, 1))
def test_equal_pictures_stay_equal(seed: int, strength: float) -> None:
    """Without this, a network would learn the degradation instead of the forgery."""
    one, other = degrade([FACE, FACE.copy()], np.random.default_rng(seed), strength=strength, codec=True)

    np.testing.assert_array_equal(one, other)
    assert one.shape == FACE.shape and one.dtype == np.uint8


def test_no_strength_leaves_pictures() -> None:
    for seed in range(20):
        (same,) = degrade([FACE], np.random.default_rng(seed), strength=0, codec=True)
        np.testing.assert_array_equal(same, FACE)


def test_the_same_chance_degrades_the_same_and_leaves_what_it_was_given() -> None:
    given = FACE.copy()

    first, again, other = (degrade([given], np.random.default_rng(seed))[0] for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(given, FACE)


def test_some_are_compressed_as_video_if_asked_for() -> None:
    def degraded(codec: bool) -> list[NDArray[np.uint8]]:
        return [degrade([FACE], np.random.default_rng(seed), codec=codec)[0] for seed in range(40)]

    changed = [(one != other).any() for one, other in zip(degraded(False), degraded(True), strict=True)]

    assert 10 < sum(changed) < 38  # seven tenths are compressed


@pytest.mark.parametrize(
    ("value", "level"),
    [(-3.0, 0), (0.4, 0), (1.5, 2), (254.6, 255), (300.0, 255)],
)
def test_levels_are_rounded_and_kept_within_bounds(value: float, level: int) -> None:
    assert _levels(np.array([value])).tolist() == [level]


def test_light_keeps_black_to_white_in_order() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)

    for seed in range(10):
        (lit,) = _light([ramp], np.random.default_rng(seed), 1.0)
        assert (np.diff(lit[0].astype(int), axis=0) >= 0).all() and lit.shape == ramp.shape
    (same,) = _light([ramp], np.random.default_rng(0), 0.0)
    np.testing.assert_array_equal(same, ramp)


def test_strength_degrades() -> None:
    def error(strength: float) -> float:
        degraded = [degrade([FACE], np.random.default_rng(seed), strength=strength)[0] for seed in range(30)]
        return float(np.mean([np.abs(picture.astype(int) - FACE).mean() for picture in degraded]))

    assert 0 < error(0.3) < error(1.0)


def test_jpeg_keeps_colours_in_their_order() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 200

    assert np.abs(jpeg(red, 95).astype(int) - red).max() < 8


def test_jpeg_loses_more_at_a_lower_quality() -> None:
    loss = [np.abs(jpeg(FACE, quality).astype(int) - FACE).mean() for quality in (95, 60, 20)]

    assert 0 < loss[0] < loss[1] < loss[2]
