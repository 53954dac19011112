"""Options as types: the keyword-only parameters of an operator, or of a recipe, are the schema of a config.

`hold_ms: Milliseconds = 500.0` in a signature is all it takes: the annotation holds type and range, the docstring's
`Args` the meaning. Python itself checks none of it; configs and command lines are checked by `read_options`.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError, create_model

from engines import ConfigError
from engines.faults import faults_of
from engines.section import Section

Milliseconds = Annotated[float, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
UnitInterval = Annotated[float, Field(ge=0, le=1)]
DetectionScore = Annotated[float, Field(gt=0, lt=1)]
"""The lowest score of a face: at 0 everything is one, at 1 nothing."""
CropMargin = Annotated[float, Field(gt=0.5, le=3)]
"""How much larger than a face its crop is."""

_ENTRY = re.compile(r" {4}(\w+(?:, \w+)*): (.*)")
"""The first line of what a docstring says about parameters."""


class OptionSection(Section):
    """Options of one callable. A value has the very type that is asked for; only a float may be an integer."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


@cache
def options_model(function: Callable[..., Any]) -> type[OptionSection]:
    """The model of the keyword-only parameters of a function, or of a class's constructor.

    Parameters typed `Path` also take text.

    Raises:
        TypeError: a parameter has no annotation.

    >>> def soften(*, cells: PositiveCount = 4) -> None: ...
    >>> options_model(soften).model_json_schema()["properties"]["cells"]["minimum"]
    1
    """
    hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    meaning = described(function)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        if name not in hints:
            raise TypeError(f"{function.__qualname__}: {name}: expected an annotation, by which values are checked")
        default = ... if parameter.default is parameter.empty else parameter.default
        strict = False if names_file(hints[name]) else None
        fields[name] = (hints[name], Field(default=default, strict=strict, description=meaning.get(name)))
    return create_model(function.__name__, __base__=OptionSection, **fields)


def read_options(function: Callable[..., Any], given: Mapping[str, Any], *, where: str) -> OptionSection:
    """The options of a callable, given ones and defaults.

    Args:
        where: what the options are of, for people.

    Raises:
        ConfigError: one is unknown, missing, or of a wrong type or value.

    >>> def soften(*, cells: PositiveCount = 4) -> None: ...
    >>> read_options(soften, {}, where="soften").cells
    4
    """
    model = options_model(function)
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise ConfigError(f"{where}: {faults_of(error, model)}") from error


def names_file(hint: Any) -> bool:
    """Whether values of this type are files.

    >>> names_file(Path | None), names_file(str)
    (True, False)
    """
    return Path in (hint, *typing.get_args(hint))


def described(function: Callable[..., Any]) -> dict[str, str]:
    """What the docstring says under `Args` about each parameter.

    >>> described(read_options)
    {'where': 'what the options are of, for people.'}
    """
    entries: dict[str, str] = {}
    names: list[str] = []
    for line in (inspect.getdoc(function) or "").partition("\nArgs:\n")[2].splitlines():
        if not line.startswith("    "):
            break
        entry = _ENTRY.match(line)
        names = entry[1].split(", ") if entry else names
        text = entry[2] if entry else line.strip()
        entries |= {name: f"{entries.get(name, '')} {text}".strip() for name in names}
    return entries
