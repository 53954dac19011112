"""How good a detector of forgeries is: figures of scores against labels, each with an interval that respects groups.

Scores are higher for forgeries; labels are 1 for these and 0 for genuine faces. What is drawn anew for an interval is
whole groups: a video, or all that shows the same people, because the frames of one resemble each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn import metrics

from operators.arrays import Array

MetricFunction = Callable[[Array, Array], float]
"""Of labels and scores `(n,)`; NaN where it is not defined."""

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval.

    >>> str(Figure(0.9, 0.85, 0.95))
    '0.900 [0.850, 0.950]'
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def auc(labels: Array, scores: Array) -> float:
    """The chance that a forgery scores higher than a genuine face, ties by half; NaN with one class alone.

    By ranks (Mann and Whitney 1947): an interval takes a thousand, and scikit-learn's takes seven times as long.

    >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.5, 0.9]))
    0.75
    """
    if not _both(labels):
        return np.nan
    forged = np.asarray(labels) == 1
    n, m = int(forged.sum()), int((~forged).sum())
    return float((rankdata(scores)[forged].sum() - n * (n + 1) / 2) / (n * m))


def average_precision(labels: Array, scores: Array) -> float:
    """The area under precision over recall, in steps.

    >>> round(average_precision(np.array([1, 0, 1]), np.array([0.9, 0.5, 0.1])), 3)  # (1 + 2 / 3) / 2
    0.833
    """
    return float(metrics.average_precision_score(labels, scores)) if _both(labels) else np.nan


def equal_error_rate(labels: Array, scores: Array) -> float:
    """Where as many genuine faces are called forged as forgeries are missed, between two points of the curve.

    >>> equal_error_rate(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.5, 0.9]))
    0.5
    """
    if not _both(labels):
        return np.nan
    false_alarms, hits, _ = metrics.roc_curve(labels, scores)
    above = false_alarms - (1 - hits)  # rises from -1 to 1
    right = int(np.argmax(above >= 0))
    left = max(0, right - 1)
    span = above[right] - above[left]
    way = -above[left] / span if span else 0.0
    return float(false_alarms[left] + way * (false_alarms[right] - false_alarms[left]))


def hits_at(false_alarms: float) -> MetricFunction:
    """The metric: which part of the forgeries is found when at most this part of the genuine faces is called forged.

    >>> hits_at(0.01)(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.5, 0.9]))
    0.5
    """

    def metric(labels: Array, scores: Array) -> float:
        if not _both(labels):
            return np.nan
        alarms, hits, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
        return float(hits[alarms <= false_alarms].max(initial=0))

    return metric


def threshold_at(false_alarms: float, labels: Array, scores: Array) -> float:
    """The lowest threshold at which at most this part of the genuine faces scores as high or higher.

    >>> round(threshold_at(0.5, np.zeros(4), np.array([0.1, 0.2, 0.3, 0.4])), 3)
    0.2
    """
    genuine = np.sort(scores[labels == 0])[::-1]
    allowed = int(np.floor(false_alarms * len(genuine)))
    return float(np.nextafter(genuine[allowed], np.inf)) if allowed < len(genuine) else 0.0


def calibration_error(labels: Array, scores: Array, bins: int = 15) -> float:
    """ECE: how far probabilities lie from what happened, over bins of equal width, weighted by how many are in each.

    >>> calibration_error(np.array([1, 1, 1, 0]), np.full(4, 0.5))
    0.25
    """
    return _gap(labels, scores, np.full(len(scores), 1 / max(1, len(scores))), bins)


def even_calibration_error(labels: Array, scores: Array, bins: int = 15) -> float:
    """ECE with both classes weighing alike, whatever their numbers: of probabilities that are meant so.

    >>> round(even_calibration_error(np.array([1, 1, 1, 0]), np.full(4, 0.5)), 3)
    0.0
    """
    if not _both(labels):
        return np.nan
    fake = labels == 1
    return _gap(labels, scores, np.where(fake, 0.5 / fake.sum(), 0.5 / (~fake).sum()), bins)


def risk_coverage(labels: Array, scores: Array) -> tuple[Array, Array]:
    """Error among the surest ones: coverage `(n,)` 1/n..1, and risk `(n,)`, the part of them decided wrongly at 0.5.

    The surest are those whose scores lie farthest from 0.5.

    >>> coverage, risk = risk_coverage(np.array([1, 0, 1]), np.array([0.9, 0.2, 0.4]))
    >>> coverage.round(2).tolist(), risk.round(2).tolist()
    ([0.33, 0.67, 1.0], [0.0, 0.0, 0.33])
    """
    order = np.argsort(-np.abs(scores - 0.5), kind="stable")
    wrong = ((scores >= 0.5) != (labels == 1))[order]
    counted = np.arange(1, len(scores) + 1)
    return counted / len(scores), np.cumsum(wrong) / counted


def selective_error_at(coverage: float) -> MetricFunction:
    """The metric: error among this part of the cases, the surest.

    >>> labels, scores = np.array([1, 0, 0, 1]), np.array([0.9, 0.2, 0.1, 0.4])
    >>> selective_error_at(0.75)(labels, scores), selective_error_at(1.0)(labels, scores)
    (0.0, 0.25)
    """

    def metric(labels: Array, scores: Array) -> float:
        covered, risk = risk_coverage(labels, scores)
        return float(risk[np.searchsorted(covered, coverage - 1e-9)])

    return metric


SUMMARY: dict[str, MetricFunction] = {
    "auc": auc,
    "ap": average_precision,
    "eer": equal_error_rate,
    "tpr_at_fpr01": hits_at(0.01),
    "ece": calibration_error,
    "ece_even": even_calibration_error,
    "selective_error_70": selective_error_at(0.7),
}


def summary(
    labels: Array,
    scores: Array,
    groups: Array,
    *,
    names: Sequence[str] = tuple(SUMMARY),
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Figure]:
    """Those of `SUMMARY` with these names, with intervals by groups; all of them see the same draws.

    >>> labels, scores, groups = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.8]), np.array(["a", "a", "b", "b"])
    >>> str(summary(labels, scores, groups, names=("auc",), draws=20)["auc"])
    '1.000 [1.000, 1.000]'
    """
    drawn = _draws(groups, draws, seed)
    return {name: _figure(SUMMARY[name], labels, scores, drawn) for name in names}


def interval(
    metric: MetricFunction, labels: Array, scores: Array, groups: Array, *, draws: int = DRAWS, seed: int = 0
) -> Figure:
    """A metric with the interval that holds the middle 95 % of its values on groups drawn with replacement.

    >>> labels, scores, groups = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.8]), np.array(["a", "a", "b", "b"])
    >>> str(interval(auc, labels, scores, groups, draws=20))
    '1.000 [1.000, 1.000]'
    """
    return _figure(metric, labels, scores, _draws(groups, draws, seed))


def gain(
    metric: MetricFunction,
    labels: Array,
    scores: Array,
    others: Array,
    groups: Array,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Figure:
    """How much higher a metric is for some scores than for others of the same cases; both see the same draws.

    >>> labels, scores, groups = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.8]), np.array(["a", "a", "b", "b"])
    >>> str(gain(auc, labels, scores, np.full(4, 0.5), groups, draws=20))
    '0.500 [0.500, 0.500]'
    """
    values = [metric(labels[r], scores[r]) - metric(labels[r], others[r]) for r in _draws(groups, draws, seed)]
    return Figure(metric(labels, scores) - metric(labels, others), *_middle(values))


def by_clip(clips: Array, *columns: Array) -> tuple[Array, ...]:
    """The clips' names, sorted, and of each column the mean over the rows of each clip; NaN rows are left out.

    >>> names, means = by_clip(np.array(["b", "a", "b"]), np.array([0.25, 0.9, 0.75]))
    >>> names.tolist(), means.tolist()
    (['a', 'b'], [0.9, 0.5])
    """
    names, index = np.unique(clips, return_inverse=True)
    return names, *(_mean(index, np.asarray(column, np.float64), len(names)) for column in columns)


def _mean(index: Array, column: Array, count: int) -> Array:
    known = np.isfinite(column)
    total = np.bincount(index[known], column[known], count)
    rows = np.bincount(index[known], minlength=count)
    return np.asarray(np.divide(total, rows, out=np.full(count, np.nan), where=rows > 0))


def _figure(metric: MetricFunction, labels: Array, scores: Array, drawn: Sequence[Array]) -> Figure:
    values = [metric(labels[rows], scores[rows]) for rows in drawn]
    return Figure(metric(labels, scores), *_middle(values))


def _gap(labels: Array, scores: Array, weights: Array, bins: int) -> float:
    index = np.clip((scores * bins).astype(int), 0, bins - 1)
    return float(np.abs(np.bincount(index, weights * ((labels == 1) - scores), bins)).sum())


def _both(labels: Array) -> bool:
    return bool(len(labels)) and bool((labels == 1).any()) and bool((labels == 0).any())


def _draws(groups: Array, draws: int, seed: int) -> Sequence[Array]:
    names, index = np.unique(groups, return_inverse=True)
    if not len(names):  # nothing was scored, of which there is nothing to draw
        return []
    rows = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    rng = np.random.default_rng(seed)
    return [np.concatenate([rows[i] for i in rng.integers(0, len(names), len(names))]) for _ in range(draws)]


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """What lies between the 2.5th and the 97.5th of a hundred; draws with one class alone are left out."""
    known = np.asarray(values)[np.isfinite(values)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)
