"""What a setting must hold, and how it did: service levels, and the recall of faces that are known to be there."""

from __future__ import annotations

import csv
import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engines import ConfigError
from operators.arrays import Array
from operators.boxes import area, intersection
from pipeline.live.dry_run import PacketClip
from pipeline.tuning.knobs import Setting

COVERED = 0.8
"""A face is found if so much of its box lies in one cover."""
SIGHTING_FRAMES = 25
"""A face that is there for so many frames in a row is one sighting: its frames are found, or missed, together."""
SURE = 1.645
"""Normal quantile of the lower bound of a recall: one in twenty true recalls lies below it."""
COLUMNS = ("file", "frame", "xmin", "ymin", "xmax", "ymax")
Truth = Mapping[str, Mapping[int, Array]]
"""By clip, then by frame: boxes `(n, 4)` of the faces that are there, px."""


@dataclass(frozen=True, slots=True)
class Slo:
    """What a setting must hold.

    Attributes:
        recall: of the faces that are there, at least this share is covered, 0..1, and that beyond doubt: by the lower
            bound of what was measured. NaN is as the config has it.
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

        >>> Slo.parse(["recall=0.98,latency_ms=300"]).asked
        {'recall': 0.98, 'latency_ms': 300.0}
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
        recall, low: the share of them that is covered, and the lower bound that the clips allow to conclude on.
        failed: frames that came out covered whole, or not at all: such a setting is no good whatever it costs.
    """

    setting: Setting
    words: str
    frames: int
    faces: int
    recall: float
    low: float
    cpu_ms: float
    latency_ms: float
    fps: float
    failed: int

    def misses(self, slo: Slo) -> dict[str, float]:
        """By how much it falls short, as a fraction of what was asked for; empty if it holds everything.

        >>> score = Score((), "", frames=100, faces=50, recall=0.9, low=0.8, cpu_ms=5, latency_ms=300, fps=30, failed=0)
        >>> score.misses(Slo(latency_ms=200, fps=25))
        {'latency_ms': 0.5}
        """
        short = {
            "recall": 1 - self.low / slo.recall,
            "latency_ms": self.latency_ms / slo.latency_ms - 1,
            "fps": 1 - self.fps / slo.fps if slo.fps else 0.0,
            "cpu_ms": self.cpu_ms / slo.cpu_ms - 1,
            "failed frames": float(self.failed),
        }
        return {name: fraction for name, fraction in short.items() if fraction > 0}


def read_truth(path: Path, clips: Sequence[PacketClip]) -> Truth:
    """Labelled faces: one line for each, with the clip's file name, the frame's index and its box in pixels.

    Raises:
        ConfigError: it cannot be read, or names no frame of these clips.
    """
    found: dict[str, defaultdict[int, list[list[float]]]] = {clip.name: defaultdict(list) for clip in clips}
    last = {clip.name: len(clip.packets) for clip in clips}
    try:
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                name, index = Path(line["file"]).name, int(line["frame"])
                if index < last.get(name, 0):
                    found[name][index].append([float(line[side]) for side in COLUMNS[2:]])
    except (OSError, UnicodeDecodeError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: expected a CSV with {', '.join(COLUMNS)}; {error}") from error
    if not any(found.values()):
        raise ConfigError(f"{path}: no line is about the frames of {', '.join(found)}")
    boxes: dict[str, dict[int, Array]] = {
        name: {index: np.array(rows) for index, rows in by_frame.items()} for name, by_frame in found.items()
    }
    return boxes


class FacesFound(NamedTuple):
    """The faces of a truth that are covered.

    Attributes:
        share: of them, 0..1; not a number where there are none.
        low: its lower bound, from how many sightings there were.
        faces: how many there are, in all frames.
        sightings: how many of them say something of their own; see SIGHTING_FRAMES.
    """

    share: float
    low: float
    faces: int
    sightings: int


def recall(truth: Truth, covers: Truth) -> FacesFound:
    """Which share of the faces is covered, and how sure that is.

    >>> truth = {"walk.mp4": {0: np.array([[0, 0, 10, 10], [20, 0, 30, 10]])}}
    >>> found = recall(truth, {"walk.mp4": {0: np.array([[0, 0, 12, 12]])}})
    >>> found.share, round(found.low, 2), found.faces, found.sightings
    (0.5, 0.12, 2, 2)
    """
    covered = faces = sightings = 0
    for clip, by_frame in truth.items():
        at_once: defaultdict[int, int] = defaultdict(int)
        for index, boxes in by_frame.items():
            covered += int(_covered(boxes, covers[clip].get(index, np.zeros((0, 4)))).sum())
            faces += len(boxes)
            block = index // SIGHTING_FRAMES
            at_once[block] = max(at_once[block], len(boxes))
        sightings += sum(at_once.values())
    share = covered / faces if faces else math.nan
    return FacesFound(share, lower_bound(share, sightings), faces, sightings)


def lower_bound(share: float, sightings: int) -> float:
    """Wilson's lower bound of a share, at 95 % on one side.

    >>> round(lower_bound(1.0, 7), 2), round(lower_bound(1.0, 180), 3), round(lower_bound(0.5, 100), 2)
    (0.72, 0.985, 0.42)
    """
    if not sightings:
        return math.nan
    part = SURE**2 / sightings
    around = SURE * math.sqrt(share * (1 - share) / sightings + part / 4 / sightings)
    return (share + part / 2 - around) / (1 + part)


def sightings_wanted(share: float) -> int:
    """Of how many sightings all have to be found for a lower bound of that share.

    >>> sightings_wanted(0.97), sightings_wanted(0.5)
    (88, 3)
    """
    return math.ceil(SURE**2 * share / (1 - share)) if share < 1 else sys.maxsize


def _covered(boxes: Array, covers: Array) -> Array:
    """Which of the boxes `(n, 4)` lie in one of the covers `(m, 4)` well enough: `(n,)` bool."""
    return np.asarray(intersection(boxes, covers).max(axis=1, initial=0) >= COVERED * area(boxes))
