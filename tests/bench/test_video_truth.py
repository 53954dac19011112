"""How makers' sightings are merged, voted on and linked."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.video_truth import MODELS, Detections, MergedFaces, joined, link, makers, merge, tiles, without
from operators.frame import Frame
from operators.stills import frame_of, read_labelled
from tests.model_files import model_file

STRONG = (0.5, 0.5, 0.5)
FACE = np.array([[100.0, 100, 140, 140]])


def at(x: float, score: float = 0.9) -> Detections:
    """One detection at that place."""
    return np.array([[x, 0.0, x + 40, 40]]), np.array([score])


def seen(x: float, score: float = 0.9, *, by: tuple[int, ...] = (0, 1)) -> MergedFaces:
    """A face that these makers see."""
    return merge([at(x, score) if maker in by else None for maker in range(3)], STRONG)


NOTHING = merge([None, None, None], STRONG)


def test_boxes_that_overlap_are_one_face_of_several_makers() -> None:
    found = merge([at(0, 0.3), None, (np.array([[4.0, 0, 44, 40], [200, 0, 240, 40]]), np.array([0.6, 0.2]))], STRONG)

    assert found.boxes[:, 0].tolist() == [0, 200], "the first maker's box stays"
    assert found.by.tolist() == [[True, False, True], [False, False, True]]
    assert found.strong.tolist() == [True, False]


def test_a_track_is_voted_for_and_has_no_gaps() -> None:
    times = [index / 10 for index in range(8)]

    truth = link([NOTHING, seen(0, 0.3), seen(4), NOTHING, seen(12, 0.3), NOTHING, NOTHING, NOTHING], times)

    assert [boxes[:, 0].round(6).tolist() for boxes in truth.boxes] == [[], [0], [4], [8], [12], [], [], []]
    assert [tracks.tolist() for tracks in truth.tracks[1:5]] == [[0]] * 4
    assert truth.by.tolist() == [[True, True, False]]


def test_two_makers_need_not_see_it_in_the_same_frame() -> None:
    truth = link([seen(0, by=(0,)), seen(0, by=(2,)), seen(0, by=(0,)), seen(0, by=(2,))], [0, 0.1, 0.2, 0.3])

    assert [len(boxes) for boxes in truth.boxes] == [1] * 4
    assert truth.by.tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([seen(0, by=(0,))] * 9, id="one maker alone"),
        pytest.param([seen(0, by=(0,))] * 8 + [seen(0)], id="the other only once"),
        pytest.param([seen(0, 0.4)] * 3, id="nobody ever sure"),
        pytest.param([seen(0)] * 2, id="seen twice"),
        pytest.param([seen(0), seen(100), seen(200)], id="three places"),
        pytest.param([], id="no frames"),
    ],
)
def test_what_is_no_track(frames: list[MergedFaces]) -> None:
    truth = link(frames, [index / 10 for index in range(len(frames))])

    assert not any(map(len, truth.boxes))


def test_a_gap_of_more_than_half_a_second_ends_a_track() -> None:
    frames = [seen(0), seen(0), NOTHING, seen(0), seen(0)]

    assert not any(map(len, link(frames, [0, 0.1, 0.2, 0.7, 0.8]).boxes))
    assert all(map(len, link(frames, [0, 0.1, 0.2, 0.5, 0.6]).boxes))


def test_a_place_is_where_one_was_sure_or_two_agreed() -> None:
    frames = [seen(0, 0.9, by=(0,)), seen(100, 0.2, by=(1,)), seen(200, 0.2), *[NOTHING] * 3]

    places = link(frames, [index / 10 for index in range(6)]).places

    assert [sorted(each[:, 0].tolist()) for each in places] == [[0, 200]] * 4 + [[200]] * 2


def test_places_without_faces_are_left_out() -> None:
    boxes, scores = without((np.concatenate([at(0)[0], at(100)[0]]), np.array([0.1, 0.2])), [(90, 0, 200, 50)])

    assert (boxes[:, 0].tolist(), scores.tolist()) == ([0], [0.1])
    assert len(without(at(0), [])[0]) == 1


def test_a_second_look_adds_what_the_first_did_not_see() -> None:
    more = (np.concatenate([at(5)[0], at(100)[0]]), np.array([0.3, 0.4]))

    boxes, scores = joined(at(0), more)

    assert (boxes[:, 0].tolist(), scores.tolist()) == ([0, 100], [0.9, 0.4])
    assert joined((np.zeros((0, 4)), np.zeros(0)), more)[1].tolist() == [0.3, 0.4]


def test_tiles_cover_a_picture_and_each_small_face_lies_whole_in_one() -> None:
    width, height = 640, 360
    found = list(tiles(width, height))

    reached: NDArray[Any] = np.zeros((height, width), np.bool_)
    for x1, y1, x2, y2 in found[1:]:
        assert x1 % 2 == y1 % 2 == 0
        reached[y1:y2, x1:x2] = True
    assert reached.all()
    for x, y in ((100, 100), (301, 77), (500, 250)):
        assert any(x1 <= x and y1 <= y and x + 60 <= x2 and y + 60 <= y2 for x1, y1, x2, y2 in found[1:])


def test_each_maker_finds_a_large_face(data_dir: Path) -> None:
    for name in MODELS:
        model_file(name)
    pictures = [each for each in read_labelled(data_dir / "detection_face_masks") if len(each.boxes) == 1]
    large = min(pictures, key=lambda each: abs(float(each.boxes[0, 3] - each.boxes[0, 1]) - 100))
    frame: Frame = large.frame

    def nobody(_: Frame) -> Detections:
        return np.zeros((0, 4)), np.zeros(0)

    found = {maker.name: maker.find(frame) for maker in makers(nobody)}

    assert found.keys() >= {"centerface", "yunet", "blazeface"}
    assert ("dlib" in found) == (importlib.util.find_spec("dlib") is not None)
    assert all(len(boxes) == len(scores) for boxes, scores in found.values())
    for name in ("centerface", "yunet", "blazeface"):
        boxes, scores = found[name]
        assert len(joined((large.boxes, np.ones(1)), (boxes, scores))[0]) < 1 + len(boxes), f"{name}: not the face"


def test_nothing_is_found_on_grey() -> None:
    for name in MODELS:
        model_file(name)
    grey = frame_of(np.full((120, 160, 3), 128, np.uint8))

    assert all(not len(maker.find(grey)[0]) for maker in makers(lambda _: (np.zeros((0, 4)), np.zeros(0))))
