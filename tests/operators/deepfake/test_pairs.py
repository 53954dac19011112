from __future__ import annotations

import numpy as np
import pytest

from engines import ConfigError
from operators.deepfake.pairs import Ahead, Pairs, halves
from tests.operators.deepfake.faces import crop_set


def test_a_forgery_comes_with_its_original_degraded_alike() -> None:
    data = crop_set(4)

    made = Pairs(data, 40).batch(np.random.default_rng(0), 16, 0.0)

    genuine, forged = np.split(made.faces, 2)
    assert made.faces.shape == (32, 3, 40, 40)
    assert np.array_equal(genuine[:, :, 20:], forged[:, :, 20:]), "below the forged half nothing differs"
    assert (genuine[:, :, :20] != forged[:, :, :20]).any(axis=(1, 2, 3)).all()
    assert made.changed[:16].max() == 0
    assert made.changed[16:].max() == 1
    assert made.paired.all()


def test_every_kind_is_drawn_as_often() -> None:
    data = crop_set(20, kinds=("a", *["b"] * 9))
    pairs = Pairs(data, 40)
    rng = np.random.default_rng(0)

    which = [len(kind) for kind in pairs._kinds]
    drawn = pairs.batch(rng, 64, 0.0).paired

    assert sorted(which) == [4, 36]
    assert drawn.all()


def test_the_same_chance_gives_the_same_batch() -> None:
    pairs = Pairs(crop_set(4), 32)

    first, second = (pairs.batch(np.random.default_rng(3), 4, 1.0).faces for _ in range(2))

    assert np.array_equal(first, second)


def test_forgeries_of_unknown_origin_are_not_pairs() -> None:
    data = crop_set(4)
    videos = type(data)(**{**data.arrays(), "origins": np.full(len(data), -1), "masks": data.masks[:0]})

    made = Pairs(videos, 40).batch(np.random.default_rng(0), 4, 0.0)

    assert not made.paired.any()
    assert made.known.tolist() == [True] * 4 + [False] * 4


def test_a_set_without_forgeries_is_refused() -> None:
    data = crop_set(4)

    with pytest.raises(ConfigError, match="forgeries:"):
        Pairs(data.where(data.labels == 0), 40)


def test_batches_made_ahead_are_those_asked_for() -> None:
    with Ahead(lambda step: step * step, 10, depth=3) as batches:
        assert [batches[step] for step in range(4, 10)] == [16, 25, 36, 49, 64, 81]


def test_halves_do_not_tear_groups_apart() -> None:
    groups = np.repeat(np.array(list("abcdefgh")), 3)

    chosen = halves(groups)

    assert chosen.sum() == 12
    assert all(len(set(chosen[groups == group])) == 1 for group in groups)
