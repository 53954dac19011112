"""The face itself, changed: how much of it stays, and what of it goes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.forge import GenuineFace, own
from operators.forge.regions import LIPS
from operators.forge.warp import apply
from tests.operators.forge.faces import SIZE, made_face

FACE = made_face(0)


def detail(pixels: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F))[inside].mean())


def dark(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray((255 - pixels[60:86, 44:52].mean(axis=(1, 2))).clip(120) - 120)


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_reenacted_by_oneself_nothing_moves() -> None:
    """However the donor's head is turned, large, and placed: only expression and pose are taken over."""
    turned = apply(np.array([[0.6, -0.8, 50.0], [0.8, 0.6, -9.0]]) * (1.3, 1.3, 1), FACE.points)

    forged = own.reenact(FACE, GenuineFace(FACE.pixels, turned), seeded(0))

    assert np.abs(forged.pixels.astype(int) - FACE.pixels).max() <= 3 and forged.mask.max() == 255


def test_reenacting_bends_the_face_towards_the_donor() -> None:
    """Lips that lie lower are drawn lower; a bar over the mouth shows it."""
    marked, lower = FACE.pixels.copy(), FACE.points.copy()
    marked[70:73, 35:62] = 0
    lower[list(LIPS)] += (0, 6)

    forged = own.reenact(GenuineFace(marked, FACE.points), GenuineFace(marked, lower), seeded(1))

    rows = np.arange(60, 86)
    before, after = ((weight * rows).sum() / weight.sum() for weight in (dark(marked), dark(forged.pixels)))
    assert 2 < after - before < 6.5


@pytest.mark.parametrize("seed", range(6))
def test_recolouring_keeps_the_detail(seed: int) -> None:
    forged = own.recolour(FACE, FACE, seeded(seed))

    inside = forged.mask == 255
    before, after = FACE.pixels[inside].astype(float), forged.pixels[inside].astype(float)
    assert inside.mean() > 0.1
    assert np.corrcoef(before[:, 1], after[:, 1])[0, 1] > 0.97
    assert np.abs(after.mean(axis=0) - before.mean(axis=0)).max() > 1


def test_softened_faces_lose_detail_and_some_are_sharpened_again() -> None:
    forged = [own.soften(FACE, FACE, seeded(seed)) for seed in range(20)]
    left = [detail(made.pixels, made.mask > 250) / detail(FACE.pixels, made.mask > 250) for made in forged]

    assert min(left) < 0.1 and 0.35 < max(left) < 0.5  # without sharpening 0.3 is the largest


def test_upsampling_leaves_a_pattern_of_two_pixels() -> None:
    """On a flat face there is nothing else: its level stays, and the highest frequencies appear."""
    flat = GenuineFace(np.full_like(FACE.pixels, 128), FACE.points)

    forged = own.upsample(flat, flat, seeded(0))

    face = forged.pixels[30:62, 30:62, 0].astype(float)
    spectrum = np.abs(np.fft.fft2(face - face.mean()))
    periodic = {(0, 16), (16, 0), (16, 16)}
    assert face.mean() == pytest.approx(128, abs=1) and face.std() > 0.3
    strongest = np.argsort(spectrum.ravel())[::-1][:2]
    assert {(int(index) // 32, int(index) % 32) for index in strongest} <= periodic


def test_a_blended_copy_has_one_of_four_weights() -> None:
    masks = [own.self_blend(FACE, FACE, seeded(seed)).mask for seed in range(30)]

    assert {round(int(mask.max()) / 255 * 4) for mask in masks} == {2, 3, 4}


def test_a_ragged_mask_bends_no_farther_than_it_may() -> None:
    y, x = np.mgrid[:SIZE, :SIZE]
    disc = (np.hypot(x - SIZE / 2, y - SIZE / 2) < 30).astype(np.float32)

    bent = [own._ragged(disc, seeded(seed)) for seed in range(10)]

    reach = 0.04 * SIZE * np.sqrt(2) + 1
    assert all((mask[np.hypot(x - SIZE / 2, y - SIZE / 2) < 30 - reach] == 1).all() for mask in bent)
    assert all((mask[np.hypot(x - SIZE / 2, y - SIZE / 2) > 30 + reach] == 0).all() for mask in bent)
    assert any(np.abs(mask - disc).sum() > 50 for mask in bent)
