from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines import ConfigError
from operators.deepfake.pairs import Ahead, PairBatch, Pairs, calibrate, halves
from operators.deepfake.quality import MEASURES
from operators.deepfake.scores import thresholds
from operators.metrics import calibration_error
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


class RememberedPairs(Pairs):
    """Notes which forgeries were drawn."""

    drawn: NDArray[np.int64]

    def made(self, fakes: NDArray[np.int64], rng: np.random.Generator, strength: float) -> PairBatch:
        self.drawn = fakes
        return super().made(fakes, rng, strength)


def test_every_kind_is_drawn_as_often() -> None:
    """Of one kind there are four forgeries, of the other 36: each is drawn in half of the pairs."""
    data = crop_set(20, 8, kinds=("a", *["b"] * 9))
    pairs = RememberedPairs(data, 8)

    made = pairs.batch(np.random.default_rng(0), 400, 0.0)

    kinds = data.kinds[pairs.drawn]
    assert [(data.kinds == kind).sum() for kind in "ab"] == [4, 36]
    assert 160 < (kinds == "a").sum() < 240 and set(kinds) == {"a", "b"}
    assert len(set(pairs.drawn[kinds == "a"])) == 4 and len(set(pairs.drawn[kinds == "b"])) > 30
    assert made.paired.all()


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


def test_a_mask_is_turned_round_with_its_picture() -> None:
    data = crop_set(2)
    aside = data.masks.copy()
    aside[:] = 0
    aside[:, :, :5] = 255
    pixels = data.pixels.copy()
    pixels[data.labels == 1, :, :20], pixels[data.labels == 1, :, 20:] = 250, 5
    pairs = Pairs(replace(data, masks=aside, pixels=pixels), 40)

    made = pairs.made(np.repeat(pairs.forged[:1], 12), np.random.default_rng(0), 0.0)

    left = made.faces[12:, 0, :, :20].mean((1, 2)) > 0.5
    assert 0 < left.sum() < 12
    assert ((made.changed[12:, 0, :, :5].mean((1, 2)) == 1) == left).all()
    assert (made.changed[12:].mean((1, 2, 3)) == 0.5).all()


def test_what_is_made_is_of_the_rows_asked_for() -> None:
    data = crop_set(3)
    forged = np.flatnonzero(data.labels == 1)[[4, 1]]

    made = Pairs(data, 20).made(forged, np.random.default_rng(0), 0.0)

    for row, face in zip([*data.origins[forged], *forged], made.faces, strict=True):
        small = data.pixels[row].reshape(20, 2, 20, 2, 3).mean((1, 3)) / 255
        assert any(np.abs(face.transpose(1, 2, 0) - flipped).max() < 0.01 for flipped in (small, small[:, ::-1]))


def test_batches_are_made_once_each_and_not_beyond_the_last() -> None:
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        return step

    with Ahead(make, 5, threads=1, depth=3) as batches:
        assert batches[0] == 0
        assert batches[1] == 1

    assert sorted(made) == [*range(len(made))] and len(made) <= 4
    with Ahead(make, 2, threads=1, depth=9) as batches:
        assert [batches[0], batches[1]] == [0, 1]
        assert not batches._made, "what was taken is not kept"
    assert max(made) < 4


def test_a_batch_that_cannot_be_made_fails_in_its_step() -> None:
    def make(step: int) -> int:
        if step == 2:
            raise ConfigError("no crops")
        return step

    with Ahead(make, 4) as batches:
        assert [batches[0], batches[1]] == [0, 1]
        with pytest.raises(ConfigError, match="no crops"):
            batches[2]


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=40))
def test_half_of_the_groups_are_chosen_whole(names: list[str]) -> None:
    groups = np.array(names)

    chosen = halves(groups)

    inside, outside = set(groups[chosen]), set(groups[~chosen])
    assert not inside & outside and len(inside) == len(set(names)) // 2


def test_limits_are_chosen_on_the_hardest_of_one_half() -> None:
    """The other half, and what is easier, would move thresholds and usual ranges if they counted."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 200)
    plain = np.clip(np.where(labels == 1, 0.7, 0.3) + rng.normal(0, 0.1, 400), 0.01, 0.99)
    fit, hardest = np.arange(400) < 200, np.arange(400) % 4 < 2
    measured = np.where(hardest[:, None], 5.0, 50.0) + np.zeros(5)

    def chosen(scores: NDArray[np.float64]) -> tuple[float, float]:
        _, _, limits = calibrate(scores, labels, fit, measured, hardest)
        return limits.fake, limits.real

    curve, error, limits = calibrate(plain, labels, fit, measured, hardest)

    assert limits.usual == dict.fromkeys(MEASURES, (5.0, 5.0))
    assert (limits.fake, limits.real) == thresholds(curve(plain)[fit & hardest], labels[fit & hardest])
    assert error == calibration_error(labels[~fit], curve(plain)[~fit])
    assert chosen(np.where(fit, plain, 0.5)) == chosen(plain)
    mixed = labels.copy()
    mixed[~fit] = rng.permutation(mixed[~fit])
    assert np.array_equal(calibrate(plain, mixed, fit, measured, hardest)[0](plain), curve(plain))
