from __future__ import annotations

import numpy as np
import pytest

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
