"""What detectors share: at what size they look, and how what they found gets back to the coded picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.boxes import iou
from operators.detect.looks import left_first, on_grid, seen_upright, suppress, to_faces, upright_size
from operators.frame import Frame
from operators.shown import Shown
from operators.upright import points_to_coded
from tests.operators.pictures import flat, rectangle

Box = tuple[float, float, float, float]


def frame(index: int = 0, *, stream: str = "s", rotation: int = 0, size: tuple[int, int] = (64, 48)) -> Frame:
    return Frame(stream, index, index / 25, flat("yuv420p", *size), shown=Shown.turned(rotation))


@pytest.mark.parametrize(
    ("rotation", "size"),
    [(0, (64, 48)), (90, (48, 64)), (180, (64, 48)), (270, (48, 64)), (-90, (48, 64)), (450, (48, 64)), (40, (64, 48))],
)
def test_size_of_the_picture_as_it_is_shown(rotation: int, size: tuple[int, int]) -> None:
    assert upright_size(frame(rotation=rotation)) == size
    assert seen_upright(frame(rotation=rotation), (20, 10)).shape == (10, 20, 3)


@pytest.mark.parametrize(
    ("size", "stride", "grid"),
    [
        ((64, 96), 32, (64, 96)),
        ((65, 97), 32, (96, 128)),
        ((64.4, 64.6), 32, (64, 96)),  # to whole pixels first
        ((0.2, 1), 32, (32, 32)),
        ((1920, 1080), 32, (1920, 1088)),
        ((5, 9), 8, (8, 16)),
    ],
)
def test_sizes_on_the_grid(size: tuple[float, float], stride: int, grid: tuple[int, int]) -> None:
    assert on_grid(*size, stride) == grid


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_what_is_seen_upright_gets_back_to_where_it_lies(rotation: int) -> None:
    """A white square in the coded picture is found where the network sees it; the faces must then lie on the square."""
    shown = frame(rotation=rotation, size=(80, 48))
    shown.picture.planes[0][8:24, 32:64] = 235
    seen = tuple(2 * side for side in upright_size(shown))

    found = rectangle(seen_upright(shown, (seen[0], seen[1]))[..., 0] > 190)
    landmarks = np.tile(np.array(found[:2], np.float32), (1, 5, 1))
    faces = to_faces(shown, (seen[0], seen[1]), np.array([found], np.float32), np.array([0.7]), landmarks)

    assert faces.boxes[0] == pytest.approx([32, 8, 64, 24], abs=1)
    assert faces.scores.tolist() == [pytest.approx(0.7)]
    x, y = faces.landmarks[0, 0]
    assert min(abs(x - 32), abs(x - 64)) <= 1 and min(abs(y - 8), abs(y - 24)) <= 1


@pytest.mark.parametrize(
    ("rotation", "box", "expected"),
    [
        (0, (40, 20, 80, 60), (20, 5, 40, 15)),
        (0, (-40, -10, 300, 300), (0, 0, 64, 48)),
        (90, (10, 80, 30, 160), (24, 5, 44, 15)),  # x 64 - 40, 64 - 20; y from x
        (180, (40, 20, 80, 60), (24, 33, 44, 43)),
        (270, (10, 80, 30, 160), (20, 33, 40, 43)),
    ],
)
def test_boxes_by_hand(rotation: int, box: Box, expected: Box) -> None:
    """Of a picture 64 wide and 48 high, seen at twice its width and four times its height, as it is shown."""
    shown = frame(rotation=rotation)
    width, height = upright_size(shown)

    faces = to_faces(shown, (2 * width, 4 * height), np.array([box]), np.ones(1), np.zeros((1, 5, 2)))

    assert faces.boxes[0].tolist() == list(expected)
    origin = points_to_coded(np.zeros(2), Shown.turned(rotation), 64, 48)
    assert faces.landmarks[0].tolist() == [origin.tolist()] * 5


def test_landmarks_may_lie_outside_where_boxes_may_not_and_earlier_faces_are_left_out() -> None:
    shown = frame()
    earlier = replace(shown, faces=to_faces(shown, (64, 48), np.ones((2, 4)), np.ones(2), np.ones((2, 5, 2))))

    faces = to_faces(earlier, (64, 48), np.array([[-9, -9, 5, 5]]), np.ones(1), np.full((1, 5, 2), -9.0))

    assert faces.boxes.tolist() == [[0, 0, 5, 5]]
    assert (faces.landmarks == -9).all()


def test_of_boxes_that_overlap_the_best_stays() -> None:
    """The second overlaps the first by 9 / 11, the third by 1 / 3; the last is apart."""
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [5, 0, 15, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.6, 0.9, 0.3, 0.5], np.float32)

    assert suppress(boxes, scores, 0.5).tolist() == [1, 3, 2]
    assert suppress(boxes, scores, 0.3).tolist() == [1, 3]
    assert suppress(boxes, scores, 0.99).tolist() == [1, 0, 3, 2]
    assert suppress(boxes[:0], scores[:0], 0.5).tolist() == []


WHOLE = st.integers(0, 60)
SIDE = st.integers(1, 30)


@given(st.lists(st.tuples(WHOLE, WHOLE, SIDE, SIDE, st.integers(1, 99)), max_size=8, unique_by=lambda row: row[4]))
def test_what_is_left_is_apart_and_what_went_had_a_better_one(rows: list[tuple[int, int, int, int, int]]) -> None:
    table = np.array(rows, np.float64).reshape(-1, 5)
    boxes, scores = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1), table[:, 4] / 100
    overlap = iou(boxes, boxes)

    left = suppress(boxes, scores, 0.3).tolist()

    assert scores[left].tolist() == sorted(scores[left], reverse=True)
    assert all(overlap[a, b] <= 0.3 + 1e-6 for a in left for b in left if a != b)
    for gone in set(range(len(rows))) - set(left):
        assert any(overlap[gone, best] > 0.3 - 1e-6 and scores[best] > scores[gone] for best in left)


def test_eyes_and_mouth_corners_are_ordered_from_left_to_right() -> None:
    mirrored = np.array([[[9, 1], [2, 2], [5, 5], [8, 8], [3, 9]]], np.float32)
    turned = np.array([[[2, 2], [9, 1], [5, 5], [8, 8], [3, 9]]], np.float32)

    ordered = [left_first(points).tolist() for points in (mirrored, turned, np.concatenate([mirrored, turned]))]

    expected = [[[2, 2], [9, 1], [5, 5], [3, 9], [8, 8]]]
    assert ordered == [expected, expected, expected * 2]
    assert mirrored[0, 0].tolist() == [9, 1]


def test_unknown_points_stay_unknown() -> None:
    points = np.full((1, 5, 2), np.nan, np.float32)
    points[0, 0] = 4, 4

    assert left_first(points)[0, 0].tolist() == [4, 4]
    assert np.isnan(left_first(points)[0, 1:]).all()
