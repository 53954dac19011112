"""Probabilities that come true, in the order that the scores had."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from engines import ConfigError
from operators.deepfake.calibration import ENOUGH, PLAIN, Curve, Temperature, fit_curve, fit_temperature
from operators.deepfake.model import Calibrated
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


def bent(n: int = 20_000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores that say too much for a forgery, and too little against one."""
    scores, labels = overconfident(n)
    return np.where(scores < 0.5, 0.02 * scores, scores), labels


def test_a_curve_follows_any_bend_and_keeps_the_order() -> None:
    scores, labels = bent()

    found = fit_curve(scores, labels)

    assert calibration_error(labels, fit_temperature(scores, labels)(scores)) > 0.03
    assert calibration_error(labels, found(scores)) < 0.02
    assert auc(labels, found(scores)) == pytest.approx(auc(labels, scores), abs=1e-6)


def test_few_cases_are_not_followed() -> None:
    scores, labels = bent(ENOUGH - 1)

    assert fit_curve(scores, labels) == Curve(fit_temperature(scores, labels))


def test_tied_scores_have_one_step() -> None:
    scores = np.repeat([0.3, 0.7], 1000)

    found = fit_curve(scores, np.arange(2000) % 10 < 10 * scores)

    assert found(np.array([0.3, 0.7])) == pytest.approx([0.3, 0.7], abs=0.02)


@given(st.lists(st.floats(-12, 12), min_size=1, max_size=20))
def test_the_network_holds_the_curve(odds: list[float]) -> None:
    curve = fit_curve(*bent(2000))
    logits = torch.tensor([[0.0, value] for value in odds])

    found = Calibrated(curve, fake=1)(logits)[:, 0].numpy()

    assert found == pytest.approx(curve(expit(np.array(odds))), abs=1e-4)


def test_a_plain_curve_leaves_scores_alone() -> None:
    scores = np.linspace(0.001, 0.999, 99)

    assert PLAIN(scores) == pytest.approx(scores)


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
