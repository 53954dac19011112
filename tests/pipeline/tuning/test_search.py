"""The tuner finds the cheapest setting that keeps what was asked for, on a landscape that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engines import ConfigError
from pipeline.config import Config, Step
from pipeline.tuning.goals import Slo
from pipeline.tuning.knobs import knobs
from pipeline.tuning.search import Tuner
from tests.pipeline.tuning.landscape import BOX, CONFIG, KNOBS, landscape


def test_the_cheapest_setting_that_keeps_recall_is_found() -> None:
    tuner = Tuner(CONFIG, KNOBS, landscape, Slo.parse(["recall=1"]))

    best = tuner.search()

    # Looking at every third frame covers all; less than 960 px does not, nor does every fifth.
    assert best.words == "every=3 max_px=960 batch=1"
    assert best.cpu_ms == pytest.approx(1 + 25 / 3)
    assert not best.misses(tuner.slo)
    assert tuner.truest.words == "every=1 max_px=1920 batch=1"
    assert tuner.ranked()[0] is best


def test_without_a_wish_the_recall_is_kept() -> None:
    tuner = Tuner(CONFIG, KNOBS, landscape, Slo())

    best = tuner.search()

    assert best.recall == tuner.before.recall == 1
    assert tuner.slo.recall == pytest.approx(0.99)
    assert best.cpu_ms < tuner.before.cpu_ms


def test_latency_counts_the_look_ahead_and_the_work() -> None:
    tuner = Tuner(CONFIG, KNOBS, landscape, Slo.parse(["recall=0.5,latency_ms=258"]), wait_ms=250)

    best = tuner.search()

    assert best.latency_ms <= 258
    assert best.latency_ms == pytest.approx(250 + best.cpu_ms)


def test_when_nothing_holds_the_nearest_is_told() -> None:
    tuner = Tuner(CONFIG, KNOBS, landscape, Slo.parse(["recall=1", "cpu_ms=5"]))

    best = tuner.search()

    assert set(best.misses(tuner.slo)) <= {"recall", "cpu_ms"}
    assert best.misses(tuner.slo)
    assert sum(best.misses(tuner.slo).values()) <= sum(tuner.before.misses(tuner.slo).values())


def test_labels_are_the_truth_where_there_are_any() -> None:
    truth = {"clip": {0: np.concatenate([BOX, BOX + 100])}}

    assert Tuner(CONFIG, KNOBS, landscape, Slo(), truth=truth).search().recall == 0.5


def test_clips_without_faces() -> None:
    with pytest.raises(ConfigError, match="no face"):
        Tuner(CONFIG, KNOBS, lambda config, words: landscape(config, words, faces=0), Slo()).search()


def test_a_config_without_knobs() -> None:
    zones = Config(steps=[Step(use="detect.zones", options={"boxes": [[0, 0, 1, 1]]})])

    with pytest.raises(ConfigError, match="nothing to turn"):
        Tuner(zones, knobs(zones, longest_px=640), landscape, Slo()).search()
