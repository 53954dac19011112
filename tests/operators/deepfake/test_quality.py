from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.deepfake import quality
from tests.operators.deepfake.faces import smooth


def pictures(n: int = 40, size: int = 64) -> NDArray[np.uint8]:
    """Soft blots with fine grain: neither sharp nor dull."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (n, size, size, 1))
    return np.clip(np.stack([smooth(rng, size) for _ in range(n)]) + grain, 0, 255).astype(np.uint8)


USUAL = quality.ranges(quality.measure(pictures()), outside=0)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x: x, ""),
        (lambda x: cv2.GaussianBlur(x, (0, 0), 4), quality.BLURRED),
        (lambda x: x + np.random.default_rng(1).integers(0, 100, x.shape, np.uint8), quality.UNLIKE),
        (lambda x: np.full_like(x, 3), quality.BLURRED),
    ],
    ids=["as it is", "blurred", "noisy", "black"],
)  # fmt: skip
def test_what_is_out_of_the_ordinary_is_not_judged(change: object, fault: str) -> None:
    assert callable(change)

    measured = quality.measure(change(pictures()[0])[None])

    assert quality.faults(measured, USUAL) == [fault]


def test_blocks_of_one_value_are_compression() -> None:
    usual = {"flatness": USUAL["flatness"]}
    blocky = np.kron(pictures()[0, ::8, ::8], np.ones((8, 8, 1), np.uint8))

    assert quality.faults(quality.measure(blocky[None]), usual) == [quality.COMPRESSED]


def test_without_ranges_everything_is_judged() -> None:
    assert quality.faults(quality.measure(pictures(3)), {}) == [""] * 3


def test_ranges_leave_out_the_ends() -> None:
    measured = np.tile(np.arange(101.0)[:, None], (1, 5))

    assert quality.ranges(measured, outside=0.1)["noise"] == pytest.approx((10, 90))


@pytest.mark.parametrize(
    ("side", "mesh", "turned", "fault"),
    [
        (60, 0.0, 0, ""),
        (40, 0.0, 0, quality.TOO_SMALL),
        (60, np.nan, 0, quality.HIDDEN),
        (60, 0.0, 30, ""),
        (60, 0.0, -60, quality.HIDDEN),
    ],
)
def test_small_hidden_and_turned_faces_are_not_judged(side: float, mesh: float, turned: float, fault: str) -> None:
    c, s = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    pose = np.eye(4)
    pose[[0, 0, 2, 2], [0, 2, 0, 2]] = c, s, -s, c

    told = quality.placing_faults(
        np.array([[0, 0, side, 90]]), np.full((1, 478, 3), mesh), pose[None], min_px=48, max_yaw=45
    )

    assert told == [fault]
