"""Where curves, ticks and marks lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.screening.plots import MOST_TICKS, PlotCurve, Samples, Tick, angle_range, clock, plot


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


def test_several_curves_by_hand() -> None:
    """The second lies beyond both edges; the third was never measured."""
    series = {
        "right": points((0, -10), (2, 10)),
        "left": points((0, -99), (2, 99)),
        "none": points((0, np.nan)),
    }

    made = plot(
        "Yaw", series, seconds=4, low=-20, high=20, y=(-20, 0, 20), marks={"straight on": 0, "far up": 99}, unit="°",
        dashed=("left",), colours={"right": 7},
    )  # fmt: skip

    assert made.lines == (
        PlotCurve("right", "M0.00 75.00h0L50.00 25.00", 7),
        PlotCurve("left", "M0.00 100.00h0L50.00 0.00", 2, dashed=True),
        PlotCurve("none", "", 3),
    )
    assert made.y == (Tick(100, "-20°"), Tick(50, "0°"), Tick(0, "20°"))
    assert made.marks == (Tick(50, "straight on"), Tick(0, "far up"))
    assert made.title == "Yaw, over 0:04. right: -10 to 10°; left: -99 to 99°; none: nothing measured"


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        (0, [(0, "0:00.0")]),
        (0.4, [(0, "0:00.0")]),
        (2, [(0, "0:00.0"), (25, "0:00.5"), (50, "0:01.0"), (75, "0:01.5"), (100, "0:02.0")]),
        (4, [(0, "0:00"), (25, "0:01"), (50, "0:02"), (75, "0:03"), (100, "0:04")]),
        (35, [(0, "0:00"), (28.57, "0:10"), (57.14, "0:20"), (85.71, "0:30")]),
        (1800, [(0, "0:00"), (16.67, "5:00"), (33.33, "10:00"), (50, "15:00"), (66.67, "20:00"), (83.33, "25:00"),
                (100, "30:00")]),
        (7000, [(0, "0:00"), (25.71, "30:00"), (51.43, "1:00:00"), (77.14, "1:30:00")]),
        (90000, [(0, "0:00"), (48, "12:00:00"), (96, "24:00:00")]),
    ],
)  # fmt: skip
def test_the_time_axis_has_round_ticks(seconds: float, ticks: list[tuple[float, str]]) -> None:
    made = plot("c", {}, seconds=seconds, low=0, high=1, y=())

    assert [(tick.at, tick.label) for tick in made.x] == ticks


@given(st.floats(0.1, 300_000))
def test_there_are_never_too_few_ticks_to_read_a_time(seconds: float) -> None:
    made = plot("c", {}, seconds=seconds, low=0, high=1, y=())

    gaps = np.diff([tick.at for tick in made.x])
    assert len(made.x) <= MOST_TICKS + 1 or seconds > MOST_TICKS * 43_200
    assert len({tick.label for tick in made.x}) == len(made.x)
    assert not len(gaps) or gaps.max() - gaps.min() < 0.02


@pytest.mark.parametrize(
    ("values", "reaches"), [([0.0], 15), ([15.0], 15), ([15.1], 30), ([-44, 3], 45), ([np.inf], 15)]
)
def test_angles_reach_a_whole_step_to_either_side(values: list[float], reaches: float) -> None:
    assert angle_range([np.array(values, np.float64)]) == reaches


def test_a_point_before_the_first_pause_is_drawn_by_itself() -> None:
    """It would be invisible as a line of one point."""
    made = plot("c", {"a": points((0, 0), (1, np.nan), (2, 1), (3, 1))}, seconds=4, low=0, high=1, y=())

    assert made.lines[0].path == "M0.00 100.00h0M50.00 0.00h0L75.00 0.00"
