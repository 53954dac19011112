"""The decoding is checked on maps made by hand, the whole on a public-domain portrait."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines import FrameError, open_engine
from operators.detect.yunet import YuNet
from operators.shown import Shown
from operators.stills import frame_of
from tests.clips import portrait
from tests.model_files import model_file

BLACK = np.zeros((320, 640, 3), np.uint8)


class OneFace:
    """An engine that sees one face of 40 x 60 pixels in each picture, around the corner of column 5 and row 3 at
    stride 16, and notes what sizes it was shown."""

    def __init__(self, score: float = 0.8) -> None:
        self.score = score
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        _, _, h, w = inputs["input"].shape
        self.shapes.append((w, h))
        maps = {}
        for stride in (8, 16, 32):
            cells = h // stride * (w // stride)
            for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
                maps[f"{name}_{stride}"] = np.zeros((1, cells, width), np.float32)
        cell = 3 * (w // 16) + 5
        maps["cls_16"][0, cell], maps["obj_16"][0, cell] = 1, self.score**2
        maps["bbox_16"][0, cell] = 0, 0, np.log(40 / 16), np.log(60 / 16)
        maps["kps_16"][0, cell] = 0.5, -0.5, -0.5, -0.5, 0, 0, 0.5, 0.5, -0.5, 0.5  # the right eye first
        return maps


def test_one_face_is_decoded() -> None:
    frame = YuNet(OneFace(), px=640)([frame_of(BLACK)])[0]

    assert frame.faces.boxes[0] == pytest.approx([60, 18, 100, 78], abs=1e-3)  # around x 5 * 16, y 3 * 16
    assert frame.faces.scores[0] == pytest.approx(0.8)
    assert frame.faces.landmarks[0] == pytest.approx(
        np.array([[72, 40], [88, 40], [80, 48], [72, 56], [88, 56]]), abs=1e-3
    )
    assert frame.examined


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        pytest.param((1280, 720), (640, 384), id="reduced, on the grid"),
        pytest.param((720, 1280), (384, 640), id="upright"),
        pytest.param((200, 100), (416, 224), id="not more than twice"),
    ],
)
def test_what_the_network_sees(size: tuple[int, int], seen: tuple[int, int]) -> None:
    engine = OneFace(0)

    frame = YuNet(engine, px=640)([frame_of(np.zeros((size[1], size[0], 3), np.uint8))])[0]

    assert engine.shapes == [seen]
    assert (len(frame.faces), frame.examined) == (0, True)


def test_every_frame_is_looked_at() -> None:
    done = YuNet(OneFace())([frame_of(BLACK, index) for index in range(5)])

    assert [(frame.index, frame.examined, len(frame.faces)) for frame in done] == [(i, True, 1) for i in range(5)]


def test_earlier_faces_stay_and_the_input_is_left_alone() -> None:
    frame = frame_of(BLACK)
    (before,) = YuNet(OneFace(), px=640)([frame])

    (after,) = YuNet(OneFace(0.6), px=640)([before])

    assert after.faces.scores.tolist() == pytest.approx([0.8, 0.6])
    assert (len(frame.faces), frame.examined, len(before.faces)) == (0, False, 1)


@pytest.mark.parametrize(("threshold", "found"), [(0.79, 1), (0.81, 0)])
def test_options_reach_the_network(threshold: float, found: int) -> None:
    engine = OneFace()

    (done,) = YuNet(engine, threshold=threshold, px=320)([frame_of(BLACK)])

    assert (len(done.faces), done.examined) == (found, True)
    assert engine.shapes == [(320, 160)]


def test_a_broken_output_is_no_empty_picture() -> None:
    with pytest.raises(FrameError, match="not finite"):
        YuNet(OneFace(np.nan))([frame_of(BLACK)])


@pytest.fixture(scope="module")
def detector() -> YuNet:
    return YuNet(open_engine(model_file("yunet")), px=640)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_portrait_in_any_rotation(detector: YuNet, rotation: int) -> None:
    image = cv2.resize(portrait(), (400, 480))
    coded = np.ascontiguousarray(np.rot90(image, -rotation // 90))

    faces = detector([frame_of(coded, shown=Shown.turned(rotation))])[0].faces

    assert len(faces) == 1
    x1, y1, x2, y2 = faces.boxes[0]
    assert 0 <= x1 < x2 <= coded.shape[1]
    assert 0 <= y1 < y2 <= coded.shape[0]
    left_eye, _, nose, mouth, _ = faces.landmarks[0]
    down = {0: (0, 1), 90: (-1, 0), 180: (0, -1), 270: (1, 0)}[rotation]
    assert (left_eye - nose) @ down < 0 < (mouth - nose) @ down


def test_freed_axes_change_no_number() -> None:
    """The model's file declares one size; see `configs/models.yaml`. Shifted by its stride, it must see the same."""
    engine = open_engine(model_file("yunet"))
    face = cv2.resize(portrait(), (96, 128)).transpose(2, 0, 1).astype(np.float32)
    wide, narrow = np.zeros((1, 3, 256, 512), np.float32), np.zeros((1, 3, 256, 256), np.float32)
    wide[0, :, 64:192, 64:160] = narrow[0, :, 64:192, 64:160] = face

    seen = [engine(input=array)["bbox_32"].reshape(8, -1, 4) for array in (wide, narrow)]

    assert seen[0].shape == (8, 16, 4)
    assert seen[0][:, :3] == pytest.approx(seen[1][:, :3], abs=0.2)
