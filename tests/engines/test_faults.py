"""What is wrong in a document is said in one sentence for each value: where, what was expected, what came."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError, field_validator

from engines.faults import expected, faults_of
from engines.section import Section

NUMBER = "expected a number above 0 and below 1"


class Point(Section):
    x: float
    y: float


class Sheet(Section):
    """One field of each kind that documents are made of."""

    number: Annotated[float, Field(gt=0, lt=1)] = 0.5
    count: int = Field(default=1, ge=1)
    choice: Literal["one", "two", "three"] = "one"
    flag: bool = False
    name: str | None = None
    point: Point | None = None
    points: dict[str, Point | float] = Field(default_factory=dict)
    pair: tuple[int, str] = (0, "")
    rows: list[Annotated[list[int], Field(min_length=2)]] = Field(default_factory=list)
    even: int = 0

    @field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"expected an even number, got {value}")
        return value


def faults(**values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Sheet.model_validate(values)
    return faults_of(caught.value, Sheet)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"number": 1}, f"number: {NUMBER}, got 1"),
        ({"number": "much"}, f"number: {NUMBER}, got 'much'"),
        ({"count": 0}, "count: expected an integer of at least 1, got 0"),
        ({"count": None}, "count: expected an integer of at least 1, got None"),
        ({"choice": "four"}, "choice: expected one, two or three, got 'four'"),
        ({"flag": 7}, "flag: expected true or false, got 7"),
        ({"name": 3}, "name: expected null or a string, got 3"),
        ({"point": {"x": 1}}, "point.y: expected a number, got nothing"),
        ({"point": {"x": 1, "y": 2, "z": 3}}, "point.z: unknown; known: x, y"),
        ({"points": {"a": "b"}}, "points.a: expected a mapping with x, y or a number, got 'b'"),
        ({"pair": ["x", "y"]}, "pair.0: expected an integer, got 'x'"),
        ({"pair": [1, 2]}, "pair.1: expected a string, got 2"),
        ({"rows": [[1, 2], [3]]}, "rows.1: expected a list of at least 2, each an integer, got [3]"),
        ({"rows": [[1, "x"]]}, "rows.0.1: expected an integer, got 'x'"),
        ({"even": 3}, "even: expected an even number, got 3"),
        ({"number": 1, "even": 3}, f"number: {NUMBER}, got 1; even: expected an even number, got 3"),
        ({"name": 3 * ["x" * 40]}, f"name: expected null or a string, got ['{'x' * 40}', '{'x' * 34}..."),
    ],
    ids=str,
)
def test_a_wrong_value_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    assert faults(**values) == sentence


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert faults(nmae="x").startswith("nmae: unknown; known: number, count, choice, flag, name, point")


def test_what_is_no_document_at_all_is_named_by_its_class() -> None:
    with pytest.raises(ValidationError) as caught:
        Point.model_validate_json("{")

    assert faults_of(caught.value, Point).startswith("point: Invalid JSON")


@given(low=st.integers(-9, 9), span=st.integers(0, 9), value=st.integers(-30, 30))
def test_what_is_refused_lies_outside_of_what_was_expected(low: int, span: int, value: int) -> None:
    kind = Annotated[int, Field(ge=low, le=low + span)]

    words = expected(TypeAdapter(kind).json_schema(), {})

    try:
        TypeAdapter(kind).validate_python(value)
        taken = True
    except ValidationError:
        taken = False
    assert words == f"an integer from {low} to {low + span}"
    assert taken == (low <= value <= low + span)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Path, "a path"),
        (Mapping[str, int], "a mapping, each value an integer"),
        (Annotated[float, Field(gt=0.5, le=3)], "a number above 0.5 and at most 3"),
        (Annotated[float, Field(ge=0, lt=1)], "a number of at least 0 and below 1"),
        (Annotated[int, Field(le=5)], "an integer of at most 5"),
        (Annotated[str, Field(pattern="^a+$")], "a string that matches ^a+$"),
        (Literal["", "x"], "'' or x"),
        (Any, ""),
    ],
    ids=str,
)
def test_expectations(kind: Any, words: str) -> None:
    assert expected(TypeAdapter(kind).json_schema(), {}) == words
