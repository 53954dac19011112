"""What is taken of a donor, and what of the face stays: detail of the one in the colours of the other."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from operators.arrays import Array
from operators.forge import GenuineFace
from operators.forge.blend import _poisson, swap, swap_region, swap_seamless
from operators.forge.regions import Mask, oval_mask
from tests.operators.forge.faces import SIZE, made_face

FACE, DONOR = made_face(0), made_face(1)


def whole(points: Array, size: int, _: np.random.Generator) -> Mask:
    return oval_mask(points, size)


def test_a_face_swapped_with_itself_stays() -> None:
    forged = swap_region(whole, coarsest=1.0)(FACE, FACE, np.random.default_rng(0))

    assert np.abs(forged.pixels.astype(int) - FACE.pixels).max() <= 4


@pytest.mark.parametrize("seed", range(5))
def test_the_donor_takes_the_colours_of_the_face(seed: int) -> None:
    """A donor in blue light; at least seven tenths of the way to the face's colours are gone."""
    blue = GenuineFace((DONOR.pixels * (0.3, 0.5, 1.0)).astype(np.uint8), DONOR.points)

    forged = swap_region(whole)(FACE, blue, np.random.default_rng(seed))

    inside = forged.mask == 255
    goal, away = FACE.pixels[inside].mean(axis=0), blue.pixels[inside].mean(axis=0)
    assert np.abs(forged.pixels[inside].mean(axis=0) - goal).max() < 0.4 * np.abs(away - goal).max()


def test_swaps_lose_resolution_down_to_the_coarsest() -> None:
    def detail(coarsest: float) -> float:
        forged = swap_region(whole, coarsest=coarsest)(FACE, DONOR, np.random.default_rng(3))
        return float(np.abs(cv2.Laplacian(forged.pixels, cv2.CV_32F))[forged.mask == 255].mean())

    assert detail(0.1) < detail(0.5) < detail(1.0)


def test_it_does_not_matter_where_in_its_picture_the_donor_is() -> None:
    aside = GenuineFace(np.roll(DONOR.pixels, 5, axis=1), DONOR.points + np.array([5, 0], np.float32))

    one, other = (swap(FACE, donor, np.random.default_rng(2)) for donor in (DONOR, aside))

    np.testing.assert_array_equal(one.mask, other.mask)
    assert np.abs(one.pixels.astype(int) - other.pixels).mean() < 1


def test_a_seamless_swap_takes_gradients_alone() -> None:
    """Of a flat donor there are none: a flat face stays as it is, whatever the donor's level."""
    face, donor = (GenuineFace(np.full_like(FACE.pixels, level), FACE.points) for level in (150, 60))

    forged = swap_seamless(face, donor, np.random.default_rng(0))

    assert np.abs(forged.pixels.astype(int) - 150).max() <= 1 and forged.mask.max() == 255


@pytest.mark.parametrize(("side", "cloned"), [(4, False), (20, True)], ids=["too small", "large enough"])
def test_a_mask_too_small_for_poisson_leaves_the_picture(side: int, cloned: bool) -> None:
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[40 : 40 + side, 40 : 40 + side] = 1

    made = _poisson(DONOR.pixels, FACE.pixels, mask)

    assert (made is not DONOR.pixels) == cloned


def test_a_mask_up_to_the_border_stays_where_it_is() -> None:
    """Cloning a picture onto itself changes nothing if it is put back where it was."""
    made = _poisson(FACE.pixels, FACE.pixels, np.ones((SIZE, SIZE), np.float32))

    assert np.abs(made.astype(int) - FACE.pixels).max() <= 2
