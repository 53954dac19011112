from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import EngineError
from operators.frame import Faces, Frame
from operators.landmarks.mediapipe import Landmarker
from operators.shown import Shown
from operators.stills import frame_of
from tests.clips import portrait
from tests.model_files import model_file

FACE = (136, 103, 276, 264)
WALL = (0, 300, 100, 400)
IRIS = 468


@pytest.fixture(scope="module")
def landmarker() -> Iterator[Landmarker]:
    operator = Landmarker(model_file("face_landmarker"))
    yield operator
    operator.close()


@pytest.fixture
def frame() -> Frame:
    """A portrait with a box around the face, one where there is none, and one too small to look at."""
    frame = frame_of(cv2.resize(portrait(), (400, 480)))
    return replace(frame, faces=Faces.of([FACE, WALL, (10, 10, 20, 20)]))


def test_a_face_gets_its_mesh_and_others_nan(landmarker: Landmarker, frame: Frame) -> None:
    data = landmarker([frame])[0].faces.data

    assert {name: array.shape for name, array in data.items()} == {
        "mesh": (3, 478, 3), "blendshapes": (3, 52), "pose": (3, 4, 4),
    }  # fmt: skip
    x, y, _ = data["mesh"][0].T
    assert FACE[0] - 10 < x.min() < x.max() < FACE[2] + 10
    assert FACE[1] - 10 < y.min() < y.max() < FACE[3] + 10
    assert 0 <= data["blendshapes"][0].min() <= data["blendshapes"][0].max() <= 1
    rotation = data["pose"][0, :3, :3]
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=0.05)
    for array in data.values():
        assert np.isnan(array[1:]).all()
    assert not frame.faces.data


def test_a_lying_picture_gives_the_same_points(landmarker: Landmarker, frame: Frame) -> None:
    lying = frame_of(np.ascontiguousarray(np.rot90(frame.bgr, -1)), shown=Shown.turned(90))
    x1, y1, x2, y2 = FACE
    lying = replace(lying, faces=Faces.of([(480 - y2, x1, 480 - y1, x2)]))

    upright, coded = landmarker([frame, lying])

    x, y, _ = upright.faces.data["mesh"][0, IRIS]
    assert coded.faces.data["mesh"][0, IRIS, :2] == pytest.approx([480 - y, x], abs=1)


@pytest.mark.parametrize(("side", "looked_at"), [(23, False), (24, True)])
def test_faces_below_24_pixels_are_left_out(landmarker: Landmarker, side: int, looked_at: bool) -> None:
    """The face as large as it is, but boxed 140 pixels wide and only so many high."""
    middle = (FACE[1] + FACE[3]) / 2
    box = (FACE[0], middle - side / 2, FACE[2], middle + side / 2)
    frame = replace(frame_of(cv2.resize(portrait(), (400, 480))), faces=Faces.of([box]))

    (done,) = landmarker([frame])

    assert np.isfinite(done.faces.data["mesh"]).all() == looked_at


def test_a_neighbour_is_not_taken_for_the_face(landmarker: Landmarker) -> None:
    """The crop around this box shows the whole face, whose middle lies left of the box."""
    right_of_it = (270, 90, 440, 280)
    frame = replace(frame_of(cv2.resize(portrait(), (480, 480))), faces=Faces.of([right_of_it]))
    wide = tuple(np.add(right_of_it, (-150, 0, 0, 0)).tolist())

    own, other = landmarker([replace(frame, faces=Faces.of([wide])), frame])

    assert np.isfinite(own.faces.data["mesh"]).all()
    assert np.isnan(other.faces.data["mesh"]).all()


def test_earlier_data_stays_and_frames_keep_their_order(landmarker: Landmarker, frame: Frame) -> None:
    first = replace(frame, faces=frame.faces.with_data(age=np.array([1.0, 2.0, 3.0])))
    second = replace(frame_of(np.zeros((64, 64, 3), np.uint8), 1), faces=Faces.of([(0, 0, 64, 64)]))

    done = landmarker([first, second])

    assert [one.index for one in done] == [0, 1]
    assert done[0].faces.data["age"].tolist() == [1, 2, 3]
    assert np.array_equal(done[0].faces.boxes, frame.faces.boxes)
    assert np.isnan(done[1].faces.data["mesh"]).all()


def test_no_faces(landmarker: Landmarker) -> None:
    faces = landmarker([frame_of(np.zeros((64, 64, 3), np.uint8))])[0].faces

    assert faces.data["mesh"].shape == (0, 478, 3)


def test_a_damaged_model(tmp_path: Path) -> None:
    path = tmp_path / "damaged.task"
    path.write_bytes(b"no bundle")

    with pytest.raises(EngineError, match=r"damaged\.task"):
        Landmarker(path)
