from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.deepfake import eyes
from tests.operators.deepfake.faces import mesh


def looking(right: tuple[float, float], left: tuple[float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A mesh whose irises are moved by so many widths of their eyes (16 of 100 pixels)."""
    points = mesh(100).astype(np.float64)
    points[468:473] += np.array(right) * 16
    points[473:478] += np.array(left) * 16
    return points[None]


def test_irises_in_the_middle_look_straight() -> None:
    assert np.abs(eyes.offsets(looking((0, 0), (0, 0)))).max() < 1e-3


@pytest.mark.parametrize("tilt", [0, 30, -80])
def test_offsets_are_along_the_eyes_however_the_head_is_tilted(tilt: float) -> None:
    angle = np.radians(tilt)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    found = eyes.offsets(looking((0.2, 0.1), (0.2, 0.1)) @ turn)

    assert np.allclose(found, [[[0.2, 0.1], [0.2, 0.1]]], atol=1e-3)


def test_half_of_the_eyeball_s_radius_is_thirty_degrees() -> None:
    assert np.allclose(eyes.angles(np.array([0.225, -0.225])), [-30, 30])


def test_eyes_that_turn_inwards_converge() -> None:
    inwards = eyes.angles(eyes.offsets(looking((0.1, 0), (-0.1, 0))))

    assert eyes.vergence(inwards)[0] == pytest.approx(2 * np.degrees(np.arcsin(0.1 / 0.45)), abs=0.1)


def test_eyes_agree_when_they_move_together() -> None:
    steps = np.random.default_rng(0).normal(size=(10, 1, 2))

    assert eyes.agreement(np.repeat(steps, 2, axis=1)) == pytest.approx(1)
    assert eyes.agreement(np.concatenate([steps, -steps], axis=1)) == pytest.approx(-1)
    assert np.isnan(eyes.agreement(steps[:3].repeat(2, axis=1)))


@given(st.floats(-np.pi, np.pi), st.floats(0.1, 20), st.floats(-500, 500))
def test_offsets_do_not_depend_on_where_and_how_large_a_face_is(angle: float, scale: float, shift: float) -> None:
    straight = looking((0.2, -0.1), (0.15, 0.05))
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    assert eyes.offsets(straight @ turn + shift) == pytest.approx(eyes.offsets(straight), abs=1e-6)


def test_each_eye_has_an_offset_of_its_own() -> None:
    assert np.allclose(eyes.offsets(looking((0.2, -0.1), (0, 0.3))), [[[0.2, -0.1], [0, 0.3]]], atol=1e-3)


@pytest.mark.parametrize(("across", "yaw"), [(0.0, 0.0), (0.45 * 0.5, 30.0), (0.45, 71.805), (-3.0, -71.805)])
def test_an_iris_beyond_its_eyeball_is_a_slip(across: float, yaw: float) -> None:
    """The sine stops at 0.95."""
    assert eyes.angles(np.array([across, 0.0])) == pytest.approx([0, yaw], abs=1e-3)


@pytest.mark.parametrize("still", [0, 1], ids=["right", "left"])
def test_nothing_is_said_of_an_eye_that_does_not_move(still: int) -> None:
    gaze = np.random.default_rng(0).normal(size=(10, 2, 2))
    gaze[:, still] = 4.0

    assert np.isnan(eyes.agreement(gaze))


def test_eyes_that_move_by_themselves_do_not_agree() -> None:
    assert abs(eyes.agreement(np.random.default_rng(0).normal(size=(400, 2, 2)))) < 0.1
