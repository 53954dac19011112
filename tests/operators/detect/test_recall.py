"""Which labelled faces count as found, and what a detector gives its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import Engine
from operators import Operator
from operators.arrays import Array
from operators.boxes import iou
from operators.detect.recall import inputs_of, match, recall
from operators.frame import Faces, Frame
from operators.stills import Labelled

Box = tuple[float, float, float, float]
LEFT, RIGHT = (0, 0, 10, 10), (20, 0, 30, 10)


def picture(*boxes: Box, grey: int = 0) -> Labelled:
    content = bytes(cv2.imencode(".png", np.full((16, 32, 3), grey, np.uint8))[1])
    return Labelled(content, np.array(boxes, np.float64).reshape(-1, 4))


def opener(engine: Engine) -> Operator:
    """A detector whose engine is shown the brightness of the picture, and answers with boxes."""

    def detect(frames: Sequence[Frame]) -> list[Frame]:
        found = [engine(light=np.rint(frame.bgr.mean(keepdims=True))) for frame in frames]
        return [
            replace(frame, faces=Faces.of(answer["boxes"], answer["scores"]))
            for frame, answer in zip(frames, found, strict=True)
        ]

    return detect


def seeing(*boxes: Box) -> Engine:
    def engine(**_: Any) -> Mapping[str, Array]:
        return {"boxes": np.array(boxes, np.float32).reshape(-1, 4), "scores": np.ones(len(boxes), np.float32)}

    return engine


@pytest.mark.parametrize(
    ("boxes", "scores", "found"),
    [
        pytest.param([LEFT, RIGHT], [0.9, 0.8], [True, True], id="both"),
        pytest.param([RIGHT], [0.9], [False, True], id="one"),
        pytest.param([], [], [False, False], id="none"),
        pytest.param([LEFT, LEFT], [0.9, 0.8], [True, False], id="one of them twice"),
        pytest.param([(0, 0, 10, 4.0)], [0.9], [True, False], id="an overlap of 0.4"),
        pytest.param([(0, 0, 10, 3.9)], [0.9], [False, False], id="an overlap below it"),
        pytest.param([(0, 0, 30, 10)], [0.9], [False, False], id="one around both"),
        pytest.param([(12, 0, 18, 10)], [0.9], [False, False], id="one between them"),
    ],
)
def test_labels_that_are_found(boxes: list[Box], scores: list[float], found: list[bool]) -> None:
    labels = np.array([LEFT, RIGHT], np.float64)

    assert match(labels, np.array(boxes, np.float64).reshape(-1, 4), np.array(scores)).tolist() == found


def test_the_best_scored_box_chooses_first() -> None:
    """Both overlap the first label more than the second, the wide one by 0.75. Only the wide one overlaps the second
    enough, by 0.56: it finds that one if it chooses last."""
    labels = np.array([[0, 0, 12, 10], [6, 0, 18, 10]], np.float64)
    wide, narrow = (0, 0, 16, 10), (0, 0, 12, 10)

    by_score = [
        match(labels, np.array([wide, narrow], np.float64), np.array(scores)) for scores in ([0.9, 0.8], [0.8, 0.9])
    ]

    assert [found.tolist() for found in by_score] == [[True, False], [True, True]]


NUMBERS = st.integers(0, 12)
BOXES = st.lists(
    st.builds(lambda x, y, w, h: (x, y, x + w + 1, y + h + 1), NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=5
)


@given(BOXES.filter(bool), BOXES)
def test_each_box_finds_one_label_at_most_and_only_one_that_it_overlaps(labels: list[Box], boxes: list[Box]) -> None:
    wanted, seen = (np.array(rows, np.float64).reshape(-1, 4) for rows in (labels, boxes))

    found = match(wanted, seen, np.arange(len(boxes)))

    assert found.sum() <= len(boxes)
    assert (iou(wanted, seen).max(axis=1, initial=0)[found] >= 0.4).all()
    assert match(wanted, wanted, np.ones(len(labels))).all()


def test_recall_counts_faces_and_not_pictures() -> None:
    """Of four labelled faces in two pictures, the one that is seen is right in one of them."""
    pictures = [picture(LEFT), picture(RIGHT, (20, 12, 26, 16), (0, 12, 5, 16))]

    assert recall(opener, seeing(LEFT), pictures) == pytest.approx(1 / 4)
    assert recall(opener, seeing(RIGHT, LEFT), pictures) == pytest.approx(2 / 4)
    assert recall(opener, seeing(), pictures) == 0


def test_what_a_detector_gives_its_engine_for_each_picture() -> None:
    shown = list(inputs_of(opener, [picture(LEFT, grey=grey) for grey in (10, 200, 90)]))

    assert [list(inputs) for inputs in shown] == [["light"]] * 3
    assert [round(float(inputs["light"].item())) for inputs in shown] == pytest.approx([10, 200, 90], abs=1)


def test_a_detector_that_asks_no_engine_gives_nothing() -> None:
    def blind(_: Engine) -> Operator:
        return lambda frames: list(frames)

    assert not list(inputs_of(blind, [picture(LEFT)]))
