"""The signatures of operators are the schema of configs: every option has a type that refuses what cannot be meant."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from engines import ConfigError
from operators import available, find
from operators.options import PositiveCount, options_model, read_options

NAMES = available()


def bake(
    oven: object,
    *,
    dish: Literal["bread", "cake"],
    minutes: Annotated[float, Field(gt=0, le=600)] = 40.0,
    loaves: PositiveCount = 1,
    recipe: Path | None = None,
    spices: Sequence[str] = (),
    shares: Mapping[str, float] | None = None,
    warm: bool = True,
) -> None:
    """Bakes.

    Args:
        oven: hot.
        dish: what comes out.
        minutes, loaves: how long,
            and how many.
        spices: see `store`: all of them.

    Returns:
        warm: is no parameter here.
    """


def options(**given: Any) -> dict[str, Any]:
    return dict(read_options(bake, {"dish": "cake", **given}, where="bake"))


def test_given_options_and_defaults_are_read() -> None:
    assert options(minutes=5, recipe="cake.txt", spices=["salt"], shares={"a": 1}) == {
        "dish": "cake", "minutes": 5.0, "loaves": 1, "recipe": Path("cake.txt"), "spices": ["salt"],
        "shares": {"a": 1.0}, "warm": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"dish": "soup"}, "dish: expected bread or cake, got 'soup'"),
        ({"minutes": "5"}, "minutes: expected a number above 0 and at most 600, got '5'"),
        ({"minutes": True}, "minutes: expected a number above 0 and at most 600, got True"),
        ({"minutes": math.nan}, "minutes: expected a number above 0 and at most 600, got nan"),
        ({"minutes": math.inf}, "minutes: expected a number above 0 and at most 600, got inf"),
        ({"minutes": 0}, "minutes: expected a number above 0 and at most 600, got 0"),
        ({"loaves": 2.0}, "loaves: expected an integer of at least 1, got 2.0"),
        ({"loaves": 0}, "loaves: expected an integer of at least 1, got 0"),
        ({"loaves": None}, "loaves: expected an integer of at least 1, got None"),
        ({"recipe": 3}, "recipe: expected null or a path, got 3"),
        ({"spices": "salt"}, "spices: expected a list, each a string, got 'salt'"),
        ({"spices": ["salt", 5]}, "spices.1: expected a string, got 5"),
        ({"shares": {"a": "b"}}, "shares.a: expected a number, got 'b'"),
        ({"warm": "yes"}, "warm: expected true or false, got 'yes'"),
        ({"oven": 1}, "oven: unknown; known: dish, minutes, loaves, recipe, spices, shares, warm"),
        ({"loaf": 1}, "loaf: unknown; known: dish, minutes, loaves, recipe, spices, shares, warm"),
        ({"dish": 1, "warm": 1}, "dish: expected bread or cake, got 1; warm: expected true or false, got 1"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options(**given)

    assert str(caught.value) == f"bake: {sentence}"


def test_a_missing_option_is_named() -> None:
    with pytest.raises(ConfigError, match="bake: dish: expected bread or cake, got nothing"):
        read_options(bake, {}, where="bake")


def test_options_are_frozen() -> None:
    read = read_options(bake, {"dish": "cake"}, where="bake")

    with pytest.raises(ValidationError, match="frozen"):
        read.loaves = 3  # type: ignore[attr-defined]


def test_meanings_come_from_the_docstring() -> None:
    fields = options_model(bake).model_fields

    assert {name: field.description for name, field in fields.items()} == {
        "dish": "what comes out.", "minutes": "how long, and how many.", "loaves": "how long, and how many.",
        "recipe": None, "spices": "see `store`: all of them.", "shares": None, "warm": None,
    }  # fmt: skip


def test_an_option_without_a_type_is_refused() -> None:
    def careless(*, anything=1): ...  # type: ignore[no-untyped-def]

    with pytest.raises(TypeError, match="anything: expected an annotation"):
        options_model(careless)


def test_there_are_operators() -> None:
    assert len(NAMES) > 8
    assert {"deidentify.cover", "detect.cascade", "keep", "track"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_an_operator_has_a_type_a_meaning_and_a_default_of_that_type(name: str) -> None:
    operator = find(name)
    named = [p for p in inspect.signature(operator).parameters.values() if p.kind is p.KEYWORD_ONLY]

    model = options_model(operator)
    schema = model.model_json_schema()
    defaults = {p.name: p.default for p in named if p.default is not p.empty}

    assert list(model.model_fields) == [p.name for p in named]
    assert all(option.get("description") for option in schema["properties"].values())
    given = defaults | {name: [] for name in ("boxes", "photos") if name in schema.get("required", ())}
    assert dict(model.model_validate(given)) == given


@pytest.mark.parametrize("name", NAMES)
def test_no_option_of_an_operator_takes_text_for_a_number(name: str) -> None:
    schema = options_model(find(name)).model_json_schema()["properties"]
    numbers = [option for option, known in schema.items() if known.get("type") in ("number", "integer")]

    for option in numbers:
        with pytest.raises(ConfigError, match=rf"{option}: expected an? (number|integer).*, got '1'"):
            read_options(find(name), {option: "1"}, where=name)


@pytest.mark.parametrize(
    ("name", "option", "value", "words"),
    [
        ("deidentify.cover", "style", "blurr", "blur, mosaic, solid or image"),
        ("deidentify.cover", "shape", "circle", "ellipse or box"),
        ("deidentify.cover", "scale", 0.9, "a number from 1 to 4"),
        ("deidentify.cover", "feather", -0.1, "a number from 0 to 1"),
        ("deidentify.cover", "cells", 17, "an integer from 1 to 16"),
        ("deidentify.cover", "cells", 2.5, "an integer from 1 to 16"),
        ("deidentify.cover", "color", [0, 0], "a list of 3, each an integer from 0 to 255"),
        ("deidentify.cover", "image", 5, "null or a string"),
        ("detect.blazeface", "threshold", 1.5, "a number from 0 to 1"),
        ("detect.cascade", "threshold", 0, "a number above 0 and below 1"),
        ("detect.cascade", "max_px", 640.5, "an integer of at least 32"),
        ("detect.cascade", "max_px", 16, "an integer of at least 32"),
        ("detect.cascade", "refresh_ms", -1, "a number of at least 0"),
        ("detect.cascade", "pace_ms", math.inf, "a number of at least 0"),
        ("detect.cascade", "sure", 1.5, "a number from 0 to 1"),
        ("detect.cascade", "turned", 1, "true or false"),
        ("detect.centerface", "threshold", 1, "a number above 0 and below 1"),
        ("detect.centerface", "batch", 0, "an integer of at least 1"),
        ("detect.centerface", "min_px", 31, "an integer of at least 32"),
        ("detect.yunet", "px", 16, "an integer of at least 32"),
        ("detect.yunet", "nms", 2, "a number from 0 to 1"),
        ("landmarks.mediapipe", "margin", -0.5, "a number of at least 0"),
        ("track", "hold_ms", "500", "a number of at least 0"),
        ("track", "hold_ms", math.inf, "a number of at least 0"),
        ("track", "match_distance", math.nan, "a number of at least 0"),
        ("track", "high", 2, "a number from 0 to 1"),
        ("track", "match_iou", -0.1, "a number from 0 to 1"),
        ("deepfake.acmf", "stride", 0, "an integer of at least 1"),
        ("deepfake.acmf", "max_yaw", 200, "a number from 0 to 180"),
        ("deepfake.acmf", "limits", [1], "null or a mapping, each value a number"),
        ("deepfake.gazeforensics", "centre", 0, "null or a number above 0 and at most 1"),
        ("deepfake.gazeforensics", "margin", 110, "a number above 0.5 and at most 3"),
    ],
)
def test_ranges(name: str, option: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_options(find(name), {option: value}, where=name)

    assert str(caught.value) == f"{name}: {option}: expected {words}, got {value!r}"


@pytest.mark.parametrize(
    ("option", "value"), [("confirm", 0), ("distance", 45), ("distance", 0), ("min_px", -1), ("retry", 1.5)]
)
def test_no_option_of_the_keep_list_shows_everybody(option: str, value: object) -> None:
    """With no comparison to confirm, or any distance, every face would be kept."""
    with pytest.raises(ConfigError, match=f"keep: {option}: expected"):
        read_options(find("keep"), {"photos": [], option: value}, where="keep")


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        ([0.5, 0.1, 0.5, 0.9], "boxes.0: expected x1 y1 x2 y2 with x1 < x2 and y1 < y2, got [0.5, 0.1, 0.5, 0.9]"),
        ([0.1, 0.9, 0.5, 0.1], "boxes.0: expected x1 y1 x2 y2 with x1 < x2 and y1 < y2, got [0.1, 0.9, 0.5, 0.1]"),
        ([0, 0, 1.5, 1], "boxes.0.2: expected a number from 0 to 1, got 1.5"),
        ([0, 0, 1], "boxes.0: expected a list of 4, each a number from 0 to 1, got [0, 0, 1]"),
        ("0 0 1 1", "boxes.0: expected a list of 4, each a number from 0 to 1, got '0 0 1 1'"),
    ],
)
def test_zones_have_an_area_within_the_picture(box: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_options(find("detect.zones"), {"boxes": [box]}, where="detect.zones")

    assert str(caught.value) == f"detect.zones: {sentence}"
