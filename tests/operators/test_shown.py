"""How a coded picture is shown, read off its display matrix and sample aspect ratio."""

from __future__ import annotations

from fractions import Fraction

import pytest

from operators.shown import ONE, UNIT, Shown

A, B = ONE, -ONE


@pytest.mark.parametrize(
    ("matrix", "turns", "mirrored", "rotation"),
    [
        pytest.param((), 0, False, 0, id="none"),
        pytest.param((A, 0, 0, 0, A, 0, 0, 0, UNIT), 0, False, 0, id="as it lies"),
        pytest.param((0, B, 0, A, 0, 0, 0, 0, UNIT), 1, False, 90, id="right goes up"),
        pytest.param((B, 0, 0, 0, B, 0, 0, 0, UNIT), 2, False, 180, id="upside down"),
        pytest.param((0, A, 0, B, 0, 0, 480, 0, UNIT), 3, False, -90, id="right goes down, moved back into view"),
        pytest.param((B, 0, 0, 0, A, 0, 0, 0, UNIT), 0, True, 0, id="a mirror"),
        pytest.param((A, 0, 0, 0, B, 0, 0, 0, UNIT), 2, True, 180, id="top and bottom change places"),
        pytest.param((0, A, 0, A, 0, 0, 0, 0, UNIT), 3, True, -90, id="over the diagonal"),
        pytest.param((0, B, 0, B, 0, 0, 0, 0, UNIT), 1, True, 90, id="over the other one"),
        pytest.param((3 * A, 0, 0, 0, 3 * A, 0, 0, 0, UNIT), 0, False, 0, id="enlarged"),
        pytest.param((0, 0, 0, 0, 0, 0, 0, 0, 0), 0, False, 0, id="nothing left"),
    ],
)
def test_a_matrix_by_hand(matrix: tuple[int, ...], turns: int, mirrored: bool, rotation: int) -> None:
    shown = Shown(matrix)

    assert (shown.turns, shown.mirrored, shown.rotation) == (turns, mirrored, rotation)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, -90, 30, -60])
def test_a_turn_is_read_back(degrees: int, mirrored: bool) -> None:
    shown = Shown.turned(degrees, mirrored=mirrored)

    assert (shown.rotation, shown.mirrored, shown.turns) == (degrees, mirrored, round(degrees / 90) % 4)


@pytest.mark.parametrize(
    ("shown", "size"),
    [
        (Shown(), (320, 720)),
        (Shown.turned(0, sample_aspect=4), (1280, 720)),
        (Shown.turned(90, sample_aspect=4), (720, 1280)),
        (Shown.turned(0, sample_aspect=Fraction(1, 2)), (320, 1440)),
        (Shown.turned(0, sample_aspect=Fraction(16, 11)), (465, 720)),
        (Shown.turned(0, sample_aspect=1000), (320 * 16, 720)),  # no camera's
        (Shown.turned(0, sample_aspect=Fraction(1, 1000)), (320, 720 * 16)),
    ],
)
def test_size_as_it_is_shown(shown: Shown, size: tuple[int, int]) -> None:
    assert shown.size(320, 720) == size


def test_stretching_makes_no_picture_huge() -> None:
    wide, whole = Shown.turned(0, sample_aspect=16), Shown()

    assert wide.size(1920, 1080) == (15360, 540)
    assert whole.size(8192, 4352) == (8192, 4352)
    across, down = wide.size(8192, 4352)
    assert across * down <= 8192 * 4352 * 1.001
    assert across / down == pytest.approx(16 * 8192 / 4352, rel=0.001)


def test_what_is_no_geometry() -> None:
    with pytest.raises(ValueError, match="nine numbers"):
        Shown((1, 2, 3))
    with pytest.raises(ValueError, match="more than 0"):
        Shown(sample_aspect=Fraction(0))
