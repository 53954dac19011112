"""Figures of detectors against values worked out by hand, and intervals that respect groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from operators import metrics

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.3, 0.7, 0.4, 0.6, 0.8, 0.9])


def test_figures_by_hand() -> None:
    """Of 16 pairs two are in the wrong order. At a threshold of 0.6, one of four is wrong on each side."""
    assert metrics.auc(LABELS, SCORES) == pytest.approx(14 / 16)
    assert metrics.equal_error_rate(LABELS, SCORES) == pytest.approx(0.25)
    assert metrics.average_precision(LABELS, SCORES) == pytest.approx((1 + 1 + 3 / 4 + 4 / 5) / 4)
    assert metrics.hits_at(0.01)(LABELS, SCORES) == 0.5
    assert metrics.hits_at(0.25)(LABELS, SCORES) == 1.0


@given(st.integers(0, 1000))
def test_a_blind_detector_is_at_chance_and_a_turned_one_at_the_other_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = rng.permutation(np.repeat([0, 1], 20)), rng.random(40)

    assert metrics.auc(labels, np.full(40, 0.3)) == 0.5
    assert metrics.auc(labels, scores) + metrics.auc(labels, -scores) == pytest.approx(1)
    assert metrics.equal_error_rate(labels, labels.astype(float)) == 0
    assert 0 <= metrics.equal_error_rate(labels, scores) <= 1


def test_the_threshold_keeps_its_promise() -> None:
    for share in (0.0, 0.05, 0.25, 0.5):
        threshold = metrics.threshold_at(share, LABELS, SCORES)
        assert (SCORES[LABELS == 0] >= threshold).mean() <= share
    assert (SCORES[LABELS == 0] >= metrics.threshold_at(0.25, LABELS, SCORES)).sum() == 1


def test_calibration_error_by_hand() -> None:
    """Ten at 0.8, of which six are forged: 0.2 off. Ten at 0.1, of which one is: right."""
    scores = np.repeat([0.8, 0.1], 10)
    labels = np.array([1] * 6 + [0] * 4 + [1] + [0] * 9)

    assert metrics.calibration_error(labels, scores, bins=10) == pytest.approx(0.1)


def test_calibration_error_by_hand_with_even_classes() -> None:
    """Six forged and one genuine face at 0.8, one forged and six genuine at 0.2. With even classes, of 0.8 are forged
    6/7; with as many genuine faces again, the mix changes and this does not."""
    scores = np.repeat([0.8, 0.2], 7)
    labels = np.array([1] * 6 + [0] + [1] + [0] * 6)
    genuine = labels == 0
    doubled = np.concatenate([labels, labels[genuine]]), np.concatenate([scores, scores[genuine]])

    assert metrics.even_calibration_error(labels, scores, bins=10) == pytest.approx(6 / 7 - 0.8)
    assert metrics.even_calibration_error(*doubled, bins=10) == pytest.approx(6 / 7 - 0.8)
    assert metrics.calibration_error(labels, scores, bins=10) == pytest.approx(6 / 7 - 0.8)
    assert metrics.calibration_error(*doubled, bins=10) > 0.07
    assert np.isnan(metrics.even_calibration_error(np.ones(2), np.full(2, 0.5)))


def test_the_surest_come_first() -> None:
    """By distance from 0.5: 0.1, 0.9, 0.2, 0.8, then 0.3 and 0.7; 0.7 and 0.4 are wrong."""
    coverage, risk = metrics.risk_coverage(LABELS, SCORES)

    assert coverage.tolist() == [n / 8 for n in range(1, 9)]
    assert risk[3] == 0 and risk[-1] == pytest.approx(2 / 8)
    assert metrics.selective_error_at(0.5)(LABELS, SCORES) == 0
    assert metrics.selective_error_at(0.7)(LABELS, SCORES) == pytest.approx(1 / 6)  # of eight, six are 70 % at least


def test_one_class_alone_has_no_auc() -> None:
    assert np.isnan(metrics.auc(np.ones(3), np.arange(3)))
    assert np.isnan(metrics.equal_error_rate(np.zeros(0), np.zeros(0)))


def _clips(groups: int, frames: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.str_]]:
    """Frames of one clip resemble each other closely."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(groups) % 2, frames)
    scores = np.repeat(rng.normal(0.5 * (np.arange(groups) % 2), 1), frames) + rng.normal(0, 0.01, groups * frames)
    return labels, scores, np.repeat([f"host {g}" for g in range(groups)], frames)


def test_intervals_are_as_wide_as_groups_are_few() -> None:
    labels, scores, groups = _clips(20, 30)

    by_group = metrics.interval(metrics.auc, labels, scores, groups, draws=300)
    by_frame = metrics.interval(metrics.auc, labels, scores, np.arange(600).astype(str), draws=300)

    assert by_group.low < by_group.value < by_group.high
    assert by_group.value == by_frame.value
    assert by_group.high - by_group.low > 3 * (by_frame.high - by_frame.low)


def test_a_gain_over_oneself_is_nothing() -> None:
    labels, scores, groups = _clips(40, 3)

    none = metrics.gain(metrics.auc, labels, scores, scores, groups, draws=50)
    better = metrics.gain(metrics.auc, labels, labels.astype(float), scores, groups, draws=200)

    assert none == metrics.Figure(0, 0, 0)
    assert better.value == pytest.approx(1 - metrics.auc(labels, scores))
    assert 0 < better.low < better.value < better.high


def test_same_seed_same_interval() -> None:
    labels, scores, groups = _clips(10, 2)

    one, again = (metrics.summary(labels, expit(scores), groups, draws=20, seed=1)["auc"] for _ in range(2))

    assert one == again


def test_clips_are_means_of_what_is_known() -> None:
    clips, column = np.array(["b", "a", "b", "c"]), np.array([0.2, 0.5, 0.4, np.nan])

    names, means = metrics.by_clip(clips, column)

    assert names.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(means, [0.5, 0.3, np.nan])
