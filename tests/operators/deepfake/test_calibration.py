"""Probabilities that come true, in the order that the scores had."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from engines import ConfigError
from operators.deepfake.calibration import Temperature, fit_steps, fit_temperature
from operators.metrics import auc, calibration_error


def overconfident(n: int = 20_000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores whose logits are three times too large, and shifted by one."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, n)
    return expit(3 * logits + 1), (rng.random(n) < expit(logits)).astype(int)


def test_temperature_finds_what_was_done() -> None:
    scores, labels = overconfident()

    found = fit_temperature(scores, labels)

    assert found.scale == pytest.approx(1 / 3, rel=0.1)
    assert calibration_error(labels, scores) > 0.1
    assert calibration_error(labels, found(scores)) < 0.02
    assert auc(labels, found(scores)) == pytest.approx(auc(labels, scores), abs=1e-9)


def test_steps_follow_any_bend() -> None:
    scores, labels = overconfident()

    bent = scores**4
    found = fit_steps(bent, labels)

    assert calibration_error(labels, found(bent)) < 0.03
    assert (np.diff(found.y) >= 0).all() and (np.diff(found.x) >= 0).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(0.05, 5), st.floats(-3, 3))
def test_the_order_stays(scores: list[float], scale: float, bias: float) -> None:
    given_scores = np.sort(scores)

    assert (np.diff(Temperature(scale, bias)(given_scores)) >= 0).all()


def test_classes_weigh_alike() -> None:
    """Nine genuine for each forged one: a score that says nothing is still one half."""
    found = fit_temperature(np.full(1000, 0.3), np.arange(1000) % 10 == 0)

    assert found(np.array([0.3]))[0] == pytest.approx(0.5, abs=0.02)


def test_one_class_alone_cannot_be_calibrated_on() -> None:
    with pytest.raises(ConfigError, match="got 0 and 3"):
        fit_temperature(np.array([0.1, 0.2, 0.3]), np.zeros(3))
