"""The drawn face is found by each detector, well above any threshold in use, and it lies where its box says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engines import Engine, open_engine
from operators import Operator
from operators.boxes import iou
from operators.detect.cascade import Cascade
from operators.detect.centerface import CenterFace
from operators.detect.known_face import BOX, SIDE, known_face
from operators.detect.yunet import YuNet
from operators.stills import frame_of
from tests.model_files import model_file


def cascade(quick: Engine) -> Operator:
    return Cascade(open_engine(model_file("centerface")), quick)


@pytest.mark.parametrize(
    ("model", "detector", "score"),
    [("centerface", CenterFace, 0.6), ("yunet", YuNet, 0.85), ("yunet", cascade, 0.6)],
    ids=["centerface", "yunet", "cascade"],
)
def test_every_detector_finds_it(model: str, detector: Callable[[Engine], Operator], score: float) -> None:
    (seen,) = detector(open_engine(model_file(model)))([known_face("s")])

    assert len(seen.faces) == 1
    assert seen.faces.scores[0] > score
    assert iou(seen.faces.boxes, np.array([BOX], np.float32))[0, 0] > 0.7


def test_blazeface_finds_it() -> None:
    pytest.importorskip("mediapipe")
    from operators.detect.blazeface import BlazeFace

    detector = BlazeFace(model_file("blazeface"))
    (seen,) = detector([known_face("s")])
    detector.close()

    assert len(seen.faces) == 1
    assert iou(seen.faces.boxes, np.array([BOX], np.float32))[0, 0] > 0.5


def test_it_is_the_same_in_every_stream() -> None:
    first, second = known_face("a"), known_face("b")

    assert (first.stream, second.stream, first.index, first.time_s) == ("a", "b", 0, 0)
    assert first.bgr.shape == (SIDE, SIDE, 3)
    assert np.array_equal(first.bgr, second.bgr)


def test_the_picture_outside_of_the_box_is_no_face() -> None:
    """What is found is the face that was drawn, not the wall or the shirt."""
    frame, (x1, y1, x2, y2) = known_face("s"), BOX
    bare = frame.bgr.copy()
    bare[y1 - 20 : y2, x1 - 20 : x2 + 20] = (150, 140, 130)

    assert len(YuNet(open_engine(model_file("yunet")))([frame_of(bare)])[0].faces) == 0
