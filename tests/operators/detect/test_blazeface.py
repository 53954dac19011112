from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import EngineError
from operators.detect.blazeface import BlazeFace
from operators.shown import Shown
from operators.stills import frame_of
from tests.clips import portrait
from tests.model_files import model_file


@pytest.fixture(scope="module")
def detector() -> Iterator[BlazeFace]:
    operator = BlazeFace(model_file("blazeface"))
    yield operator
    operator.close()


def test_a_portrait_upright_and_lying(detector: BlazeFace) -> None:
    image = cv2.resize(portrait(), (400, 480))
    lying = np.ascontiguousarray(np.rot90(image, -1))

    upright, coded = detector([frame_of(image), frame_of(lying, shown=Shown.turned(90))])

    assert len(upright.faces) == len(coded.faces) == 1
    assert upright.examined
    x1, y1, x2, y2 = upright.faces.boxes[0].tolist()
    assert coded.faces.boxes[0] == pytest.approx([480 - y2, x1, 480 - y1, x2], abs=4)
    left_eye, right_eye, nose, *mouth = upright.faces.landmarks[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye == pytest.approx([x1 + (x2 - x1) / 4, y1 + (y2 - y1) / 4], abs=15)
    assert np.isnan(mouth).all()


def test_every_frame_is_looked_at_and_may_show_no_face(detector: BlazeFace) -> None:
    frames = [frame_of(np.zeros((64, 96, 3), np.uint8), index) for index in range(3)]

    done = detector(frames)

    assert [frame.index for frame in done] == [0, 1, 2]
    assert [frame.examined for frame in done] == [True, True, True]
    assert [len(frame.faces) for frame in done] == [0, 0, 0]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_boxes_and_points_lie_in_the_coded_picture(detector: BlazeFace, rotation: int) -> None:
    """The face lies so near the edge that the network's box reaches over it."""
    image = cv2.resize(portrait(), (400, 480))[60:420, 140:]
    coded = np.ascontiguousarray(np.rot90(image, -rotation // 90))

    (done,) = detector([frame_of(coded, shown=Shown.turned(rotation))])

    (box,), (points,) = done.faces.boxes.tolist(), done.faces.landmarks
    height, width = coded.shape[:2]
    assert 0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height
    assert 0 in (box[0], box[1], width - box[2], height - box[3])
    assert ((points[:3] > box[:2]) & (points[:3] < box[2:])).all()
    assert 0.5 <= done.faces.scores[0] <= 1


def test_earlier_faces_stay_and_the_input_is_left_alone(detector: BlazeFace) -> None:
    frame = frame_of(cv2.resize(portrait(), (400, 480)), 1)

    (once,) = detector([frame])
    (twice,) = detector([once])

    assert (once.examined, len(once.faces), len(twice.faces)) == (True, 1, 2)
    assert (frame.examined, len(frame.faces)) == (False, 0)


def test_a_damaged_model(tmp_path: Path) -> None:
    path = tmp_path / "damaged.tflite"
    path.write_bytes(b"no network")

    with pytest.raises(EngineError, match=r"damaged\.tflite"):
        BlazeFace(path)
