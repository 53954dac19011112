"""What may be turned in a config, and how far."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from engines.section import Section
from operators import find
from operators.options import options_model, read_options
from pipeline.config import Config

SIDES_PX = (1920, 1600, 1280, 960, 640, 480, 320)
COUNTS = (1, 2, 4, 8)
VALUES: Mapping[str, tuple[float, ...]] = {
    **dict.fromkeys(("px", "max_px"), SIDES_PX),
    **dict.fromkeys(("batch", "threads"), COUNTS),
}
"""What the options and fields of these names are turned to, from the most thorough, or the simplest, on."""
PACING = frozenset({"batch", "threads"})
"""Of these the names that change what the faces cost, not which are found."""


@dataclass(frozen=True, slots=True)
class Knob:
    """Something in a config that may be turned.

    Attributes:
        section: the operator, or the section of the config, that it belongs to.
        option: its name there.
        values: from the most thorough, or the simplest, on; the config's own is among them.
        own: position of the config's own value.
        step: which of the steps, None for another section.
    """

    section: str
    option: str
    values: tuple[float, ...]
    own: int
    step: int | None = None


Setting = tuple[int, ...]
"""For each knob the position of its value."""


def knobs(config: Config, *, longest_px: int) -> list[Knob]:
    """What may be turned in this config: options of its steps, and fields of its sections, named as in `VALUES`.

    Args:
        longest_px: the longest side in the clips; pictures are not enlarged beyond it.

    >>> config = Config.model_validate({"steps": [{"use": "detect.yunet", "options": {"px": 640}}]})
    >>> {knob.option: knob.values for knob in knobs(config, longest_px=1280)}
    {'px': (1280, 960, 640, 480, 320)}
    """
    found = []
    for step, section, options in _sections(config):
        for name, own in options:
            if name not in VALUES or not isinstance(own, int | float):
                continue
            below = [value for value in VALUES[name] if value <= _limit(name, longest_px)]
            values = {value for value in below if _allowed(options, name, value)} | {own}
            ordered = tuple(sorted(values, reverse=VALUES[name] is SIDES_PX))
            found.append(Knob(section, name, ordered, ordered.index(own), step))
    return found


def _sections(config: Config) -> Iterator[tuple[int | None, str, Section]]:
    for number, step in enumerate(config.steps):
        yield number, step.use, read_options(find(step.use), step.options, where=step.use)
    for name, section in config:
        if isinstance(section, Section):
            yield None, name, section


def _allowed(section: Section, name: str, value: float) -> bool:
    """Whether the option's type takes it."""
    try:
        type(section).model_validate({**dict(section), name: value})
    except ValidationError:
        return False
    return True


def _limit(name: str, longest_px: int) -> float:
    if VALUES[name] is SIDES_PX:
        return longest_px
    return os.cpu_count() or 1 if name == "threads" else math.inf


def turned(config: Config, found: Sequence[Knob], setting: Setting) -> Config:
    """The config with the knobs turned; those at the config's own value are left as they are.

    >>> config = Config.model_validate({"steps": [{"use": "detect.yunet"}]})
    >>> turned(config, [Knob("detect.yunet", "px", (1280, 640), own=0, step=0)], (1,)).steps[0].options
    {'px': 640}
    """
    data = config.model_dump(exclude_unset=True)
    for knob, position in zip(found, setting, strict=True):
        if position == knob.own:
            continue
        value = knob.values[position]
        if knob.step is None:
            data.setdefault(knob.section, {})[knob.option] = value
            continue
        options = data["steps"][knob.step].setdefault("options", {})
        options[knob.option] = value
        # A lower limit of the resolution must not stand above the upper one.
        limit = options_model(find(config.steps[knob.step].use)).model_fields.get("min_px")
        if knob.option == "max_px" and limit is not None and options.get("min_px", limit.default) > value:
            options["min_px"] = value
    return Config.model_validate(data)


def thorough(found: Sequence[Knob]) -> Setting:
    """The setting whose faces are taken for the truth: everything that changes faces at its first value.

    >>> side, batch = Knob("finder", "max_px", (1280, 640, 320), own=1), Knob("engines", "batch", (1, 2, 4), own=2)
    >>> thorough([side, batch])
    (0, 2)
    """
    return tuple(knob.own if knob.option in PACING else 0 for knob in found)


def neighbours(found: Sequence[Knob], setting: Setting) -> list[Setting]:
    """All settings that differ in one knob, by one value up or down.

    >>> neighbours([Knob("finder", "max_px", (1280, 640, 320), own=1)], (1,))
    [(0,), (2,)]
    """
    return [
        (*setting[:number], position, *setting[number + 1 :])
        for number, knob in enumerate(found)
        for position in (setting[number] - 1, setting[number] + 1)
        if 0 <= position < len(knob.values)
    ]
