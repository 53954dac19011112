"""The decoding is checked on maps made by hand, the whole on a public-domain portrait."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines import ConfigError, EngineError, FrameError, open_engine
from operators.detect.centerface import CenterFace
from operators.frame import Faces
from operators.shown import Shown
from operators.stills import frame_of
from tests.clips import portrait
from tests.model_files import model_file


class OneFace:
    """An engine that sees one face of 40 x 60 pixels in each picture, around the cell of column 10 and row 20."""

    def __init__(self, heat: float = 0.9) -> None:
        # y before x; the landmarks (right eye, left eye, nose, corners of the mouth) as fractions of the box
        points = [0.25, 0.75, 0.25, 0.25, 0.5, 0.5, 0.75, 0.25, 0.75, 0.75]
        self.cell = {"537": [heat], "538": [np.log(60 / 4), np.log(40 / 4)], "539": [0.25, 0], "540": points}
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        b, _, h, w = inputs["input.1"].shape
        self.shapes.append((b, w, h))
        maps = {name: np.zeros((b, len(values), h // 4, w // 4), np.float32) for name, values in self.cell.items()}
        for name, values in self.cell.items():
            maps[name][:, :, 20:21, 10:11] = np.reshape(values, (-1, 1, 1))
        return maps


def black(width: int, height: int) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


def test_one_face_is_decoded() -> None:
    frame = CenterFace(OneFace())([frame_of(black(800, 608))])[0]

    # centre: x (10 + 0.5) * 4 = 42, y (20 + 0.25 + 0.5) * 4 = 83
    assert frame.faces.boxes[0] == pytest.approx([22, 53, 62, 113], abs=1e-3)
    assert frame.faces.scores[0] == pytest.approx(0.9)
    assert frame.faces.landmarks[0] == pytest.approx(
        np.array([[32, 68], [52, 68], [42, 83], [32, 98], [52, 98]]), abs=1e-3
    )
    assert frame.examined


def test_no_faces() -> None:
    frame = CenterFace(OneFace(heat=0.1))([frame_of(black(64, 64))])[0]

    assert len(frame.faces) == 0
    assert frame.examined


def test_sizes_may_change_within_a_call() -> None:
    engine = OneFace()
    frames = [frame_of(black(800, 608)), frame_of(black(800, 608), 1), frame_of(black(608, 800), 2)]

    done = CenterFace(engine, batch=8)(frames)

    assert engine.shapes == [(2, 800, 608), (1, 608, 800)]
    assert [len(frame.faces) for frame in done] == [1, 1, 1]


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        pytest.param((1280, 720), (1280, 736), id="as it is, on the grid"),
        pytest.param((640, 360), (800, 480), id="enlarged"),
        pytest.param((320, 240), (640, 480), id="not more than twice"),
        pytest.param((3840, 2160), (1920, 1088), id="reduced"),
        pytest.param((2, 2), (32, 32), id="tiny"),
        pytest.param((8192, 2), (8192, 32), id="a line"),
        pytest.param((16000, 1600), (3936, 416), id="a panorama"),
    ],
)
def test_what_the_network_sees(size: tuple[int, int], seen: tuple[int, int]) -> None:
    engine = OneFace(heat=0)

    CenterFace(engine)([frame_of(black(*size))])

    assert engine.shapes == [(1, *seen)]


@pytest.mark.parametrize(("batch", "batches"), [(1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (5, [5]), (9, [5])])
def test_frames_are_looked_at_in_batches(batch: int, batches: list[int]) -> None:
    engine = OneFace()

    done = CenterFace(engine, batch=batch)([frame_of(black(800, 608), index) for index in range(5)])

    assert [count for count, *_ in engine.shapes] == batches
    assert [(frame.index, len(frame.faces), frame.examined) for frame in done] == [(i, 1, True) for i in range(5)]


@pytest.mark.parametrize(("nms", "found"), [(0.8, 1), (0.85, 2)])
def test_how_far_faces_may_overlap(nms: float, found: int) -> None:
    """The same face in two neighbouring cells, 4 of 40 pixels apart: an overlap of 36 / 44."""

    def twice(**inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        maps = OneFace()(**inputs)
        for array in maps.values():
            array[..., 20, 11] = array[..., 20, 10]
        return maps

    (done,) = CenterFace(twice, nms=nms)([frame_of(black(800, 608))])

    assert len(done.faces) == found


def test_no_frames_ask_no_network() -> None:
    engine = OneFace()

    assert CenterFace(engine)([]) == []
    assert engine.shapes == []


def test_earlier_faces_stay_and_the_input_is_left_alone() -> None:
    frame = frame_of(black(800, 608))
    before = CenterFace(OneFace())([frame])[0]

    after = CenterFace(OneFace())([before])[0]

    assert (len(frame.faces), len(before.faces), len(after.faces)) == (0, 1, 2)


def test_the_lower_limit_may_not_be_above_the_upper_one() -> None:
    with pytest.raises(ConfigError, match="min_px: expected at most max_px, which is 640, got 900"):
        CenterFace(OneFace(), min_px=900, max_px=640)


def test_a_broken_heat_map_is_no_empty_picture() -> None:
    with pytest.raises(FrameError, match="not finite"):
        CenterFace(OneFace(heat=np.nan))([frame_of(black(800, 608))])


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return CenterFace(open_engine(model_file("centerface")))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_portrait_in_any_rotation(detector: CenterFace, rotation: int) -> None:
    image = cv2.resize(portrait(), (400, 480))
    coded = np.ascontiguousarray(np.rot90(image, -rotation // 90))

    faces: Faces = detector([frame_of(coded, shown=Shown.turned(rotation))])[0].faces

    assert len(faces) == 1
    x1, y1, x2, y2 = faces.boxes[0]
    assert 0 <= x1 < x2 <= coded.shape[1]
    assert 0 <= y1 < y2 <= coded.shape[0]
    assert ((faces.landmarks[0] > (x1, y1)) & (faces.landmarks[0] < (x2, y2))).all()
    left_eye, _, nose, mouth, _ = faces.landmarks[0]
    down = {0: (0, 1), 90: (-1, 0), 180: (0, -1), 270: (1, 0)}[rotation]
    assert (left_eye - nose) @ down < 0 < (mouth - nose) @ down


def test_the_network_names_what_it_wants() -> None:
    engine = open_engine(model_file("centerface"))

    with pytest.raises(EngineError, match=r"expected float32 \(any, 3, any, any\), got uint8"):
        engine(**{"input.1": np.zeros((1, 3, 32, 32), np.uint8)})
