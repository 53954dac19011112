"""Probabilities that come true, in the order that the scores had."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from engines import ConfigError
from operators.deepfake.calibration import (
    ENOUGH,
    KNOTS,
    PLAIN,
    Curve,
    RisingLine,
    Temperature,
    fit_curve,
    fit_steps,
    fit_temperature,
)
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


@cache
def of_two_thousand() -> Curve:
    return fit_curve(*bent(2000))


@given(st.lists(st.floats(-12, 12), min_size=1, max_size=20))
def test_the_network_holds_the_curve(odds: list[float]) -> None:
    curve = of_two_thousand()
    logits = torch.tensor([[0.0, value] for value in odds])

    found = Calibrated(curve, fake=1)(logits)[:, 0].numpy()

    assert found == pytest.approx(curve(expit(np.array(odds))), abs=1e-4)


def test_a_plain_curve_leaves_scores_alone() -> None:
    scores = np.linspace(0.001, 0.999, 99)

    assert PLAIN(scores) == pytest.approx(scores)


def test_steps_weigh_classes_alike() -> None:
    """The one forgery scores lowest: together with nine genuine cases it is pooled to one half."""
    found = fit_steps(np.linspace(0.1, 1, 10), np.arange(10) == 0)

    assert found.y == pytest.approx([0.5] * KNOTS)


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


@pytest.mark.parametrize(
    ("scale", "bias", "score", "probability"),
    [
        pytest.param(1, 0, 0.3, 0.3, id="nothing"),
        pytest.param(2, 0, 0.8, 16 / 17, id="odds of 4, squared"),
        pytest.param(0.5, 0, 0.9, 0.75, id="odds of 9, their root"),
        pytest.param(1, np.log(2), 0.5, 2 / 3, id="twice the odds"),
        pytest.param(1, 0, 0.0, 1e-6, id="no score is nought"),
        pytest.param(1, 0, 1.0, 1 - 1e-6, id="no score is one"),
    ],
)
def test_temperatures_by_hand(scale: float, bias: float, score: float, probability: float) -> None:
    assert Temperature(scale, bias)(np.array([score]))[0] == pytest.approx(probability, rel=1e-9)


def test_a_line_rises_between_its_knots_and_is_level_beyond() -> None:
    line = RisingLine((0.2, 0.4, 0.8), (0.1, 0.5, 0.7))

    assert line(np.array([0, 0.2, 0.3, 0.6, 0.8, 1])) == pytest.approx([0.1, 0.1, 0.3, 0.6, 0.7, 0.7])


def test_a_level_curve_keeps_a_twentieth_of_the_temperature() -> None:
    curve = Curve(Temperature(), RisingLine((0.0, 1.0), (0.5, 0.5)))

    assert curve(np.array([0.2, 0.8])) == pytest.approx([0.95 * 0.5 + 0.05 * 0.2, 0.95 * 0.5 + 0.05 * 0.8])


CASES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@given(CASES)
def test_steps_rise_within_bounds_and_have_room_in_a_network(cases: list[tuple[float, bool]]) -> None:
    scores, labels = (np.array(column, float) for column in zip(*cases, strict=True))

    found = fit_steps(scores, labels)

    assert len(found.x) == len(found.y) == KNOTS
    assert (np.diff(found.x) >= 0).all() and (np.diff(found.y) >= -1e-12).all()
    assert min(found.y) >= 0 and max(found.y) <= 1


def test_steps_pool_what_is_in_the_wrong_order() -> None:
    """Scores 0.2 and 0.4 are forged and genuine, in a set of as many of both: together they are one half."""
    found = fit_steps(np.array([0.8, 0.4, 0.2, 0.1]), np.array([1, 0, 1, 0]))

    assert found(np.array([0.1, 0.2, 0.3, 0.4, 0.8])) == pytest.approx([0, 0.5, 0.5, 0.5, 1])


def test_calling_fakes_genuine_turns_the_curve_round() -> None:
    scores, fake = overconfident(300)

    one, other = fit_temperature(scores, fake), fit_temperature(1 - scores, 1 - fake)

    assert one(scores) == pytest.approx(1 - other(1 - scores), abs=0.01)


def test_classes_that_are_quite_apart_do_not_run_away() -> None:
    found = fit_temperature(np.array([0.01, 0.01, 0.99, 0.99]), np.array([0, 0, 1, 1]))

    assert found(np.array([0.01, 0.99])) == pytest.approx([0.25, 0.75], abs=0.01)  # Platt's targets for two of each
