"""What lies under covers, and which covers lie on no face."""

from __future__ import annotations

import numpy as np
import pytest

from bench.covers import boxes_of, false_area, hidden, inside, on_no_face
from bench.peers import scaled
from operators.frame import Cover

FACE = np.array([[100, 100, 140, 140]], float)
HALVES = [Cover((100, 90, 120, 150), shape="box"), Cover((120, 90, 140, 150), shape="box")]


@pytest.mark.parametrize(
    ("covers", "share"),
    [
        pytest.param(scaled(FACE, 1.0), 1, id="its own"),
        pytest.param(HALVES, 1, id="two halves"),
        pytest.param(HALVES[:1], 0.5, id="one half"),
        pytest.param([], 0, id="none"),
        pytest.param([Cover((0, 0, 90, 90))], 0, id="elsewhere"),
    ],
)
def test_how_much_of_a_face_is_hidden(covers: list[Cover], share: float) -> None:
    assert hidden(FACE, covers) == pytest.approx([share], abs=0.06)


def test_no_faces_are_hidden_by_nothing() -> None:
    assert hidden(np.zeros((0, 4)), HALVES).shape == (0,)


def test_the_corner_of_a_box_is_outside_of_its_ellipse() -> None:
    corner = np.array([[101.0, 101.0]])

    assert inside(corner, [Cover((100, 100, 140, 140), shape="box")]).tolist() == [True]
    assert inside(corner, [Cover((100, 100, 140, 140))]).tolist() == [False]


def test_a_cover_is_false_by_its_centre() -> None:
    covers = [Cover((90, 90, 150, 150)), Cover((150, 100, 168, 140)), Cover((150, 100, 172, 140)), Cover((0, 0, 9, 9))]

    assert on_no_face(FACE, boxes_of(covers)).tolist() == [False, False, True, True]
    assert on_no_face(np.zeros((0, 4)), boxes_of(covers)).all()
    assert on_no_face(FACE, boxes_of([])).shape == (0,)


def test_false_area_is_what_lies_under_covers_away_from_faces() -> None:
    quarter = Cover((0, 0, 640, 360), shape="box")

    assert false_area(np.zeros((0, 4)), [quarter], 1280, 720) == pytest.approx(0.25)
    assert false_area(np.array([[0, 0, 640, 360]]), [quarter], 1280, 720) == 0
