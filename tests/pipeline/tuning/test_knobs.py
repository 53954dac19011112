"""What may be turned in a config, how far, and what a setting of all knobs makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from engines import ConfigError
from engines.section import Section
from operators import find
from operators.options import read_options
from pipeline.config import Config, Step
from pipeline.tuning.knobs import Knob, Setting, knobs, neighbours, thorough, turned
from tests.pipeline.tuning.landscape import CONFIG, KNOBS


def test_knobs_are_the_options_of_known_names() -> None:
    config = Config(steps=[*CONFIG.steps, Step(use="deidentify.cover")])

    found = {knob.option: knob for knob in knobs(config, longest_px=1280)}

    assert set(found) == {"max_px", "batch"}
    assert list(found["max_px"].values) == [1600, 1280, 960, 640, 480, 320]
    assert found["max_px"].values[found["max_px"].own] == 1600
    assert list(found["batch"].values) == [1, 2, 4, 8]
    assert [knob.step for knob in found.values()] == [0, 0]


class PaceSection(Section):
    batch: int = Field(default=3, ge=2, le=4)


class PacedConfig(Config):
    pace: PaceSection = PaceSection()


def test_no_value_lies_outside_of_an_options_range() -> None:
    (knob,) = knobs(PacedConfig(steps=[Step(use="track")]), longest_px=1280)

    assert (knob.section, knob.values, knob.own) == ("pace", (2, 3, 4), 1)


@pytest.mark.parametrize("use", ["detect.cascade", "detect.centerface", "detect.yunet"])
def test_every_value_is_one_that_the_operator_takes(use: str) -> None:
    found = knobs(Config(steps=[Step(use=use)]), longest_px=1920)

    assert found
    for knob in found:
        for value in knob.values:
            read_options(find(use), {knob.option: value}, where=use)


def test_a_setting_becomes_a_config() -> None:
    setting = tuple(knob.values.index(640) if knob.option == "max_px" else knob.own for knob in KNOBS)

    config = turned(CONFIG, KNOBS, setting)

    # Its own values stay unwritten; the lower limit of the resolution may not stand above the upper one.
    assert config.steps[0].options == {"max_px": 640, "min_px": 640}
    assert CONFIG.steps[0].options == {"max_px": 1600}


def test_neighbours_differ_by_one_value() -> None:
    found = neighbours(KNOBS, (0,) * len(KNOBS))

    assert len(found) == len(KNOBS)
    assert all(sum(setting) == 1 for setting in found)


def test_the_most_thorough_setting_leaves_batch_and_threads_alone() -> None:
    config = Config(steps=[Step(use="detect.centerface", options={"batch": 4, "max_px": 960})])
    found = knobs(config, longest_px=1280)

    chosen = {knob.option: knob.values[position] for knob, position in zip(found, thorough(found), strict=True)}

    assert chosen == {"max_px": 1280, "batch": 4}


def centerface(**options: Any) -> Config:
    return Config(steps=[Step(use="detect.centerface", engines={"detector": "centerface"}, options=options)])


@pytest.mark.parametrize(
    ("own", "longest_px", "name", "values"),
    [
        ({}, 4000, "max_px", (1920, 1600, 1280, 960, 640, 480, 320)),
        ({"max_px": 960}, 1280, "max_px", (1280, 960, 640, 480, 320)),
        ({"max_px": 1000}, 1280, "max_px", (1280, 1000, 960, 640, 480, 320)),
        ({"max_px": 1920}, 640, "max_px", (1920, 640, 480, 320)),
        ({"max_px": 200}, 640, "max_px", (640, 480, 320, 200)),
        ({"batch": 3}, 640, "batch", (1, 2, 3, 4, 8)),
        ({"batch": 25}, 640, "batch", (1, 2, 4, 8, 25)),
    ],
    ids=["default", "among them", "between two", "above the clips", "below all", "batch", "large batch"],
)
def test_the_configs_own_value_is_among_those_of_its_knob(
    own: dict[str, Any], longest_px: int, name: str, values: tuple[float, ...]
) -> None:
    (knob,) = (knob for knob in knobs(centerface(**own), longest_px=longest_px) if knob.option == name)

    assert knob.values == values
    assert knob.values[knob.own] == own.get(name, 1920)


def test_every_step_has_knobs_of_its_own() -> None:
    steps = [Step(use=use) for use in ("detect.yunet", "track", "detect.cascade", "detect.centerface")]
    config = Config(steps=steps)

    found = [(knob.step, knob.section, knob.option) for knob in knobs(config, longest_px=1280)]

    assert found == [
        (0, "detect.yunet", "px"),
        (2, "detect.cascade", "max_px"),
        (3, "detect.centerface", "max_px"),
        (3, "detect.centerface", "batch"),
    ]


def test_an_option_that_the_operator_would_refuse_is_no_knob_either() -> None:
    with pytest.raises(ConfigError, match=r"detect.centerface: batch: expected an integer of at least 1, got 0"):
        knobs(centerface(batch=0), longest_px=640)


@pytest.mark.parametrize(
    ("options", "max_px", "written"),
    [
        ({}, 960, {"max_px": 960}),
        ({}, 640, {"max_px": 640, "min_px": 640}),
        ({"min_px": 320}, 480, {"min_px": 320, "max_px": 480}),
        ({"min_px": 900}, 640, {"min_px": 640, "max_px": 640}),
        ({"threshold": 0.4}, 960, {"threshold": 0.4, "max_px": 960}),
    ],
    ids=["above the lower limit", "below the default one", "above its own", "below its own", "another option stays"],
)
def test_the_lower_limit_of_the_resolution_gives_way(
    options: dict[str, Any], max_px: int, written: dict[str, Any]
) -> None:
    config = centerface(**options)
    found = knobs(config, longest_px=1920)
    setting = tuple(knob.values.index(max_px) if knob.option == "max_px" else knob.own for knob in found)

    assert turned(config, found, setting).steps[0].options == written


def test_only_the_step_of_a_knob_is_changed_and_only_its_option() -> None:
    config = Config(steps=[Step(use="detect.yunet", options={"px": 960}), *centerface(min_px=900).steps])
    found = knobs(config, longest_px=1280)
    setting = tuple(1 if (knob.step, knob.option) == (1, "batch") else knob.own for knob in found)

    made = turned(config, found, setting)

    assert [step.options for step in made.steps] == [{"px": 960}, {"min_px": 900, "batch": 2}]


def test_a_field_of_a_section_is_turned_too() -> None:
    """Nothing but what was turned is written: what the config leaves to defaults stays so."""
    knob = Knob("encode", "crf", (18, 23, 28), own=1)

    config = turned(centerface(), [knob], (2,))

    assert config == Config(steps=centerface().steps, encode=config.encode) and config.encode.crf == 28
    assert config.model_dump(exclude_unset=True)["encode"] == {"crf": 28}
    assert turned(centerface(), [knob], (1,)) == centerface()


def test_a_setting_of_other_knobs_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        turned(CONFIG, KNOBS, (0,))


SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def drawn(sizes: list[int]) -> list[Knob]:
    return [Knob("detect.centerface", f"k{n}", tuple(range(size)), own=0, step=0) for n, size in enumerate(sizes)]


@given(SIZES, st.data())
def test_whoever_is_a_neighbour_has_one(sizes: list[int], data: st.DataObject) -> None:
    found = drawn(sizes)
    setting: Setting = tuple(data.draw(st.integers(0, size - 1)) for size in sizes)

    around = neighbours(found, setting)

    assert len(set(around)) == len(around)
    assert all(sum(abs(a - b) for a, b in zip(setting, other, strict=True)) == 1 for other in around)
    assert all(setting in neighbours(found, other) for other in around)
    expected = sum((at > 0) + (at < size - 1) for at, size in zip(setting, sizes, strict=True))
    assert len(around) == expected


def test_a_step_that_is_no_operator() -> None:
    with pytest.raises(ConfigError, match=r"no operator 'detect.nothing'"):
        knobs(Config(steps=[Step(use="detect.nothing")]), longest_px=640)
