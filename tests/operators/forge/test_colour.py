"""Colours moved: by no amount they stay, by the whole amount their moments are those asked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.arrays import Array
from operators.forge.colour import jittered, matched, resampled
from tests.operators.forge.faces import SIZE, made_face

FACE, OTHER = made_face(0).pixels, np.clip(made_face(1).pixels // 2 + 40, 0, 255).astype(np.uint8)
LEFT = np.zeros((SIZE, SIZE), np.float32)
LEFT[:, : SIZE // 2] = 1


def moments(pixels: Array) -> Array:
    """Mean and deviation of L, a and b in the left half."""
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[:, : SIZE // 2].reshape(-1, 3)
    return np.stack([lab.mean(axis=0), lab.std(axis=0)])


def test_matched_colours_have_the_other_s_moments_in_the_mask() -> None:
    own, wanted = moments(FACE), moments(OTHER)

    half, whole = (moments(matched(FACE, OTHER, LEFT, amount)) for amount in (0.5, 1.0))

    assert whole == pytest.approx(wanted, abs=0.5)
    assert half[0] == pytest.approx((own[0] + wanted[0]) / 2, abs=0.5)


@pytest.mark.parametrize("mask", [LEFT, np.zeros_like(LEFT)], ids=["a mask", "an empty mask"])
def test_colours_matched_by_no_amount_stay(mask: NDArray[np.float32]) -> None:
    assert matched(FACE, OTHER, mask, 0) == pytest.approx(FACE.astype(float), abs=1)


def test_what_lies_outside_of_the_mask_does_not_count() -> None:
    spoiled = OTHER.copy()
    spoiled[:, SIZE // 2 :] = 255

    np.testing.assert_array_equal(matched(FACE, spoiled, LEFT), matched(FACE, OTHER, LEFT))


def test_a_flat_picture_is_matched_without_dividing_by_nothing() -> None:
    flat = np.full_like(FACE, 120)

    assert matched(flat, OTHER, LEFT).std(axis=(0, 1)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("seed", range(8))
def test_jitter_is_the_same_by_seed_and_stays_a_picture(seed: int) -> None:
    first, again = (jittered(FACE, np.random.default_rng(seed)) for _ in range(2))

    np.testing.assert_array_equal(first, again)
    assert first.shape == FACE.shape and 0 <= first.min() < first.max() <= 255


def test_jitter_by_no_amount_is_none_and_more_is_farther() -> None:
    def away(amount: float) -> float:
        return float(np.abs(jittered(FACE, np.random.default_rng(0), amount) - FACE).mean())

    assert away(0) < 0.5 < away(0.5) < away(1)


@pytest.mark.parametrize("factor", [0.01, 0.3, 0.5, 1.0, 1.5])
def test_a_flat_picture_has_nothing_to_resample(factor: float) -> None:
    assert resampled(np.full((40, 40, 3), 77, np.uint8), factor) == pytest.approx(77, abs=1e-3)


def test_less_than_a_whole_loses_detail_and_more_sharpens() -> None:
    contrast = [float(resampled(FACE, factor).std()) for factor in (0.3, 0.6, 1.0, 1.5)]

    assert contrast == sorted(contrast) and contrast[0] < contrast[1] - 1 and contrast[3] > contrast[2] + 1
    np.testing.assert_array_equal(resampled(FACE, 1.0), FACE)


def test_resampled_by_half_is_means_of_four() -> None:
    """Columns of 0 and 200 in turn become grey."""
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, 1::2] = 200

    assert resampled(stripes, 0.5) == pytest.approx(100)


def test_sharpening_by_hand() -> None:
    """A point 50 above its surroundings is 0.159 * 50 above them in the blurred picture: 150 + 0.5 * (150 - 108)."""
    point = np.full((31, 31, 3), 100, np.uint8)
    point[15, 15] = 150

    assert resampled(point, 1.5)[15, 15] == pytest.approx(171, abs=0.3)
