"""Where a changed picture is laid over the genuine one: in the weights of the mask, which says all that was done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.forge.face import GenuineFace, lay_over

FACE = GenuineFace(np.full((2, 2, 3), 100, np.uint8), np.zeros((478, 2)))


@pytest.mark.parametrize(
    ("changed", "weight", "pixel", "level"),
    [
        pytest.param(200, 0.0, 100, 0, id="nothing"),
        pytest.param(200, 1.0, 200, 255, id="all"),
        pytest.param(200, 0.5, 150, 128, id="128 / 255 * 200 + 127 / 255 * 100 = 150.2"),
        pytest.param(255, 0.001, 100, 0, id="less than half a level is nothing"),
        pytest.param(400, 1.0, 255, 255, id="above white"),
        pytest.param(-50, 0.5, 50, 128, id="below black: 127 / 255 * 100 = 49.8"),
        pytest.param(200, 7.0, 200, 255, id="more than all"),
        pytest.param(200, -1.0, 100, 0, id="less than nothing"),
    ],
)
def test_one_pixel(changed: float, weight: float, pixel: int, level: int) -> None:
    mask = np.array([[weight, 0], [0, 0]])

    forged = lay_over(FACE, np.full((2, 2, 3), changed, float), mask)

    assert forged.pixels[0, 0].tolist() == [pixel] * 3 and forged.mask.tolist() == [[level, 0], [0, 0]]
    assert (forged.pixels.reshape(-1, 3)[1:] == 100).all()


@given(st.integers(0, 255), st.floats(0, 1))
def test_it_lies_between_the_two_pictures(changed: int, weight: float) -> None:
    forged = lay_over(FACE, np.full((2, 2, 3), changed), np.full((2, 2), weight))

    assert min(changed, 100) <= forged.pixels.min() <= forged.pixels.max() <= max(changed, 100)
    assert forged.pixels.dtype == forged.mask.dtype == np.uint8
