"""Which parts of a picture are looked at for what has changed in it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.detect.evidence import TILE
from operators.detect.regions import SPECK_PX, regions_of

SCALE = 4
SIZE = (640, 384)
SAMPLES = (SIZE[1] // SCALE, SIZE[0] // SCALE)
blobs = st.lists(
    st.tuples(st.integers(0, SAMPLES[1] - 8), st.integers(0, SAMPLES[0] - 8), st.integers(4, 40), st.integers(4, 40)),
    max_size=6,
)


def changed_at(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    changed = np.zeros(SAMPLES, np.bool_)
    for x, y, width, height in boxes:
        changed[y : y + height, x : x + width] = True
    return changed


def test_nothing_has_changed() -> None:
    assert regions_of(changed_at(), SCALE, SIZE) == []


@given(blobs)
def test_all_that_has_changed_is_looked_at_with_something_around_it(boxes: list[tuple[int, int, int, int]]) -> None:
    changed = changed_at(*boxes)

    looked = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    for x1, y1, x2, y2 in regions_of(changed, SCALE, SIZE):
        assert 0 <= x1 < x2 <= SIZE[0] and 0 <= y1 < y2 <= SIZE[1] and x1 % 2 == y1 % 2 == 0
        looked[y1:y2, x1:x2] = True

    rows, columns = np.nonzero(changed)
    for row, column in zip(rows[::7].tolist(), columns[::7].tolist(), strict=True):
        y, x, out = row * SCALE, column * SCALE, TILE * SCALE - SCALE
        assert looked[max(0, y - out) : y + out, max(0, x - out) : x + out].all()


def test_a_speck_is_left_until_it_grows() -> None:
    side = SPECK_PX // SCALE

    assert regions_of(changed_at((40, 40, side, side - 1)), SCALE, SIZE) == []
    assert len(regions_of(changed_at((40, 40, side, side)), SCALE, SIZE)) == 1


def test_what_lies_apart_is_looked_at_apart() -> None:
    regions = regions_of(changed_at((8, 8, 8, 8), (120, 64, 16, 16)), SCALE, SIZE)

    assert [(x1 < 320) for x1, *_ in regions] == [False, True]


def test_a_frame_around_nothing_is_not_looked_at_as_a_whole() -> None:
    regions = regions_of(changed_at((16, 16, 110, 6), (16, 16, 6, 70)), SCALE, SIZE)

    area = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in regions)
    assert len(regions) > 1 and area < 0.5 * SIZE[0] * SIZE[1]


@pytest.mark.parametrize("share", [0.75, 1.0])
def test_where_most_has_changed_all_is_looked_at(share: float) -> None:
    assert regions_of(changed_at((0, 0, round(share * SAMPLES[1]), SAMPLES[0])), SCALE, SIZE) == [(0, 0, *SIZE)]


@settings(max_examples=30)
@given(blobs)
def test_no_region_is_looked_at_twice(boxes: list[tuple[int, int, int, int]]) -> None:
    regions = regions_of(changed_at(*boxes), SCALE, SIZE)

    assert len(set(regions)) == len(regions)
    for one in regions:
        for other in regions:
            inside = one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2] and one[3] <= other[3]
            assert one == other or not inside
