"""The judge's own detectors find a face of any way up, and do not confirm what is none."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from operators.boxes import iou
from operators.stills import frame_of
from pipeline.judging.panel import CROP_PX, JudgePanel, crop_around, joined
from tests.clips import portrait
from tests.model_files import model_file


@pytest.fixture(scope="module")
def panel() -> Iterator[JudgePanel]:
    for name in ("yunet", "blazeface"):
        model_file(name)
    with JudgePanel() as opened:
        yield opened


def scene(px: int = 240, turn: int = 0) -> np.ndarray:
    """`(360, 640, 3)` BGR with a portrait, `px` high, turned by quarters."""
    picture = np.full((360, 640, 3), 110, np.uint8)
    face = np.rot90(cv2.resize(portrait(), (px, px), interpolation=cv2.INTER_AREA), turn)
    picture[60 : 60 + px, 200 : 200 + px] = face
    return picture


def test_a_face_is_found_and_confirmed(panel: JudgePanel) -> None:
    picture = scene()

    found = panel.look(frame_of(picture), closely=False)

    assert len(found) == 1 and found[0, 4] > 0.85
    assert panel.confirms(crop_around(picture, found[0, :4]))
    assert len(panel.look_at_masked(frame_of(picture))) == 1


def test_a_small_face_is_found(panel: JudgePanel) -> None:
    found = panel.look(frame_of(scene(px=70)), closely=False)

    assert len(found) == 1 and found[0, 3] - found[0, 1] < 50


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_face_on_its_side_is_found_when_looked_for_closely(panel: JudgePanel, turn: int) -> None:
    upright_box = panel.look(frame_of(scene()), closely=False)[0, :4]

    found = panel.look(frame_of(scene(turn=turn)), closely=True)

    assert len(found) >= 1
    centre = (found[0, :2] + found[0, 2:4]) / 2
    assert np.linalg.norm(centre - np.array([320, 180])) < 80
    assert abs((found[0, 2] - found[0, 0]) - (upright_box[3] - upright_box[1])) < 60


def test_looking_closely_finds_a_face_once(panel: JudgePanel) -> None:
    assert len(panel.look(frame_of(scene()), closely=True)) == 1


def test_a_wall_is_no_face(panel: JudgePanel) -> None:
    wall = np.asarray(
        cv2.resize(np.random.default_rng(1).integers(80, 160, (9, 16, 3), np.uint8), (640, 360)), np.uint8
    )

    assert len(panel.look(frame_of(wall), closely=True)) == 0
    assert not panel.confirms(crop_around(wall, np.array([100, 100, 160, 160])))


def test_a_neighbour_confirms_nobody(panel: JudgePanel) -> None:
    """The crop beside a face shows some of it, but not in its middle."""
    picture = scene()
    box = panel.look(frame_of(picture), closely=False)[0, :4]
    side = box[2] - box[0]

    assert not panel.confirms(crop_around(picture, box + np.array([0.9, 0, 0.9, 0]) * side))


def test_crops_have_one_size_wherever_they_lie() -> None:
    for box in ([0, 0, 9, 9], [630, 350, 700, 420], [10, 10, 10, 10]):
        assert crop_around(scene(), np.array(box, float)).shape == (CROP_PX, CROP_PX, 3)


def test_faces_of_two_looks_are_joined() -> None:
    one = np.array([[0, 0, 10, 10, 0.9], [50, 50, 80, 80, 0.8]], np.float32)
    other = np.array([[1, 1, 11, 11, 0.99], [100, 0, 130, 30, 0.7]], np.float32)

    both = joined(one, other)

    assert len(both) == 3 and iou(both[:, :4], both[:, :4]).sum() == pytest.approx(3)
    assert len(joined(one[:0], other)) == 2
