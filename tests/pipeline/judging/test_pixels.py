"""What is left of a face: each way to show one badly is seen, good covers and strangers' faces are not."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from operators.arrays import Array
from pipeline.judging.pixels import (
    FACE_PX,
    PATCH_PX,
    FaceEvidence,
    compare,
    evidence,
    leak,
    noise_between,
    patch,
    shown_part,
    uncovered_part,
)
from tests.pipeline.judging.scenes import Drawn, background, black, changed, drawn_face, mosaic, pasted

SIZES = (24, 48, 96)
X, Y = 40, 20


def scene(px: int, seed: int = 1) -> tuple[Drawn, Array]:
    """A picture with one face, and its box."""
    return pasted(background(), drawn_face(seed, px), X, Y), np.array([X, Y, X + px, Y + px], float)


def judged(masked: Drawn, px: int) -> FaceEvidence:
    original, box = scene(px)
    return compare(original, masked, box[None])[0]


SHOWN: dict[str, Callable[[Drawn], Array]] = {
    "as it was": lambda picture: picture,
    "dimmed": lambda picture: picture * 0.3 + 20,
    "negative": lambda picture: 255 - picture,
    "tinted": lambda picture: picture * np.array([0.4, 0.8, 1.0]),
    "noisy": lambda picture: np.clip(picture + np.random.default_rng(2).normal(0, 6, picture.shape), 0, 255),
}


@pytest.mark.parametrize("px", SIZES)
@pytest.mark.parametrize("how", SHOWN)
def test_a_face_that_is_shown_somehow_is_in_clear(px: int, how: str) -> None:
    original, box = scene(px)

    assert judged(changed(original, box, SHOWN[how]), px).exposure == "clear"


@pytest.mark.parametrize("px", SIZES)
def test_a_face_that_is_shown_beside_its_place_is_in_clear(px: int) -> None:
    original, box = scene(px)
    step = px // 6
    moved = pasted(changed(original, box, black), drawn_face(1, px), X + step, Y)

    found = judged(moved, px)

    assert found.exposure == "clear"
    assert found.shift[0] == pytest.approx(step / px, abs=0.06) and abs(found.shift[1]) < 0.06


@pytest.mark.parametrize("px", SIZES)
@pytest.mark.parametrize("scale", [0.45, 0.6])
def test_a_cover_that_is_too_small_leaves_a_face_in_clear(px: int, scale: float) -> None:
    original, box = scene(px)

    found = judged(changed(original, box, black, scale), px)

    assert found.exposure == "clear" and found.uncovered > 0.4


@pytest.mark.parametrize("px", SIZES)
def test_a_cover_that_lies_beside_a_face_hides_nothing(px: int) -> None:
    original, box = scene(px)

    assert judged(changed(original, box + px * np.array([1.6, 0, 1.6, 0]), black), px).exposure == "clear"


WEAK: dict[str, Callable[[Drawn, int], Array]] = {
    "weak blur": lambda picture, px: cv2.GaussianBlur(picture, (0, 0), px / 14),
    "weak mosaic": lambda picture, px: mosaic(max(px // 12, 2))(picture),
}


@pytest.mark.parametrize("px", SIZES)
@pytest.mark.parametrize("how", WEAK)
def test_what_a_weak_cover_leaves_is_seen(px: int, how: str) -> None:
    original, box = scene(px)

    found = judged(changed(original, box, lambda picture: WEAK[how](picture, px)), px)

    assert found.exposure != "covered" and found.badness >= 1


GOOD: dict[str, Callable[[Drawn, int], Array]] = {
    "black": lambda picture, _: np.zeros_like(picture),
    "skin": lambda picture, _: np.full_like(picture, (120, 150, 190)),
    "strong blur": lambda picture, px: cv2.GaussianBlur(picture, (0, 0), px / 3),
    "noise": lambda picture, _: np.random.default_rng(3).integers(0, 255, picture.shape),
    "another face": lambda picture, px: pasted(picture, drawn_face(9, px), X, Y),
}


@pytest.mark.parametrize("px", SIZES)
@pytest.mark.parametrize("how", GOOD)
def test_a_good_cover_hides(px: int, how: str) -> None:
    original, box = scene(px)

    found = judged(changed(original, box, lambda picture: GOOD[how](picture, px)), px)

    assert found.exposure == "covered", found


def test_luma_alone_will_do_and_boxes_may_reach_out_of_the_picture() -> None:
    luma = cv2.cvtColor(background(), cv2.COLOR_BGR2GRAY)
    boxes = np.array([[-20.0, -20, 30, 30], [170, 120, 240, 190], [5000, 5000, 5050, 5050]])

    found = compare(np.asarray(luma), np.asarray(luma), boxes)

    assert len(found) == 3
    assert compare(np.asarray(luma), np.asarray(luma), np.zeros((0, 4))) == []


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a picture of"):
        compare(background(), background()[:-2], np.array([[0, 0, 9, 9.0]]))


@pytest.mark.parametrize("px", [12, 48, 110])
def test_a_patch_holds_the_box_at_one_size(px: int) -> None:
    luma = np.zeros((200, 300), np.uint8)
    luma[60 : 60 + px, 100 : 100 + px] = 200

    found = patch(luma, np.array([100, 60, 100 + px, 60 + px]))

    edge = (PATCH_PX - FACE_PX) // 2
    assert found.shape == (PATCH_PX, PATCH_PX)
    assert found[edge + 3 : -edge - 3, edge + 3 : -edge - 3].min() > 190
    assert found[: edge - 4].max() < 10 and found[:, : edge - 4].max() < 10


def test_noise_is_what_most_pixels_change_by() -> None:
    one = background()[..., 0]
    other = one + 3
    other[:40, :40] = 0

    assert noise_between(one, other) == 3


def test_a_faint_trace_counts_only_if_it_is_faithful() -> None:
    assert leak(0.65, 0.2) >= 1 and leak(0.65, 0.05) < 1
    assert leak(0.9, 0.05) >= 1 and leak(-0.9, -0.05) >= 1 and leak(0.9, 0.01) < 1


def test_smooth_skin_says_nothing() -> None:
    """A cover of the same colour as skin that has no detail is not taken for the face."""
    flat = np.full((PATCH_PX, PATCH_PX), 150, np.float32)

    assert uncovered_part(flat, flat) == 0 and shown_part(flat - 150, flat - 150) == 0
    assert evidence(flat, flat).exposure == "covered"


def test_a_face_that_is_half_covered_is_half_uncovered() -> None:
    face = np.random.default_rng(1).normal(128, 30, (PATCH_PX, PATCH_PX)).astype(np.float32)
    half = np.where(np.arange(PATCH_PX)[:, None] < PATCH_PX // 2, 0, face).astype(np.float32)

    assert uncovered_part(face, half) == pytest.approx(0.5, abs=0.06)


def test_a_trace_must_be_of_this_face_more_than_of_any() -> None:
    def traced(lead: float) -> str:
        return FaceEvidence(0.0, 0.0, 0.0, (0.0, 0.0), 0.9, 0.5, 0.0, 0.0, lead).exposure

    assert [traced(0.02), traced(0.3)] == ["covered", "reversible"]
