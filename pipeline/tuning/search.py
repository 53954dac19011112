"""Finds the cheapest setting of a config that still finds the faces.

The search begins at the config as it is and goes to the best of its neighbours, which differ from it in one knob by one
value, until none is better. It looks at a few dozen settings where a grid would have hundreds, and each is tried on all
frames: few of them would not show whether rare faces are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from engines import ConfigError
from pipeline.config import Config
from pipeline.live.dry_run import Trial
from pipeline.tuning.goals import SIGHTING_FRAMES, Score, Slo, Truth, lower_bound, recall, sightings_wanted
from pipeline.tuning.knobs import PACING, VALUES, Knob, Setting, neighbours, thorough, turned

WORTH = 0.03
"""A neighbour is better if it saves at least this fraction: less is noise."""
TOLERANCE = 0.01
"""By so much may the recall fall where nobody asked for one."""
Attempt = Callable[[Config, str], Mapping[str, Trial]]


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
        self._sightings = 0

    def search(self) -> Score:
        """The cheapest that holds everything, or else the nearest.

        Raises:
            ConfigError: nothing can be turned; there is no face in the clips; or a recall was asked for, and they are
                too short to show it, or so easy that they tell no settings apart.
        """
        if not self.knobs:
            raise ConfigError(f"steps: expected an option or field named {', '.join(VALUES)}; there is nothing to turn")
        self._look_thoroughly()
        if not math.isnan(self.slo.recall):
            self._refuse_easy()
        best = self._evaluate(tuple(knob.own for knob in self.knobs))
        if math.isnan(self.slo.recall):
            kept = lower_bound(max(best.recall - TOLERANCE, TOLERANCE), self._sightings)
            self.slo = replace(self.slo, recall=kept)
        while True:
            around = [self._evaluate(setting) for setting in neighbours(self.knobs, best.setting)]
            # Where no step helps, the thorough setting, which was tried first, may still hold everything.
            nearest = min([best, *around, self.truest], key=self._rank)
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
        (short, cost), (other_short, other_cost) = self._rank(one), self._rank(other)
        return short < other_short or (short == other_short and cost < (1 - WORTH) * other_cost)

    def _look_thoroughly(self) -> None:
        setting = thorough(self.knobs)
        trials = self._try(setting)
        if self._truth is None:
            self._truth = {name: trial.faces for name, trial in trials.items()}
        score = self._score(setting, trials)
        if not score.faces:
            raise ConfigError(f"{', '.join(self._truth)}: no face in these clips; give some with faces to tune for")
        if not math.isnan(self.slo.recall):
            self._refuse_short()
        self.scores[setting] = score

    def _refuse_short(self) -> None:
        sightings, asked = self._sightings, self.slo.recall
        if lower_bound(1.0, sightings) < asked:
            wanted = f"give clips, and --frames, with at least {sightings_wanted(asked)}"
            wanted = wanted if asked < 1 else "ask for less than 1, which no clips can show"
            raise ConfigError(
                f"--slo recall={asked:g}: these clips are too short to show it: with {sightings} sightings (a face in "
                f"{SIGHTING_FRAMES} frames is one), all covered, the recall is known to be above "
                f"{lower_bound(1.0, sightings):.2f} only; {wanted}"
            )

    def _refuse_easy(self) -> None:
        if all(knob.option in PACING or len(knob.values) == 1 for knob in self.knobs):
            return
        blindest = tuple(knob.own if knob.option in PACING else len(knob.values) - 1 for knob in self.knobs)
        score = self._evaluate(blindest)
        if score.low >= self.slo.recall and not score.failed:
            raise ConfigError(
                f"--slo recall={self.slo.recall:g}: these clips are too easy to choose by: even {score.words} covers "
                f"{score.recall:.1%} of their faces; give some with smaller, turned or hidden faces, and people "
                f"who come and go, or ask for no recall"
            )

    def _evaluate(self, setting: Setting) -> Score:
        """Tries a setting once; what an operator does not take is infinitely bad."""
        if setting not in self.scores:
            try:
                self.scores[setting] = self._score(setting, self._try(setting))
            except ConfigError:
                self.scores[setting] = Score(setting, self._words(setting), 0, 0, 0.0, 0.0, math.inf, math.inf, 0.0, 1)
        return self.scores[setting]

    def _try(self, setting: Setting) -> Mapping[str, Trial]:
        return self._attempt(turned(self._config, self.knobs, setting), self._words(setting))

    def _score(self, setting: Setting, trials: Mapping[str, Trial]) -> Score:
        found = recall(self._truth or {}, {name: trial.covers for name, trial in trials.items()})
        self._sightings = found.sightings  # the same for all settings
        shown = sum(trial.shown for trial in trials.values())
        busy = np.concatenate([trial.busy_ms for trial in trials.values()])
        return Score(
            setting,
            self._words(setting),
            shown,
            found.faces,
            found.share,
            found.low,
            sum(trial.cpu_ms * trial.shown for trial in trials.values()) / max(1, shown),
            self._wait_ms + float(np.percentile(busy, 99)),
            1000 / float(busy.mean()),
            sum(trial.failed for trial in trials.values()),
        )

    def _words(self, setting: Setting) -> str:
        pairs = zip(self.knobs, setting, strict=True)
        return " ".join(f"{knob.option}={knob.values[position]:g}" for knob, position in pairs)
