"""Which covers become one."""

from __future__ import annotations

import pytest

from operators.frame import Cover, Frame
from operators.paint.plan import groups_in
from tests.operators.pictures import flat


def groups(*covers: Cover) -> list[list[int]]:
    """Of covers that are told apart by their seeds."""
    shown = Frame("s", 0, 0.0, flat(width=200, height=100), covers=covers)
    return [[each.cover.seed for each in group.covers] for group in groups_in(shown)]


def row(*lefts: float, shape: str = "ellipse", feather: float = 0.0) -> list[Cover]:
    """20 wide and high, at these places."""
    return [Cover((x, 40, x + 20, 60), shape=shape, feather=feather, seed=n) for n, x in enumerate(lefts)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("covers", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param(row(10, 40, 70), [[0], [1], [2]], id="apart"),
        pytest.param(row(10, 25, 70), [[0, 1], [2]], id="two of three"),
        pytest.param(row(10, 70, 40, 25, 55), [[0, 1, 2, 3, 4]], id="a chain that its last ones close"),
        pytest.param(row(10, 70, 25, 55), [[0, 2], [1, 3]], id="two pairs"),
        pytest.param(row(10, 30), [[0], [1]], id="side by side"),
        pytest.param(row(10, 32, feather=0.1), [[0, 1]], id="soft edges meet"),
        pytest.param(row(-90, 10), [[1]], id="one outside of the picture"),
    ],
)
def test_groups(covers: list[Cover], expected: list[list[int]]) -> None:
    assert groups(*covers) == expected


def test_ellipses_whose_boxes_meet_at_corners_do_not_meet() -> None:
    at = [(10, 10, 50, 50), (45, 45, 85, 85)]

    assert groups(*(Cover(box, seed=n) for n, box in enumerate(at))) == [[0], [1]]
    assert groups(*(Cover(box, seed=n, shape="box") for n, box in enumerate(at))) == [[0, 1]]


def test_only_blurred_heads_blend() -> None:
    one, other = row(10, 20)
    mixed = Cover(other.box, "mosaic")

    blends = [
        groups_in(Frame("s", 0, 0.0, flat(width=200, height=100), covers=covers))[0].blends
        for covers in ((one, other), (one, mixed), (one,))
    ]

    assert blends == [True, False, True]
