"""Documents and configs: names that are not known are refused, values stay."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from engines.section import Section


class Paint(Section):
    colour: str
    layers: int = 1


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"layer\n.*Extra inputs are not permitted"):
        Paint.model_validate({"colour": "red", "layer": 2})


def test_values_stay() -> None:
    paint = Paint(colour="red")

    with pytest.raises(ValidationError, match="frozen"):
        paint.colour = "blue"  # type: ignore[misc]

    assert paint == Paint(colour="red", layers=1)
