"""What all kinds of forgery promise: they change something, only inside of their mask, and always the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import ConfigError
from operators.forge import KINDS, NEEDS_DONOR, WHOLE_FACE, forge
from operators.forge.gaze import shift_irises
from operators.forge.regions import OVAL, RIGHT_IRIS, oval_mask
from operators.forge.warp import apply, similarity, warp
from tests.operators.forge.faces import SIZE, made_face

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


def test_irises_move_by_what_was_asked() -> None:
    """A quarter of an eye's width of 0.16 of the picture, to the right in it: the right eye alone."""
    forged = shift_irises(FACE, right=(0.25, 0.0), left=(0.0, 0.0))

    changed = (forged.pixels != FACE.pixels).any(axis=2)
    assert changed[:, : SIZE // 2].any() and not changed[:, SIZE // 2 :].any()
    box = np.s_[36:46, 24:44]
    columns = np.arange(24, 44)
    dark = [(255 - pixels[box].mean(axis=2)).clip(150) - 150 for pixels in (FACE.pixels, forged.pixels)]
    before, after = ((d.sum(axis=0) * columns).sum() / d.sum() for d in dark)
    assert after - before == pytest.approx(0.25 * 0.16 * SIZE, abs=1.5)
    assert abs(FACE.points[RIGHT_IRIS[0], 0] - before) < 1.5


def test_a_warp_onto_itself_changes_nothing() -> None:
    warped = warp(FACE.pixels, FACE.points, FACE.points)

    assert np.abs(warped.astype(int) - FACE.pixels).max() <= 3


def test_similarity_undoes_turn_scale_and_shift() -> None:
    turn = np.array([[0.8, -0.6, 5.0], [0.6, 0.8, -3.0]]) * 1.5

    back = similarity(apply(turn, FACE.points), FACE.points)

    np.testing.assert_allclose(apply(back, apply(turn, FACE.points)), FACE.points, atol=1e-4)


def test_the_oval_holds_the_face_and_fades() -> None:
    mask = oval_mask(FACE.points, SIZE)

    x, y = FACE.points[list(OVAL)].mean(axis=0).astype(int)
    assert (
        mask[y, x] == pytest.approx(1, abs=1e-3) and mask[0, 0] == 0 and 0 < mask.min(initial=1, where=mask > 0) < 0.1
    )
