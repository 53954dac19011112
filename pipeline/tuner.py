"""Finds the cheapest setting of a config that still finds the faces: what may be turned, how far, and the search.

The search begins at the config as it is and goes to the best of its neighbours, which differ from it in one knob by one
value, until none is better. It looks at a few dozen settings where a grid would have hundreds, and each is tried on all
frames: whether a slow period keeps the faces, a few frames cannot tell.
"""

from __future__ import annotations

import inspect
import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engines import ConfigError
from operators import find
from operators.boxes import area, intersection
from operators.frame import Array
from pipeline.config import Config
from pipeline.live.dry_run import Trial

SIDES_PX = (1920, 1600, 1280, 960, 640, 480, 320)
COUNTS = (1, 2, 4, 8)
VALUES: Mapping[str, tuple[float, ...]] = {
    "every": (1, 2, 3, 5, 8, 13),
    "quick_ms": (0, 100, 200, 333, 500),
    "thorough_ms": (0, 500, 1000, 2500, 5000, 10000),
    **dict.fromkeys(("px", "max_px", "quick_px"), SIDES_PX),
    **dict.fromkeys(("batch", "threads"), COUNTS),
}
"""What the options and fields of these names are turned to, from the most thorough, or the simplest, on."""
PACING = frozenset({"batch", "threads"})
"""Of these the names that change what the faces cost, not which are found."""
WORTH = 0.03
"""A neighbour is better if it saves at least this fraction: less is noise."""
TOLERANCE = 0.01
"""By so much may the recall fall where nobody asked for one."""
COVERED = 0.8
"""A face is found if so much of its box lies in one cover."""

Truth = Mapping[str, Mapping[int, Array]]
"""By clip, then by frame: boxes `(n, 4)` of the faces that are there, px."""


Attempt = Callable[[Config, str], Mapping[str, Trial]]


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


@dataclass(frozen=True, slots=True)
class Slo:
    """What a setting must hold.

    Attributes:
        recall: of the faces that are there, at least this share is covered, 0..1; NaN is as the config has it.
        latency_ms: a frame's wait in the look-ahead plus the work on it, in 99 of 100 frames at most.
        fps: so many frames per second does one worker get done at least.
        cpu_ms: CPU time per frame at most.
    """

    recall: float = math.nan
    latency_ms: float = math.inf
    fps: float = 0.0
    cpu_ms: float = math.inf

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Slo:
        """Of texts such as `recall=0.98,latency_ms=300`.

        Raises:
            ConfigError: one is not a known name, an equals sign and a number in its range.
        """
        values: dict[str, float] = {}
        for text in itertools.chain.from_iterable(text.split(",") for text in texts):
            name, _, number = text.partition("=")
            known = tuple(cls.__dataclass_fields__)
            try:
                values[name.strip()] = float(number)
            except ValueError:
                raise ConfigError(f"--slo {text}: expected NAME=NUMBER with one of {', '.join(known)}") from None
            if name.strip() not in known:
                raise ConfigError(f"--slo {text}: expected one of {', '.join(known)}")
            if not 0 < values[name.strip()] <= (1 if name.strip() == "recall" else math.inf):
                raise ConfigError(f"--slo {text}: expected a number above 0, for recall at most 1")
        return cls(**values)

    @property
    def asked(self) -> dict[str, float]:
        """What was asked for, without what was not."""
        given = {name: float(getattr(self, name)) for name in self.__dataclass_fields__}
        return {name: value for name, value in given.items() if math.isfinite(value) and value > 0}


