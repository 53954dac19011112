"""The gate refuses a frame with a face that is neither covered nor kept, and covers that nobody can paint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import FrameError
from operators.deidentify.cover import CoverFaces
from operators.frame import Cover, Faces, Frame
from operators.paint.gate import check_covered
from tests.operators.pictures import flat

WIDTH, HEIGHT = 64, 48
FACE, OTHER = (10, 10, 20, 20), (30, 30, 40, 40)
OUTWARDS = tuple(zip(FACE, (-1, -1, 1, 1), strict=True))
Box = tuple[float, float, float, float]


def frame(*boxes: Box, kept: list[bool] | None = None, covers: tuple[Box, ...] = ()) -> Frame:
    faces = Faces.of(boxes, kept=kept)
    return Frame("door", 7, 0.0, flat("yuv420p", WIDTH, HEIGHT), faces, tuple(Cover(box) for box in covers))


@pytest.mark.parametrize(
    ("kept", "covers", "passes"),
    [
        ([True, True], (), True),
        ([True, False], (), False),
        ([False, True], (), False),
        ([False, False], (), False),
        ([True, False], (FACE,), False),
        ([False, True], (FACE,), True),
        ([False, False], (FACE,), False),
        ([False, False], (OTHER,), False),
        ([False, False], (OTHER, FACE), True),
        ([False, False], ((9, 9, 41, 41),), True),
        ([True, True], (OTHER,), True),
    ],
    ids=str,
)
def test_every_face_is_kept_or_covered(kept: list[bool], covers: tuple[Box, ...], passes: bool) -> None:
    shown = frame(FACE, OTHER, kept=kept, covers=covers)

    if passes:
        check_covered(shown)
        return
    with pytest.raises(FrameError, match="expected a cover over the face at"):
        check_covered(shown)


def test_without_faces_nothing_needs_a_cover() -> None:
    check_covered(frame())
    check_covered(frame(covers=(FACE,)))


@pytest.mark.parametrize("side", range(4), ids=["left", "top", "right", "bottom"])
@pytest.mark.parametrize(("by", "passes"), [(-5.0, True), (0.5, True), (0.51, False)])
def test_how_far_a_face_may_reach_out(side: int, by: float, passes: bool) -> None:
    x1, y1, x2, y2 = (edge + outwards * by * (number == side) for number, (edge, outwards) in enumerate(OUTWARDS))
    shown = frame((x1, y1, x2, y2), covers=(FACE,))

    if passes:
        check_covered(shown)
        return
    with pytest.raises(FrameError, match="got 1 covers elsewhere"):
        check_covered(shown)


@pytest.mark.parametrize(
    ("face", "cover", "passes"),
    [
        pytest.param((-9, -9, 5, 5), (0, 0, 5, 5), True, id="over the upper left corner"),
        pytest.param((60, 40, 90, 90), (60, 40, WIDTH, HEIGHT), True, id="over the lower right corner"),
        pytest.param((60, 40, 90, 90), (60, 40, WIDTH, HEIGHT - 1), False, id="the last line is bare"),
        pytest.param((60, 40, 90, 90), (60, 40, WIDTH - 1, HEIGHT), False, id="the last column is bare"),
        pytest.param((WIDTH, 0, 90, 9), FACE, True, id="right of the picture"),
        pytest.param((0, HEIGHT, 9, 90), FACE, True, id="below it"),
        pytest.param((-9, 0, 0, 9), FACE, True, id="left of it"),
        pytest.param((WIDTH - 1, 0, 90, 9), FACE, False, id="one column within"),
        pytest.param((5, 5, 5, 9), FACE, True, id="no width, so nothing of it is seen"),
    ],
)
def test_only_what_is_in_the_picture_needs_a_cover(face: Box, cover: Box, passes: bool) -> None:
    if passes:
        check_covered(frame(face, covers=(cover,)))
        return
    with pytest.raises(FrameError, match="covers elsewhere"):
        check_covered(frame(face, covers=(cover,)))


def test_the_message_names_the_frame_and_the_face() -> None:
    with pytest.raises(FrameError) as refused:
        check_covered(frame(FACE, OTHER, covers=(FACE,)))

    assert str(refused.value) == (
        "door, frame 7: expected a cover over the face at 30.0 30.0 40.0 40.0, got 1 covers elsewhere; "
        "end the steps with a deidentify operator"
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"style": "sepia"}, "no cover of style 'sepia'"),
        ({"shape": "star"}, "shape 'star'"),
        ({"style": "image"}, "needs pixels"),
        ({"style": "image", "pixels": np.zeros((4, 4, 4), np.uint8)}, "needs pixels"),
        ({"style": "image", "pixels": np.zeros((4, 4), np.uint8)}, "needs pixels"),
        ({"cells": 0}, "cells >= 1"),
        ({"feather": 1.1}, r"feather in 0\.\.1"),
        ({"feather": -0.1}, r"feather in 0\.\.1"),
        ({"feather": float("nan")}, r"feather in 0\.\.1"),
        ({"box": (0, 0, float("inf"), 9)}, "cover: expected finite"),
        ({"box": (9, 0, 8, 9)}, "cover: expected finite x1 <= x2"),
        ({"box": (0, 9, 9, 8)}, "cover: expected finite x1 <= x2 and y1 <= y2, got 0.0 9.0 9.0 8.0"),
    ],
    ids=str,
)
def test_a_cover_that_cannot_be_painted_is_refused_without_faces_too(change: Any, complaint: str) -> None:
    nobody = frame(covers=(FACE,))
    wrong = replace(nobody, covers=(*nobody.covers, replace(nobody.covers[0], **change)))

    with pytest.raises(FrameError, match=complaint):
        check_covered(wrong)


SIDES = st.floats(-200, 200, width=32)


@given(st.lists(st.tuples(SIDES, SIDES, SIDES, SIDES), max_size=5), st.floats(1, 4))
def test_what_the_operator_covers_passes(sides: list[Box], scale: float) -> None:
    boxes: list[Box] = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in sides]
    bare = frame(*boxes)

    (covered,) = CoverFaces(scale=scale)([bare])

    check_covered(covered)
