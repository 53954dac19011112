"""The metrics of pictures against what is known on paper, and against scikit-image where it is there."""

from __future__ import annotations

import numpy as np
import pytest

from operators import fidelity
from tests.operators.deepfake.faces import smooth


def pictures(n: int = 3, side: int = 32) -> np.ndarray:
    return np.stack([smooth(np.random.default_rng(seed), side) for seed in range(n)])


def test_reference_points() -> None:
    """One grey level everywhere, the noise of 8 bits, and a deviation of 0.01 on -1..1."""
    rng = np.random.default_rng(0)
    exact = rng.uniform(0.2, 0.8, (1, 256, 256, 3))
    rounded = np.rint(exact * 255).astype(np.uint8)

    assert fidelity.psnr(rounded, rounded + 1)[0] == pytest.approx(48.13, abs=0.005)
    assert fidelity.psnr(rounded, exact)[0] == pytest.approx(58.92, abs=0.02)
    assert fidelity.psnr(exact, exact + rng.normal(0, 0.005, exact.shape))[0] == pytest.approx(46.02, abs=0.05)


def test_each_picture_has_a_number_of_its_own_and_identical_ones_the_highest() -> None:
    a = pictures()
    b = a.copy()
    b[1] = 255 - b[1]

    found = fidelity.psnr(a, b)

    assert found[0] == found[2] == fidelity.MOST_DB and found[1] < 20
    assert fidelity.ssim(a, b)[0] == pytest.approx(1) and fidelity.ssim(a, b)[1] < 0.5


def test_the_range_is_never_taken_from_the_pictures() -> None:
    """Neither a narrow one nor outliers change what an error counts: what is out of range is clipped."""
    dim = np.full((1, 16, 16, 3), 0.5)
    wild = dim.copy()
    wild[0, 0, 0] = 1e6

    assert fidelity.psnr(dim, dim + 0.1)[0] == pytest.approx(20.0)
    assert fidelity.psnr(dim, wild)[0] == pytest.approx(10 * np.log10(256 / 0.25))


def test_ssim_is_that_of_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a = pictures() / 255
    b = np.clip(a + np.random.default_rng(1).normal(0, 0.05, a.shape), 0, 1)

    expected = [
        metrics.structural_similarity(
            x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=2
        )
        for x, y in zip(a, b, strict=True)
    ]

    assert fidelity.ssim(a, b) == pytest.approx(expected, abs=1e-6)


def test_correlation_of_patches() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    other = rng.integers(0, 256, a.shape).astype(np.uint8)
    half = np.where(np.arange(64)[:, None, None] < 8, a, other)

    assert fidelity.patch_correlation(a, 255 - a, 0.0) == pytest.approx([1, 1])
    assert (fidelity.patch_correlation(a, other, 0.5) < 0.15).all()
    assert (fidelity.patch_correlation(a, half) > 0.999).all(), "one row of patches is right"
    assert (fidelity.patch_correlation(a, np.full_like(a, 7)) == 0).all()


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 9, 3)), "expected two times"),
        (np.zeros((8, 8, 3)), np.zeros((8, 8, 3)), "expected two times"),
        (np.zeros((1, 8, 8, 3)), np.full((1, 8, 8, 3), np.nan), "expected numbers"),
    ],
)
def test_what_cannot_be_compared(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fidelity.psnr(a, b)


def test_ssim_wants_room_for_its_window() -> None:
    with pytest.raises(ValueError, match="11 pixels or more"):
        fidelity.ssim(np.zeros((1, 10, 40, 3)), np.zeros((1, 10, 40, 3)))
