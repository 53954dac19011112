"""From scores to figures: rank-1, TAR at a FAR, larger and smaller galleries; each a share with its interval.

Scores are `(n, n)` float64, higher for more alike: row of a probe, column of the gallery; a probe's own is on the
diagonal. A probe that says nothing has rows of minus infinity, and finds nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import gammaln

from operators.arrays import Array

LeakRow = dict[str, Any]
"""A row of the report; `table` says of which of its tables."""

FAR = 1e-3
Z = 1.96
SIZES = (10, 25, 50, 100, 250, 500)
FARS = np.logspace(-4, 0, 41)


def alike(gallery: Array, probes: Array, metric: str) -> NDArray[np.float64]:
    """Scores by distance; none for a probe without a direction, nor for any if all are like the first.

    >>> alike(np.eye(2), np.array([[2.0, 0], [0, 0]]), "cosine").round(3).tolist()
    [[0.0, -1.0], [-inf, -inf]]
    """
    if len(probes) > 1 and np.allclose(probes, probes[0]):
        return np.full((len(probes), len(gallery)), -np.inf)
    return np.asarray(0.0 - np.nan_to_num(cdist(probes, gallery, metric), nan=np.inf), np.float64)


def found_first(scores: Array) -> NDArray[np.bool_]:
    """Rank-1: which probes have their own highest, and above all others.

    >>> found_first(np.array([[0.9, 0.1], [0.5, 0.5]])).tolist()
    [True, False]
    """
    own = np.diagonal(scores)
    return np.asarray(own > _others(scores).max(axis=1, initial=-np.inf))


def threshold_at(impostors: Array, far: float = FAR) -> float:
    """The lowest score of an impostor from which on at most this part of them is accepted; NaN with too few of them.

    >>> threshold_at(np.array([-0.1, 0, 0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6]), 0.1)
    0.6
    """
    return _threshold(np.sort(impostors.ravel())[::-1], far)


def _threshold(ordered: Array, far: float) -> float:
    """The same of scores from the highest on."""
    allowed = int(np.floor(far * len(ordered) + 1e-9))
    if not allowed:
        return float("nan")
    at = float(ordered[allowed - 1])
    if allowed < len(ordered) and ordered[allowed] == at:  # ties would let in more than that
        return float(np.nextafter(at, np.inf))
    return at


def accepted(scores: Array, far: float = FAR) -> NDArray[np.bool_] | None:
    """Which probes are taken for themselves, at the threshold at which this part of all wrong pairs is taken for one.

    The threshold is that of the same covered probes, which suits the attacker. None with too few pairs.
    """
    at = threshold_at(_others(scores), far)
    return None if np.isnan(at) else np.asarray((np.diagonal(scores) >= at) & np.isfinite(np.diagonal(scores)))


def by_gallery(scores: Array, sizes: Sequence[int] = SIZES) -> dict[int, float]:
    """Rank-1 in galleries of so many people, the probe's own among them: the mean over all of that size.

    If b of n - 1 others are at least as alike, the chance that none of them is among the g - 1 drawn is
    C(n - 1 - b, g - 1) / C(n - 1, g - 1).

    >>> by_gallery(np.array([[3.0, 2, 1], [0, 2, 3], [1, 2, 0]]), (1, 2, 3))
    {1: 1.0, 2: 0.5, 3: 0.3333333333333333}
    """
    own, n = np.diagonal(scores)[:, None], len(scores)
    better = np.where(np.isfinite(own[:, 0]), (_others(scores) >= own).sum(axis=1), n - 1)
    return {size: float(_all_missed(n - 1, better, size - 1).mean()) for size in sizes if size <= n}


def _all_missed(others: int, better: Array, drawn: int) -> Array:
    left = others - better

    def log_choose(n: Array, k: int) -> Array:
        return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(np.maximum(n - k, 0) + 1))

    chance = np.exp(log_choose(left, drawn) - log_choose(np.asarray(float(others)), drawn))
    return np.where(left >= drawn, chance, 0.0)


def _others(scores: Array) -> Array:
    """Scores `(n, n - 1)` of wrong pairs."""
    n = len(scores)
    return np.asarray(scores[~np.eye(n, dtype=bool)].reshape(n, n - 1))


def wilson(part: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of n. For a mean of values in 0..1 it is wide enough, too.

    >>> tuple(round(end, 4) for end in wilson(0.1, 100))
    (0.0552, 0.1744)
    """
    middle, half = part + Z * Z / (2 * n), Z * np.sqrt(part * (1 - part) / n + Z * Z / (4 * n * n))
    return float(max(middle - half, 0) / (1 + Z * Z / n)), float(min((middle + half) / (1 + Z * Z / n), 1))


def share(hits: Array, name: str = "rank1") -> dict[str, float]:
    """A share with its interval.

    >>> {name: round(value, 3) for name, value in share(np.arange(500) < 1).items()}
    {'rank1': 0.002, 'rank1_low': 0.0, 'rank1_high': 0.011}
    """
    low, high = wilson(float(hits.mean()), len(hits))
    return {name: float(hits.mean()), f"{name}_low": low, f"{name}_high": high}


def figures_of_scores(scores: Array) -> dict[str, float]:
    """Rank-1 and TAR at FAR 1e-3, each with its interval."""
    taken = accepted(scores)
    missing = dict.fromkeys(("tar", "tar_low", "tar_high"), float("nan"))
    return share(found_first(scores)) | (missing if taken is None else share(taken, "tar"))


def curve(scores: Array) -> list[float]:
    """TAR at each of `FARS`; NaN where there are too few pairs."""
    own, ordered = np.diagonal(scores), np.sort(_others(scores).ravel())[::-1]
    limits = [_threshold(ordered, float(far)) for far in FARS]
    return [float("nan") if np.isnan(at) else float(((own >= at) & np.isfinite(own)).mean()) for at in limits]