@dataclass(frozen=True, slots=True)
class Score:
    """How a setting did on all clips.

    Attributes:
        words: the setting, for people.
        faces: how many the truth knew.
        failed: frames that came out covered whole, or not at all: such a setting is no good whatever it costs.
    """

    setting: Setting
    words: str
    frames: int
    faces: int
    recall: float
    cpu_ms: float
    latency_ms: float
    fps: float
    failed: int

    def misses(self, slo: Slo) -> dict[str, float]:
        """By how much it stays behind, as a fraction of what was asked for; empty if it holds everything."""
        behind = {
            "recall": 1 - self.recall / slo.recall,
            "latency_ms": self.latency_ms / slo.latency_ms - 1,
            "fps": 1 - self.fps / slo.fps if slo.fps else 0.0,
            "cpu_ms": self.cpu_ms / slo.cpu_ms - 1,
            "failed frames": float(self.failed),
        }
        return {name: fraction for name, fraction in behind.items() if fraction > 0}


def knobs(config: Config, *, longest_px: int) -> list[Knob]:
    """What may be turned in this config: options of its steps, and fields of its sections, named as in `VALUES`.

    Args:
        longest_px: the longest side in the clips; pictures are not enlarged beyond it.
    """
    found = []
    for step, section, options in _sections(config):
        for name, own in options.items():
            if name not in VALUES or not isinstance(own, int | float):
                continue
            values = {value for value in VALUES[name] if value <= _limit(name, longest_px)} | {own}
            ordered = tuple(sorted(values, reverse=VALUES[name] is SIDES_PX))
            found.append(Knob(section, name, ordered, ordered.index(own), step))
    return found


def _sections(config: Config) -> Iterator[tuple[int | None, str, dict[str, Any]]]:
    for number, step in enumerate(config.steps):
        known = inspect.signature(find(step.use)).parameters.values()
        yield number, step.use, {p.name: p.default for p in known if p.kind is p.KEYWORD_ONLY} | step.options
    for name, section in config.model_dump().items():
        if isinstance(section, dict):
            yield None, name, section


def _limit(name: str, longest_px: int) -> float:
    if VALUES[name] is SIDES_PX:
        return longest_px
    return os.cpu_count() or 1 if name == "threads" else math.inf


def turned(config: Config, found: Sequence[Knob], setting: Setting) -> Config:
    """The config with the knobs turned; those at the config's own value are left as they are."""
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
        limit = inspect.signature(find(config.steps[knob.step].use)).parameters.get("min_px")
        if knob.option == "max_px" and limit is not None and options.get("min_px", limit.default) > value:
            options["min_px"] = value
    return Config.model_validate(data)


def thorough(found: Sequence[Knob]) -> Setting:
    """The setting whose faces are taken for the truth: everything that changes faces at its first value."""
    return tuple(knob.own if knob.option in PACING else 0 for knob in found)


def neighbours(found: Sequence[Knob], setting: Setting) -> list[Setting]:
    """All settings that differ in one knob, by one value up or down."""
    return [
        (*setting[:number], position, *setting[number + 1 :])
        for number, knob in enumerate(found)
        for position in (setting[number] - 1, setting[number] + 1)
        if 0 <= position < len(knob.values)
    ]


def recall(truth: Truth, covers: Truth) -> tuple[float, int]:
    """The share of the faces that is covered, and how many there are; not a number where there are none."""
    covered = faces = 0
    for clip, by_frame in truth.items():
        for index, boxes in by_frame.items():
            covered += int(_covered(boxes, covers[clip].get(index, np.zeros((0, 4)))).sum())
            faces += len(boxes)
    return covered / faces if faces else math.nan, faces


def _covered(boxes: Array, covers: Array) -> Array:
    """Which of the boxes `(n, 4)` lie in one of the covers `(m, 4)` well enough: `(n,)` bool."""
    return np.asarray(intersection(boxes, covers).max(axis=1, initial=0) >= COVERED * area(boxes))


