"""That shares, thresholds and intervals of the leak bench are what one counts by hand."""

from __future__ import annotations

from itertools import combinations
from math import comb, isnan

import numpy as np
import pytest

from bench.leak_figures import accepted, alike, by_gallery, curve, figures_of_scores, found_first, threshold_at, wilson
from operators.arrays import Array


def scores(n: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 1, (n, n))


def test_a_perfect_leak_is_found_by_all_measures() -> None:
    numbers = np.random.default_rng(1).normal(0, 1, (100, 16))

    found = figures_of_scores(alike(numbers, numbers, "cosine"))

    assert (found["rank1"], found["tar"]) == (1.0, 1.0)
    assert found["rank1_high"] == pytest.approx(1) and 0.96 < found["rank1_low"] < 0.97
    assert by_gallery(alike(numbers, numbers, "euclidean"), (2, 100)) == {2: 1.0, 100: 1.0}


def test_noise_is_found_by_chance() -> None:
    found = [figures_of_scores(scores(200, seed)) for seed in range(20)]

    assert np.mean([each["rank1"] for each in found]) == pytest.approx(1 / 200, abs=0.004)
    assert np.mean([each["tar"] for each in found]) == pytest.approx(1e-3, abs=0.002)
    assert by_gallery(scores(400, 1), (2, 10))[10] == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("probes", [np.ones((5, 16)), np.zeros((5, 16))], ids=["all alike", "nothing"])
def test_what_is_the_same_for_all_finds_nobody(probes: Array) -> None:
    found = alike(np.random.default_rng(0).normal(0, 1, (5, 16)), probes, "cosine")

    assert not found_first(found).any()
    assert by_gallery(found, (1, 2)) == {1: 1.0, 2: 0.0}
    assert accepted(found, 0.2) is not None and not np.any(accepted(found, 0.2))


def test_a_tie_is_no_find() -> None:
    assert found_first(np.array([[2.0, 2.0], [0.0, 1.0]])).tolist() == [False, True]


def test_tar_at_far_by_hand() -> None:
    """Five people: of 20 wrong pairs a tenth, two, may be accepted; the second highest of them is 0.7."""
    table = np.full((5, 5), 0.1)
    table[0, 1], table[3, 2], table[4, 0] = 0.8, 0.7, 0.6
    np.fill_diagonal(table, [0.9, 0.7, 0.69, 0.2, 0.75])

    assert threshold_at(table[~np.eye(5, dtype=bool)], 0.1) == 0.7
    taken = accepted(table, 0.1)
    assert taken is not None and taken.tolist() == [True, True, False, False, True]


def test_equal_scores_do_not_let_more_in_than_they_may() -> None:
    wrong = np.array([0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])

    assert threshold_at(wrong, 0.2) == np.nextafter(0.5, 1)
    assert threshold_at(wrong, 0.3) == 0.5


def test_with_too_few_pairs_there_is_no_tar() -> None:
    found = figures_of_scores(scores(20))

    assert isnan(threshold_at(np.zeros(999))) and isnan(found["tar"]) and isnan(found["tar_high"])
    assert isnan(curve(scores(20))[0]) and curve(scores(20))[-1] == 1.0


def test_smaller_galleries_are_those_of_all_draws() -> None:
    table = scores(6, 3)

    found = by_gallery(table, (1, 2, 3, 6))

    for size, part in found.items():
        hits = sum(
            table[row, row] > max((table[row, other] for other in others), default=-np.inf)
            for row in range(6)
            for others in combinations([other for other in range(6) if other != row], size - 1)
        )
        assert part == pytest.approx(hits / 6 / comb(5, size - 1))
    assert found[6] == pytest.approx(found_first(table).mean())


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 500, 0.0, 0.0076), (5, 500, 0.0043, 0.0232), (10, 10, 0.7225, 1.0)]
)
def test_intervals_are_wilsons(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits / n, n) == pytest.approx((low, high), abs=5e-5)
