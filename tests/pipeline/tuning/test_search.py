"""The tuner finds the cheapest setting that keeps what was asked for, on a landscape that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import Field

from engines import ConfigError
from engines.section import Section
from operators import find
from operators.options import read_options
from pipeline.config import Config, Step
from pipeline.live.dry_run import Trial
from pipeline.tuning.goals import Slo, recall
from pipeline.tuning.knobs import knobs, neighbours, thorough, turned
from pipeline.tuning.search import Tuner

BOX = np.array([[10, 10, 20, 20]], float)
FRAMES = 24
CONFIG = Config(
    steps=[Step(use="detect.centerface", engines={"detector": "centerface"}, options={"every": 2}), Step(use="track")]
)
KNOBS = knobs(CONFIG, longest_px=1280)


def landscape(config: Config, _: str = "", *, faces: int = FRAMES) -> dict[str, Trial]:
    """A face in each frame, which a look covers in three frames, and is too small for pictures below 960 px.

    A look costs in proportion to the pixels; a batch above 2 is refused.
    """
    options = config.steps[0].options
    every, side = options.get("every", 1), options.get("max_px", 1920)
    if options.get("batch", 1) > 2:
        raise ConfigError("batch: too large")
    looked = range(0, FRAMES, every) if side >= 960 else ()
    cost = 1 + 100 * (side / 1920) ** 2 / every
    covers = {index: BOX for index in range(FRAMES) if any(0 <= index - look < 3 for look in looked)}
    return {"clip": Trial(FRAMES, 0, cost, {}, np.full(FRAMES, cost), dict.fromkeys(range(faces), BOX), covers)}


def test_knobs_are_the_options_of_known_names() -> None:
    config = Config(steps=[*CONFIG.steps, Step(use="deidentify.cover")])

    found = {knob.option: knob for knob in knobs(config, longest_px=1280)}

    assert set(found) == {"every", "max_px", "batch"}
    assert list(found["every"].values) == [1, 2, 3, 5, 8, 13]
    assert found["every"].values[found["every"].own] == 2
    assert list(found["max_px"].values) == [1920, 1280, 960, 640, 480, 320]
    assert [knob.step for knob in found.values()] == [0, 0, 0]


class PaceSection(Section):
    batch: int = Field(default=3, ge=2, le=4)


class PacedConfig(Config):
    pace: PaceSection = PaceSection()


def test_no_value_lies_outside_of_an_options_range() -> None:
    (knob,) = knobs(PacedConfig(steps=[Step(use="track")]), longest_px=1280)

    assert (knob.section, knob.values, knob.own) == ("pace", (2, 3, 4), 1)


@pytest.mark.parametrize("use", ["detect.blazeface", "detect.cascade", "detect.centerface", "detect.yunet"])
def test_every_value_is_one_that_the_operator_takes(use: str) -> None:
    for knob in knobs(Config(steps=[Step(use=use)]), longest_px=1920):
        for value in knob.values:
            read_options(find(use), {knob.option: value}, where=use)


def test_a_setting_becomes_a_config() -> None:
    setting = tuple(knob.values.index(640) if knob.option == "max_px" else knob.own for knob in KNOBS)

    config = turned(CONFIG, KNOBS, setting)

    # Its own values stay unwritten; the lower limit of the resolution may not stand above the upper one.
    assert config.steps[0].options == {"every": 2, "max_px": 640, "min_px": 640}
    assert CONFIG.steps[0].options == {"every": 2}


def test_neighbours_differ_by_one_value() -> None:
    found = neighbours(KNOBS, (0,) * len(KNOBS))

    assert len(found) == len(KNOBS)
    assert all(sum(setting) == 1 for setting in found)


def test_recall() -> None:
    half = BOX - [0, 6, 0, 6]
    truth = {"a": {0: BOX, 1: np.concatenate([BOX, BOX + 50])}, "b": {0: BOX}}

    assert recall(truth, {"a": {0: BOX + 1, 1: BOX + 50}, "b": {0: half}}) == (0.5, 4)
    assert recall(truth, {"a": {}, "b": {}}) == (0, 4)
    assert math.isnan(recall({"a": {}}, {"a": {}})[0])


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


@pytest.mark.parametrize("text", ["recall", "recall=much", "speed=3", "recall=1.5", "fps=-1"])
def test_a_wish_that_cannot_be_meant(text: str) -> None:
    with pytest.raises(ConfigError, match="--slo"):
        Slo.parse([text])


def test_clips_without_faces() -> None:
    with pytest.raises(ConfigError, match="no face"):
        Tuner(CONFIG, KNOBS, lambda config, words: landscape(config, words, faces=0), Slo()).search()


def test_a_config_without_knobs() -> None:
    zones = Config(steps=[Step(use="detect.zones", options={"boxes": [[0, 0, 1, 1]]})])

    with pytest.raises(ConfigError, match="nothing to turn"):
        Tuner(zones, knobs(zones, longest_px=640), landscape, Slo()).search()


def test_the_most_thorough_setting_leaves_batch_and_threads_alone() -> None:
    config = Config(steps=[Step(use="detect.centerface", options={"batch": 4, "every": 5})])
    found = knobs(config, longest_px=1280)

    chosen = {knob.option: knob.values[position] for knob, position in zip(found, thorough(found), strict=True)}

    assert chosen == {"every": 1, "max_px": 1920, "batch": 4}