class Tuner:
    """The search over one config.

    Args:
        found: what may be turned in it.
        attempt: tries a config, which it is given with words for people, on all clips: a trial for each by its name.
        wait_ms: how long a frame waits in the look-ahead.
        truth: the faces that are there; without it, those that the most thorough setting finds.

    Attributes:
        slo: what must hold; after `search` with the recall that was to be kept, where none was asked for.
        scores: of all that was tried.
    """

    def __init__(
        self,
        config: Config,
        found: Sequence[Knob],
        attempt: Attempt,
        slo: Slo,
        *,
        wait_ms: float = 0.0,
        truth: Truth | None = None,
    ) -> None:
        self.slo = slo
        self.scores: dict[Setting, Score] = {}
        self.knobs = list(found)
        self._config, self._attempt, self._wait_ms, self._truth = config, attempt, wait_ms, truth

    def search(self) -> Score:
        """The cheapest that holds everything, or else the nearest.

        Raises:
            ConfigError: nothing can be turned, or there is no face in the clips.
        """
        if not self.knobs:
            raise ConfigError(f"steps: expected an option or field named {', '.join(VALUES)}; there is nothing to turn")
        self._look_thoroughly()
        best = self._evaluate(tuple(knob.own for knob in self.knobs))
        if math.isnan(self.slo.recall):
            self.slo = replace(self.slo, recall=max(best.recall - TOLERANCE, TOLERANCE))
        while True:
            around = [self._evaluate(setting) for setting in neighbours(self.knobs, best.setting)]
            nearest = min([best, *around], key=self._rank)
            if not self._better(nearest, best):
                return best
            best = nearest

    def ranked(self) -> list[Score]:
        """All that was tried: what holds everything first, cheapest first; then the others, nearest first."""
        return sorted(self.scores.values(), key=self._rank)

    @property
    def before(self) -> Score:
        """The config as it is."""
        return self.scores[tuple(knob.own for knob in self.knobs)]

    @property
    def truest(self) -> Score:
        """The most thorough setting."""
        return self.scores[thorough(self.knobs)]

    def _rank(self, score: Score) -> tuple[float, float]:
        return sum(score.misses(self.slo).values()), score.cpu_ms

    def _better(self, one: Score, other: Score) -> bool:
        (behind, cost), (other_behind, other_cost) = self._rank(one), self._rank(other)
        return behind < other_behind or (behind == other_behind and cost < (1 - WORTH) * other_cost)

    def _look_thoroughly(self) -> None:
        setting = thorough(self.knobs)
        trials = self._try(setting)
        if self._truth is None:
            self._truth = {name: trial.faces for name, trial in trials.items()}
        score = self._score(setting, trials)
        if not score.faces:
            raise ConfigError(f"{', '.join(self._truth)}: no face in these clips; give some with faces to tune for")
        self.scores[setting] = score

    def _evaluate(self, setting: Setting) -> Score:
        """Tries a setting once; what an operator does not take is infinitely bad."""
        if setting not in self.scores:
            try:
                self.scores[setting] = self._score(setting, self._try(setting))
            except ConfigError:
                self.scores[setting] = Score(setting, self._words(setting), 0, 0, 0.0, math.inf, math.inf, 0.0, 1)
        return self.scores[setting]

    def _try(self, setting: Setting) -> Mapping[str, Trial]:
        return self._attempt(turned(self._config, self.knobs, setting), self._words(setting))

    def _score(self, setting: Setting, trials: Mapping[str, Trial]) -> Score:
        found, faces = recall(self._truth or {}, {name: trial.covers for name, trial in trials.items()})
        shown = sum(trial.shown for trial in trials.values())
        busy = np.concatenate([trial.busy_ms for trial in trials.values()])
        return Score(
            setting,
            self._words(setting),
            shown,
            faces,
            found,
            sum(trial.cpu_ms * trial.shown for trial in trials.values()) / max(1, shown),
            self._wait_ms + float(np.percentile(busy, 99)),
            1000 / float(busy.mean()),
            sum(trial.failed for trial in trials.values()),
        )

    def _words(self, setting: Setting) -> str:
        pairs = zip(self.knobs, setting, strict=True)
        return " ".join(f"{knob.option}={knob.values[position]:g}" for knob, position in pairs)
