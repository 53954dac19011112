"""Where curves, ticks and marks lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.screening.plots import MOST_TICKS, Samples, angle_range, clock, plot


def points(*rows: tuple[float, float]) -> Samples:
    times, values = np.array(rows, np.float64).reshape(-1, 2).T
    return times, values


def test_a_curve_by_hand() -> None:
    made = plot("c", {"a": points((0, 0), (5, 0.5), (10, 1))}, seconds=10, low=0, high=1, y=(0, 1), marks={"m": 0.25})

    assert made.lines[0].path == "M0.00 100.00h0L50.00 50.00L100.00 0.00"
    assert [(tick.at, tick.label) for tick in made.y] == [(100, "0"), (0, "1")]
    assert [tick.at for tick in made.marks] == [75]
    assert [tick.label for tick in made.x] == ["0:00", "0:02", "0:04", "0:06", "0:08", "0:10"]
    assert made.title == "c, over 0:10. a: 0 to 1"


@pytest.mark.parametrize(
    ("rows", "pieces"),
    [
        ([(0, 1), (1, np.nan), (2, 1), (3, 1)], 2),
        ([(0, 1), (1, 1), (2, 1), (9, 1)], 2),
        ([(0, 1), (1, 1), (2, 1), (3, 1)], 1),
        ([(0, np.nan)], 0),
        ([], 0),
    ],
    ids=["nothing measured", "a long pause", "no gap", "nothing at all", "empty"],
)
def test_a_line_ends_where_nothing_was_measured(rows: list[tuple[float, float]], pieces: int) -> None:
    made = plot("c", {"a": points(*rows)}, seconds=10, low=0, high=1, y=())

    assert made.lines[0].path.count("M") == pieces


@given(st.floats(0.01, 1e5), st.lists(st.tuples(st.floats(0, 1e5), st.floats(-1e3, 1e3)), max_size=20))
def test_all_lies_inside(seconds: float, rows: list[tuple[float, float]]) -> None:
    made = plot("c", {"a": points(*rows)}, seconds=seconds, low=-1, high=1, y=(-1, 1))

    path = made.lines[0].path.replace("M", " ").replace("L", " ").replace("h0", "").split()
    assert all(0 <= float(number) <= 100 for number in path)
    assert 1 <= len(made.x) <= MOST_TICKS + 1 and all(0 <= tick.at <= 100 for tick in made.x)


@pytest.mark.parametrize(
    ("seconds", "tenths", "shown"),
    [(0, False, "0:00"), (59.6, False, "1:00"), (59.96, True, "1:00.0"), (7322.25, True, "2:02:02.2")],
)
def test_times_are_as_players_show_them(seconds: float, tenths: bool, shown: str) -> None:
    assert clock(seconds, tenths) == shown


def test_angles_have_room() -> None:
    assert angle_range([np.array([3.0, -16.0, np.nan])]) == 30
    assert angle_range([np.array([np.nan])]) == angle_range([]) == 15
