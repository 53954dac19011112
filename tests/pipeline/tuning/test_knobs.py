"""What may be turned in a config, how far, and what a setting of all knobs makes of it."""

from __future__ import annotations

from pipeline.config import Config, Step
from pipeline.tuning.knobs import knobs, neighbours, thorough, turned
from tests.pipeline.tuning.landscape import CONFIG, KNOBS


def test_knobs_are_the_options_of_known_names() -> None:
    config = Config(steps=[*CONFIG.steps, Step(use="deidentify.cover")])

    found = {knob.option: knob for knob in knobs(config, longest_px=1280)}

    assert set(found) == {"every", "max_px", "batch"}
    assert list(found["every"].values) == [1, 2, 3, 5, 8, 13]
    assert found["every"].values[found["every"].own] == 2
    assert list(found["max_px"].values) == [1920, 1280, 960, 640, 480, 320]
    assert [knob.step for knob in found.values()] == [0, 0, 0]


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


def test_the_most_thorough_setting_leaves_batch_and_threads_alone() -> None:
    config = Config(steps=[Step(use="detect.centerface", options={"batch": 4, "every": 5})])
    found = knobs(config, longest_px=1280)

    chosen = {knob.option: knob.values[position] for knob, position in zip(found, thorough(found), strict=True)}

    assert chosen == {"every": 1, "max_px": 1920, "batch": 4}
