"""What all kinds of forgery promise: they change something, only inside of their mask, and always the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import ConfigError
from operators.forge import KINDS, NEEDS_DONOR, WHOLE_FACE, forge
from operators.forge.warp import warp
from tests.operators.forge.faces import made_face

FACE, DONOR = made_face(0), made_face(1)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_changes_outside_of_the_mask(kind: str, seed: int) -> None:
    forged = forge(kind, FACE, np.random.default_rng(seed), DONOR)

    untouched = forged.mask == 0
    np.testing.assert_array_equal(forged.pixels[untouched], FACE.pixels[untouched])
    assert forged.pixels.dtype == forged.mask.dtype == np.uint8
    assert forged.mask.any() and not untouched.all() and (forged.pixels != FACE.pixels).any()


@pytest.mark.parametrize("kind", KINDS)
def test_same_chance_same_forgery(kind: str) -> None:
    before = FACE.pixels.copy()

    first, again, other = (forge(kind, FACE, np.random.default_rng(seed), DONOR) for seed in (7, 7, 8))

    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.pixels != other.pixels).any()
    np.testing.assert_array_equal(FACE.pixels, before)


@pytest.mark.parametrize("kind", WHOLE_FACE)
def test_a_swap_shows_the_donor(kind: str) -> None:
    black = type(FACE)(FACE.pixels // 4, FACE.points)

    forged = forge(kind, black, np.random.default_rng(0), DONOR)

    inside = forged.mask == 255
    assert inside.mean() > 0.1
    ours, theirs = forged.pixels[inside].astype(float), warp(DONOR.pixels, DONOR.points, FACE.points)[inside]
    assert np.corrcoef(ours[:, 0], theirs[:, 0])[0, 1] > 0.5


@pytest.mark.parametrize("kind", sorted(NEEDS_DONOR))
def test_two_people_are_needed(kind: str) -> None:
    with pytest.raises(ConfigError, match="two people"):
        forge(kind, FACE, np.random.default_rng(0))


def test_a_kind_that_is_not_known() -> None:
    with pytest.raises(ConfigError, match="self_blend"):
        forge("magic", FACE, np.random.default_rng(0))
