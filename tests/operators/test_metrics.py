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


@pytest.mark.parametrize(
    ("labels", "scores", "auc", "error", "precision"),
    [
        pytest.param([0, 1], [0.2, 0.7], 1, 0, 1, id="right"),
        pytest.param([0, 1], [0.7, 0.2], 0, 1, 1 / 2, id="wrong"),
        pytest.param([0, 1], [0.5, 0.5], 1 / 2, 1 / 2, 1 / 2, id="a tie"),
        pytest.param([0, 0, 1], [0.2, 0.6, 0.4], 1 / 2, 1 / 2, 1 / 2, id="one of two in the wrong order"),
        pytest.param([0, 1, 1], [0.5, 0.5, 0.9], 3 / 4, 1 / 3, 5 / 6, id="half of a tie"),
        pytest.param([0, 0, 0, 1], [0.1, 0.2, 0.9, 0.8], 2 / 3, 1 / 3, 1 / 2, id="one alarm of three"),
    ],
)
def test_small_cases_by_hand(
    labels: list[int], scores: list[float], auc: float, error: float, precision: float
) -> None:
    given = np.array(labels), np.array(scores)

    assert metrics.auc(*given) == pytest.approx(auc)
    assert metrics.equal_error_rate(*given) == pytest.approx(error)
    assert metrics.average_precision(*given) == pytest.approx(precision)


CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=12).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(CASES)
def test_auc_counts_pairs_and_does_not_depend_on_the_scale(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array(rows).T
    forged, genuine = scores[labels == 1][:, None], scores[labels == 0][None]

    pairs = ((forged > genuine) + (forged == genuine) / 2).mean()

    assert metrics.auc(labels, scores) == pytest.approx(pairs)
    assert metrics.auc(labels, np.exp(scores) - 7) == pytest.approx(pairs)


@given(CASES, st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]))
def test_a_threshold_lets_no_more_alarms_through_and_hits_are_those_above_it(
    rows: list[tuple[bool, int]], share: float
) -> None:
    labels, scores = np.array(rows).T.astype(float)

    threshold = metrics.threshold_at(share, labels, scores)

    called = scores >= threshold
    assert called[labels == 0].mean() <= share
    assert metrics.hits_at(share)(labels, scores) == pytest.approx(called[labels == 1].mean())


@given(CASES)
def test_errors_of_the_surest_end_with_those_of_all(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array(rows).T / np.array([[1], [5]])

    coverage, risk = metrics.risk_coverage(labels, scores)

    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(((scores >= 0.5) != labels).mean())
    assert (np.diff(risk * np.arange(1, len(rows) + 1)) >= -1e-9).all()
    assert metrics.selective_error_at(1)(labels, scores) == pytest.approx(risk[-1])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_no_threshold_is_needed_where_all_alarms_are_allowed(share: float) -> None:
    threshold = metrics.threshold_at(share, np.array([0, 0, 1]), np.array([0.4, 0.6, 0.9]))

    assert threshold == (0.0 if share == 1 else np.nextafter(0.6, 1))


@pytest.mark.parametrize(
    ("scores", "labels", "error"),
    [
        pytest.param([1.0, 0.95], [0, 1], 0.475, id="1 is in the last bin: 0.5 of them, 0.975 on average"),
        pytest.param([0.0, 0.0], [0, 0], 0, id="0 is in the first bin"),
        pytest.param([0.42, 0.48], [1, 0], 0.05, id="one bin: 0.45 on average, 0.5 of them"),
        pytest.param([0.38, 0.42], [1, 0], 0.52, id="two bins: 0.62 and 0.42 off, by half each"),
        pytest.param([], [], 0, id="no cases"),
    ],
)
def test_bins_by_hand(scores: list[float], labels: list[int], error: float) -> None:
    assert metrics.calibration_error(np.array(labels), np.array(scores, float), bins=10) == pytest.approx(error)


def test_there_are_15_bins_unless_asked_otherwise() -> None:
    """0.25 and 0.3 are in one of five bins, and in two of fifteen."""
    labels, scores = np.array([1, 0]), np.array([0.25, 0.3])

    assert metrics.calibration_error(labels, scores) == pytest.approx((0.75 + 0.3) / 2)
    assert metrics.even_calibration_error(labels, scores) == pytest.approx((0.75 + 0.3) / 2)
    assert metrics.calibration_error(labels, scores, bins=5) == pytest.approx(0.5 - 0.275)


def test_a_half_counts_as_forged() -> None:
    _, risk = metrics.risk_coverage(np.array([1, 0]), np.array([0.5, 0.5]))

    assert risk.tolist() == [0, 0.5]


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


def test_groups_are_drawn_as_wholes() -> None:
    """Half of each group is forged and scores by it: whatever is drawn, the mean is the same."""
    labels, groups = np.tile([0, 1], 10), np.repeat(np.arange(10), 2)
    sizes = []

    def share(drawn: NDArray[np.int64], _: NDArray[np.float64]) -> float:
        sizes.append(len(drawn))
        return float(drawn.mean())

    found = metrics.interval(share, labels, labels.astype(float), groups, draws=50)

    assert found == metrics.Figure(0.5, 0.5, 0.5)
    assert set(sizes) == {20}


def test_the_interval_is_the_middle_95_of_100() -> None:
    """Of ten groups, two are forged: how many of these are drawn is binomial, 0 to 5 in the middle 95 % and 0 to 4 in
    the middle 90 %."""
    labels = np.repeat([1, 1, *[0] * 8], 4)

    def share(drawn: NDArray[np.int64], _: NDArray[np.float64]) -> float:
        return float(drawn.mean())

    found = metrics.interval(share, labels, labels.astype(float), np.repeat(np.arange(10), 4), draws=4000)

    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0, 0.5))
    assert str(found) == "0.200 [0.000, 0.500]"


def test_draws_without_a_value_are_left_out() -> None:
    """With two groups, one of each class, half of all draws have one class alone."""
    labels, scores = np.array([0, 1]), np.array([0.2, 0.7])

    found = metrics.interval(metrics.auc, labels, scores, labels, draws=40)
    none = metrics.interval(metrics.auc, np.ones(2), scores, labels, draws=40)

    assert found == metrics.Figure(1, 1, 1)
    assert np.isnan([none.value, none.low, none.high]).all()


def test_a_summary_has_the_figures_it_is_asked_for() -> None:
    labels, scores, groups = _clips(10, 2)

    some = metrics.summary(labels, expit(scores), groups, names=("eer", "auc"), draws=20, seed=3)
    alone = metrics.interval(metrics.auc, labels, expit(scores), groups, draws=20, seed=3)

    assert list(some) == ["eer", "auc"]
    assert some["auc"] == alone
    assert set(metrics.summary(labels, expit(scores), groups, draws=2)) == set(metrics.SUMMARY)


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

    names, means, counts = metrics.by_clip(clips, column, np.arange(4))

    assert names.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(means, [0.5, 0.3, np.nan])
    assert counts.tolist() == [1, 1, 3]


def test_nothing_that_was_scored_has_no_interval() -> None:
    nothing = np.zeros(0)

    figure = metrics.interval(metrics.auc, nothing, nothing, nothing, draws=5)
    more = metrics.gain(metrics.auc, nothing, nothing, nothing, nothing, draws=5)

    assert np.isnan([figure.value, figure.low, figure.high, more.value, more.low, more.high]).all()
