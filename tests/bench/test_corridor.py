"""Somebody walks through a drawn corridor in one frame of twenty."""

from __future__ import annotations

import numpy as np
import pytest

from bench.corridor import FACE_PX, FRAMES, HEIGHT, PRESENT, WIDTH, CutHead, cut_head, paste, walk
from operators.arrays import Image

EMPTY: Image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def head_of(level: int, side: int = 60) -> CutHead:
    return cut_head(np.full((90, 90, 3), level, np.uint8), np.array([30.0, 30, 60, 60]), side)


def test_somebody_is_there_in_one_frame_of_twenty() -> None:
    heads = [head_of(255, FACE_PX), head_of(250, FACE_PX)]

    there = [frame for frame in range(FRAMES) if walk(EMPTY, heads, frame) is not EMPTY]

    assert len(there) == PRESENT == FRAMES / 20
    assert np.diff(there).tolist() == [1] * (PRESENT - 1)
    assert there[0] > 0 and there[-1] < FRAMES - 1, "or a loop would show two halves of the walk in a row"
    assert (EMPTY == 128).all()


def test_they_cross_the_whole_picture() -> None:
    heads = [head_of(255, FACE_PX)]
    first, last = (FRAMES - PRESENT) // 2, (FRAMES + PRESENT) // 2 - 1

    columns = [
        np.flatnonzero((walk(EMPTY, heads, frame) == 255).all(axis=2).any(axis=0)) for frame in (first + 3, last - 3)
    ]

    assert columns[0].max() < WIDTH / 5
    assert columns[1].min() > 4 * WIDTH / 5


def test_a_head_is_pasted_with_soft_edges() -> None:
    picture = np.full((100, 100, 3), 100, np.uint8)

    paste(picture, head_of(200, 20), 50, 50)

    assert (picture[50, 50] == 200).all()
    assert (picture[33, 33] == 100).all(), "the corner of an ellipse"
    assert len(np.unique(picture)) > 3


@pytest.mark.parametrize(("x", "y"), [(-100, 50), (0, 0), (99, 99), (300, 50)])
def test_a_head_may_lie_out_of_the_picture(x: int, y: int) -> None:
    picture = np.full((100, 100, 3), 100, np.uint8)

    paste(picture, head_of(200, 20), x, y)

    assert (picture.max() > 100) == (-20 < x < 120)
