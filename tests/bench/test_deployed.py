"""How frames pass through the look-ahead of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.deployed import Pass, released
from operators.frame import Faces, Frame
from operators.stills import frame_of


class Looks:
    """Looks at every frame, and moves its mark to the frame with the number of frames that lie ahead."""

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [replace(frame, examined=True) for frame in frames]

    def settle(self, frame: Frame, ahead: Sequence[Frame]) -> Frame:
        return replace(frame, faces=Faces.of([[0, 0, len(ahead), 1]]))


class Blind:
    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return list(frames)


def frames(count: int) -> list[Frame]:
    """At 25 a second."""
    return [frame_of(np.zeros((32, 32, 3), np.uint8), index) for index in range(count)]


def test_frames_wait_for_the_look_ahead() -> None:
    done = list(released({"looks": Looks()}, frames(6), 79.0, spent := Pass()))

    assert [frame.index for frame in done] == [0, 1, 2, 3, 4, 5]
    assert [frame.faces.boxes[0, 2] for frame in done] == [2, 2, 2, 2, 1, 0]
    assert (spent.frames, spent.whole) == (6, 0)
    assert spent.stages.keys() == {"looks"}


def test_large_pictures_wait_no_longer_than_memory_allows() -> None:
    few = list(released({"looks": Looks()}, frames(12), 10_000.0, Pass(), memory_mb=0))  # then there are four slots

    assert [frame.index for frame in few] == list(range(12))
    assert max(frame.faces.boxes[0, 2] for frame in few) == 2


def test_frames_that_nobody_examined_are_covered_whole() -> None:
    done = list(released({"blind": Blind()}, frames(1), 0, spent := Pass()))

    assert [frame.covers[0].box for frame in done] == [(0, 0, 32, 32)]
    assert spent.whole == 1
