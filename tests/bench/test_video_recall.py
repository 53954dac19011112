"""How the truth is linked, what counts as covered, and how frames pass through the look-ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.bench_video_recall import ClipTally, covered, false_area, gain, inside, link, released, scaled, without
from operators.frame import Cover, Faces, Frame
from operators.stills import frame_of

FACE = np.array([[100, 100, 140, 140]], float)


def seen(x: float, score: float = 0.9) -> NDArray[Any]:
    """One detection at that place."""
    return np.array([[x, 0, x + 40, 40, score]])


def test_a_track_is_strong_once_seen_thrice_and_has_no_gaps() -> None:
    nothing = np.zeros((0, 5))
    times = [index / 10 for index in range(8)]

    truth = link([nothing, seen(0, 0.3), seen(4), nothing, seen(12, 0.3), nothing, nothing, nothing], times)

    assert [boxes[:, 0].round(6).tolist() for boxes in truth.boxes] == [[], [0], [4], [8], [12], [], [], []]
    assert [tracks.tolist() for tracks in truth.tracks[1:5]] == [[0]] * 4


@pytest.mark.parametrize(
    "detections",
    [
        pytest.param([seen(0, 0.4)] * 3, id="never strong"),
        pytest.param([seen(0)] * 2, id="seen twice"),
        pytest.param([seen(0), seen(100), seen(200)], id="three places"),
    ],
)
def test_what_is_no_track(detections: list[NDArray[Any]]) -> None:
    truth = link(detections, [index / 10 for index in range(len(detections))])

    assert not any(map(len, truth.boxes))


def test_places_without_faces_are_left_out() -> None:
    assert without(np.concatenate([seen(0), seen(100)]), [(90, 0, 200, 50)])[:, 0].tolist() == [0]


def test_a_face_is_covered_by_its_own_cover_and_by_several() -> None:
    halves = [Cover((100, 90, 120, 150), shape="box"), Cover((120, 90, 140, 150), shape="box")]

    assert covered(FACE, scaled(FACE, 1.0)).tolist() == [True]
    assert covered(FACE, halves).tolist() == [True]
    assert covered(FACE, halves[:1]).tolist() == [False]
    assert covered(FACE, []).tolist() == [False]


def test_the_corner_of_a_box_is_outside_of_its_ellipse() -> None:
    corner = np.array([[101.0, 101.0]])

    assert inside(corner, [Cover((100, 100, 140, 140), shape="box")]).tolist() == [True]
    assert inside(corner, [Cover((100, 100, 140, 140))]).tolist() == [False]


def test_false_area_is_what_lies_under_covers_away_from_faces() -> None:
    quarter = Cover((0, 0, 640, 360), shape="box")

    assert false_area(np.zeros((0, 4)), [quarter], 1280, 720) == pytest.approx(0.25)
    assert false_area(np.array([[0, 0, 640, 360]]), [quarter], 1280, 720) == 0


def test_the_interval_of_a_constant_gain() -> None:
    ours = ClipTally(covered=[True, True, True, True], tracks=["a", "a", "b", "b"])
    theirs = replace(ours, covered=[True, False, False, True])

    assert gain(ours, theirs, seed=0) == (0.5, 0.5)


class Looks:
    """Looks at every frame, and marks each with the number of frames that lie ahead of it."""

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [replace(frame, examined=True) for frame in frames]

    def settle(self, frame: Frame, ahead: Sequence[Frame]) -> Frame:
        return replace(frame, faces=Faces.of([[0, 0, len(ahead), 1]]))


def test_frames_wait_for_the_look_ahead() -> None:
    frames = [frame_of(np.zeros((32, 32, 3), np.uint8), index) for index in range(6)]  # at 25 fps

    done = list(released([Looks()], frames, 79.0, tally := ClipTally()))

    assert [frame.index for frame in done] == [0, 1, 2, 3, 4, 5]
    assert [frame.faces.boxes[0, 2] for frame in done] == [2, 2, 2, 2, 1, 0]
    assert tally.whole == 0


class Blind:
    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return list(frames)


def test_frames_that_no_detector_looked_at_are_covered_whole() -> None:
    frames = [frame_of(np.zeros((32, 32, 3), np.uint8))]

    done = list(released([Blind()], frames, 0, tally := ClipTally()))

    assert [frame.covers[0].box for frame in done] == [(0, 0, 32, 32)]
    assert tally.whole == 1
