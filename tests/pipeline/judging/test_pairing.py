"""Frames of two videos belong together whatever a tool drops, doubles, covers or forgets of the clock."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from operators.arrays import Array
from pipeline.judging.pairing import alike_share, difference, pair
from pipeline.judging.views import glance

FRAMES = 40


def moving(number: int) -> Array:
    """A picture in which something walks."""
    picture = np.linspace(40, 200, 192, dtype=np.uint8)[None].repeat(108, axis=0)
    return np.asarray(cv2.rectangle(picture, (4 * number, 30), (4 * number + 40, 90), 20, -1))


ORIGINAL = [glance(moving(number)) for number in range(FRAMES)]
TIMES = np.arange(FRAMES) / 25


def test_equal_videos_are_paired_one_by_one() -> None:
    assert pair(ORIGINAL, ORIGINAL, TIMES, TIMES).tolist() == list(range(FRAMES))


def test_what_coding_does_to_a_still_scene_makes_no_frame_its_neighbours() -> None:
    rng = np.random.default_rng(3)
    still = [ORIGINAL[0] + rng.normal(0, 0.02, ORIGINAL[0].shape) for _ in range(FRAMES)]
    coded = [still[max(number - number % 3, 0)] for number in range(FRAMES)]

    assert pair(still, coded, TIMES, TIMES).tolist() == list(range(FRAMES))


def test_dropped_frames_are_not_missed() -> None:
    kept = [number for number in range(FRAMES) if number % 5 != 3]

    assert pair(ORIGINAL, [ORIGINAL[n] for n in kept], TIMES, TIMES[kept]).tolist() == kept


def test_dropped_frames_whose_clock_was_written_anew_are_found_by_what_they_show() -> None:
    kept = [number for number in range(FRAMES) if not 10 <= number < 16]

    found = pair(ORIGINAL, [ORIGINAL[n] for n in kept], TIMES, TIMES[: len(kept)])

    assert np.abs(found - kept).max() <= 1


def test_doubled_frames_belong_to_the_same_one() -> None:
    shown = sorted([*range(FRAMES), 7, 7, 20])

    found = pair(ORIGINAL, [ORIGINAL[n] for n in shown], TIMES, np.arange(len(shown)) / 25)

    assert np.abs(found - shown).max() <= 1


def test_a_beginning_that_is_left_out_moves_the_clock() -> None:
    found = pair(ORIGINAL, ORIGINAL[6:], TIMES, TIMES[:-6])

    assert found.tolist() == list(range(6, FRAMES))


def test_a_still_scene_goes_by_its_clock() -> None:
    still = [ORIGINAL[0]] * FRAMES
    kept = [number for number in range(FRAMES) if number % 4]

    assert pair(still, [still[n] for n in kept], TIMES, TIMES[kept]).tolist() == kept


def test_frames_covered_whole_keep_their_place() -> None:
    masked = [*ORIGINAL[:10], *[np.zeros_like(ORIGINAL[0])] * 10, *ORIGINAL[20:]]

    found = pair(ORIGINAL, masked, TIMES, TIMES)

    assert found[:10].tolist() == list(range(10)) and found[20:].tolist() == list(range(20, FRAMES))
    assert (np.diff(found) >= 0).all()


def test_nothing_is_paired_with_nothing() -> None:
    assert pair([], [], np.zeros(0), np.zeros(0)).tolist() == []


def test_another_video_is_not_alike() -> None:
    rng = np.random.default_rng(0)
    other = [glance(rng.integers(0, 255, (108, 192), np.uint8)) for _ in range(FRAMES)]

    assert alike_share(ORIGINAL, other, np.arange(FRAMES)) < 0.1
    assert alike_share(ORIGINAL, ORIGINAL, np.arange(FRAMES)) == 1


def test_light_does_not_make_a_scene_another() -> None:
    dim = [glance((moving(number) * 0.4 + 30).astype(np.uint8)) for number in range(FRAMES)]

    assert alike_share(ORIGINAL, dim, np.arange(FRAMES)) == 1


@pytest.mark.parametrize(("changed", "expected"), [(0, 0.0), (2, 0.2), (10, 1.0)])
def test_what_differs_much_weighs_no_more(changed: int, expected: float) -> None:
    one, other = np.zeros(10), np.zeros(10)
    other[:changed] = 5

    assert difference(one, other) == expected
