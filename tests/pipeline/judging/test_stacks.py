"""Frames of one face laid over one another: what they give away together, and what one frame is by its neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from operators.arrays import Array
from pipeline.judging.pixels import FaceEvidence, patch
from pipeline.judging.stacks import DEPTHS, FaceStack, exposures, stack_leaks, worst
from tests.pipeline.judging.scenes import Drawn, background, changed, drawn_face, mosaic, pasted

PX, FRAMES = 48, 32


def stacked(cover: Callable[[Drawn, int], Array], *, seed: int = 1, jitter: int = 0) -> FaceStack:
    """A track of one face under a cover that knows the frame's number; boxes jump by `jitter` pixels."""
    stack, rng = FaceStack(), np.random.default_rng(4)
    for number in range(FRAMES):
        original = pasted(background(), drawn_face(seed, PX), 40, 20)
        box = np.array([40, 20, 40 + PX, 20 + PX], float)
        masked = changed(original, box, at_frame(cover, number))
        jumped = box + np.tile(rng.integers(-jitter, jitter + 1, 2), 2)
        one, other = (np.asarray(each.mean(axis=2), np.uint8) for each in (original, masked))
        stack.add(patch(one, jumped), patch(other, jumped))
    return stack


def at_frame(cover: Callable[[Drawn, int], Array], number: int) -> Callable[[Drawn], Array]:
    return lambda picture: cover(picture, number)


def noisy(strength: float) -> Callable[[Drawn, int], Array]:
    """The face under noise that is new in each frame, and far stronger than it."""

    def cover(picture: Drawn, number: int) -> Array:
        noise = np.random.default_rng(number).normal(0, strength, picture.shape)
        return np.asarray(np.clip(128 + 0.25 * (picture - 128.0) + noise, 0, 255))

    return cover


def test_noise_that_is_new_in_each_frame_averages_out() -> None:
    leaks = {leak.depth: leak for leak in stack_leaks(stacked(noisy(60)))}

    assert leaks[1].trace < 1 < leaks[32].trace
    assert abs(leaks[1].correlation) < abs(leaks[4].correlation) < abs(leaks[32].correlation)


def test_boxes_that_jump_are_laid_onto_one_another() -> None:
    assert stack_leaks(stacked(noisy(40), jitter=2))[-1].trace > 1


def test_a_grid_that_wanders_over_a_face_gives_it_away() -> None:
    cell = PX // 4
    wandering = stack_leaks(stacked(lambda picture, number: mosaic(cell, number * 5 % cell)(picture)))[-1]
    held = stack_leaks(stacked(lambda picture, _: mosaic(cell)(picture)))[-1]

    assert wandering.correlation > held.correlation + 0.1 and wandering.trace >= 1


@pytest.mark.parametrize("seed", range(4))
def test_what_keeps_nothing_gives_nothing_away(seed: int) -> None:
    leaks = stack_leaks(stacked(lambda picture, _: np.zeros_like(picture), seed=seed))

    assert [leak.depth for leak in leaks] == list(DEPTHS)
    assert all(leak.trace < 1 for leak in leaks)


def test_a_trace_that_is_as_much_of_a_stranger_is_of_nobody() -> None:
    """Under the cover is another face, which a stranger's track shows as well."""
    hidden = stacked(lambda picture, _: pasted(picture, drawn_face(7, PX), 40, 20))
    stranger = stacked(noisy(1), seed=7)

    assert stack_leaks(hidden, [stranger])[-1].lead < 0


def test_a_track_that_was_never_covered_has_nothing_to_stack() -> None:
    assert stack_leaks(FaceStack()) == []


def test_only_so_many_frames_are_kept_and_none_of_another_face() -> None:
    stack = stacked(noisy(5))
    kept = len(stack.original)
    stack.original[1:], stack.masked[1:] = [], []

    stranger = np.asarray(patch(drawn_face(5, PX).mean(axis=2).astype(np.uint8), np.array([0, 0, PX, PX])))
    stack.add(stranger, stranger)

    assert kept == DEPTHS[-1]
    assert len(stack.original) == 1


def seen(shown: float = 0.0, middle: float = 0.0, gain: float = 0.0, lead: float = 0.0) -> FaceEvidence:
    return FaceEvidence(shown, 0.0, 0.0, (0, 0), middle, gain, 0.0, 0.0, lead)


def test_strong_evidence_stands_alone() -> None:
    assert exposures([seen(), seen(0.9), seen()]) == ["covered", "clear", "covered"]
    assert exposures([seen(0.9)]) == ["clear"]
    assert exposures([seen(), seen(0, 0.9, 0.5, 0.3)]) == ["covered", "reversible"]


def test_weak_evidence_counts_in_a_row() -> None:
    weak = seen(0.35)

    assert exposures([weak, seen(), seen(), seen()]) == ["covered"] * 4
    assert exposures([weak] * 8) == ["clear"] * 8
    assert exposures([weak] * 2) == ["covered"] * 2


def test_a_trace_that_follows_any_face_is_none() -> None:
    assert exposures([seen(0, 0.9, 0.5, 0.02)] * 8) == ["covered"] * 8
    assert exposures([seen(0, 0.7, 0.2, 0.2)] * 8) == ["reversible"] * 8


def test_the_worst_counts() -> None:
    assert worst(["covered", "reversible"]) == "reversible"
