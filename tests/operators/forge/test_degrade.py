"""Degradation treats all pictures of one call alike; codecs keep the shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.forge.codec import h264
from operators.forge.degrade import degrade, jpeg
from tests.operators.forge.faces import made_face

FACE = made_face(0).pixels


@given(seed=st.integers(0, 2**32 - 1), strength=st.floats(0, 1))
def test_equal_pictures_stay_equal(seed: int, strength: float) -> None:
    """Without this, a network would learn the degradation instead of the forgery."""
    one, other = degrade([FACE, FACE.copy()], np.random.default_rng(seed), strength=strength, codec=True)

    np.testing.assert_array_equal(one, other)
    assert one.shape == FACE.shape and one.dtype == np.uint8


def test_no_strength_leaves_pictures() -> None:
    (same,) = degrade([FACE], np.random.default_rng(0), strength=0)

    np.testing.assert_array_equal(same, FACE)


def test_strength_degrades() -> None:
    def error(strength: float) -> float:
        degraded = [degrade([FACE], np.random.default_rng(seed), strength=strength)[0] for seed in range(30)]
        return float(np.mean([np.abs(picture.astype(int) - FACE).mean() for picture in degraded]))

    assert 0 < error(0.3) < error(1.0)


@pytest.mark.parametrize("intra", [True, False])
@pytest.mark.parametrize("size", [(64, 64), (63, 65)], ids=["even", "odd"])
def test_h264_keeps_the_shape_and_loses_more_at_a_higher_crf(size: tuple[int, int], intra: bool) -> None:
    frames = np.stack([np.roll(FACE, shift, axis=1)[: size[0], : size[1]] for shift in range(4)])

    good, bad = (h264(frames, crf, intra=intra) for crf in (10, 40))

    assert good.shape == bad.shape == frames.shape
    loss = [np.abs(made.astype(int) - frames).mean() for made in (good, bad)]
    assert loss[0] < loss[1] < 60


def test_jpeg_keeps_colours_in_their_order() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 200

    assert np.abs(jpeg(red, 95).astype(int) - red).max() < 8
