"""Areas and overlaps of boxes against values worked out by hand, and what holds for any boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.boxes import area, intersection, iou

Box = tuple[float, float, float, float]
SQUARE: Box = (0, 0, 10, 10)
NUMBERS = st.integers(-50, 50)
BOXES = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=4)


def rows(*boxes: Box) -> NDArray[np.float64]:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


@pytest.mark.parametrize(
    ("other", "shared", "overlap"),
    [
        pytest.param(SQUARE, 100, 1, id="the same"),
        pytest.param((5, 0, 15, 10), 50, 50 / 150, id="half"),
        pytest.param((5, 5, 15, 15), 25, 25 / 175, id="a corner"),
        pytest.param((2, 2, 6, 7), 20, 20 / 100, id="within"),
        pytest.param((-5, -5, 15, 15), 100, 100 / 400, id="around"),
        pytest.param((10, 0, 20, 10), 0, 0, id="an edge in common"),
        pytest.param((30, 30, 40, 40), 0, 0, id="apart"),
        pytest.param((0, 30, 10, 40), 0, 0, id="above each other"),
        pytest.param((4, 4, 4, 9), 0, 0, id="no width"),
        pytest.param((6, 7, 2, 2), 0, 0, id="sides out of order"),
    ],
)
def test_overlap_by_hand(other: Box, shared: float, overlap: float) -> None:
    assert intersection(rows(SQUARE), rows(other)).tolist() == [[shared]]
    assert iou(rows(SQUARE), rows(other))[0, 0] == pytest.approx(overlap)


def test_areas_by_hand() -> None:
    boxes = rows(SQUARE, (1, 2, 4, 7), (3, 3, 3, 9), (5, 0, 0, 10), (0, 10, 5, 0), (9, 9, 0, 0))

    assert area(boxes).tolist() == [100, 15, 0, 0, 0, 0]


def test_a_row_for_each_of_the_first_and_a_column_for_each_of_the_second() -> None:
    one, other = rows(SQUARE, (20, 0, 30, 10)), rows((20, 0, 30, 10), SQUARE, (0, 0, 10, 5))

    assert intersection(one, other).tolist() == [[0, 100, 50], [100, 0, 0]]
    assert iou(one, other).tolist() == [[0, 1, 0.5], [1, 0, 0]]


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_no_boxes(n: int, m: int) -> None:
    assert area(rows(*[SQUARE] * n)).shape == (n,)
    assert iou(rows(*[SQUARE] * n), rows(*[SQUARE] * m)).shape == (n, m)


@given(BOXES, BOXES)
def test_overlap_is_symmetric_and_within_bounds(one: list[Box], other: list[Box]) -> None:
    there, back = iou(rows(*one), rows(*other)), iou(rows(*other), rows(*one))
    shared = intersection(rows(*one), rows(*other))

    assert np.array_equal(there, back.T)
    assert ((there >= 0) & (there <= 1)).all()
    assert (shared >= 0).all()
    assert (shared <= np.minimum(area(rows(*one))[:, None], area(rows(*other)))).all()


@given(BOXES)
def test_a_box_with_an_area_is_wholly_itself(boxes: list[Box]) -> None:
    themselves = np.diagonal(iou(rows(*boxes), rows(*boxes)))

    assert np.array_equal(themselves, area(rows(*boxes)) > 0)


@given(BOXES, BOXES, st.integers(-99, 99), st.sampled_from([0.5, 2.0, 8.0]))
def test_overlap_does_not_depend_on_where_and_how_large(
    one: list[Box], other: list[Box], shift: float, scale: float
) -> None:
    moved = iou((rows(*one) + shift) * scale, (rows(*other) + shift) * scale)

    assert np.array_equal(moved, iou(rows(*one), rows(*other)))
