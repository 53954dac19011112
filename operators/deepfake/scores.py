"""From scores of faces to what is said about a track and a video: calibrated, in careful words, or not at all.

The words follow what was measured. A detector whose held-out skill is weak gives at most a "weak indication", and its
two thresholds lie so far apart that most tracks fall between them; one that did no better than chance says nothing.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.card import Card, CardMetric, read_card
from operators import crops
from operators.deepfake.quality import BETWEEN, MEASURES, TOO_FEW, UNSKILLED, UsualRange, faults, measure
from operators.frame import Verdict

SURE = 1e-6
"""Probabilities are kept this far from 0 and 1, so that one frame cannot outweigh all others."""
FORGET_AFTER_FRAMES = 250
CALM = "no indication of a forgery"
CHANCE = 0.5
"""The AUC of who guesses."""


@dataclass(frozen=True)
class VerdictLimits:
    """What the card says about how far a detector can be trusted.

    Attributes:
        fake: from this probability on a track is called forged; on genuine faces it gives at most 5 % false alarms.
        real: down to this one it is called genuine.
        skill: the lower bound of its AUC on what it has not learned from; 0 where nobody has measured it.
        usual: the range of each of `quality.MEASURES` in the training data.
    """

    fake: float = 1.0
    real: float = 0.0
    skill: float = 0.0
    usual: Mapping[str, UsualRange] = field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Mapping[str, CardMetric | float]) -> Self:
        """From a card's metrics, by the names that `figures` gives.

        >>> VerdictLimits.of({"threshold_fake": 0.8, "auc": CardMetric(value=0.9, low=0.85, high=0.95)}).skill
        0.85
        """

        def number(name: str, default: float) -> float:
            value = metrics.get(name, default)
            found = value.low if isinstance(value, CardMetric) else float(value)
            return default if np.isnan(found) else found  # nobody could measure it

        usual = {
            name: (number(f"{name}_low", -np.inf), number(f"{name}_high", np.inf))
            for name in MEASURES
            if f"{name}_low" in metrics
        }
        return cls(number("threshold_fake", 1.0), number("threshold_real", 0.0), number("auc", 0.0), usual)

    def figures(self) -> dict[str, float]:
        """The same as numbers by name, as a card holds them; the skill is measured later, by `evaluate`.

        >>> VerdictLimits(fake=0.8, real=0.3, usual={"noise": (1.0, 4.0)}).figures()
        {'threshold_fake': 0.8, 'threshold_real': 0.3, 'noise_low': 1.0, 'noise_high': 4.0}
        """
        ends = {f"{name}_{end}": pair[i] for name, pair in self.usual.items() for i, end in enumerate(("low", "high"))}
        return {"threshold_fake": self.fake, "threshold_real": self.real, **ends}

    @property
    def skilled(self) -> bool:
        """Whether it may speak at all: not if it was measured to be no better than chance.

        >>> VerdictLimits(skill=0.8).skilled, VerdictLimits(skill=0.49).skilled
        (True, False)
        """
        return not 0 < self.skill <= CHANCE

    def judge(self, probability: float) -> tuple[str, str]:
        """The words for a calibrated probability, and why it is no verdict, one of them empty.

        >>> limits = VerdictLimits(fake=0.8, real=0.3, skill=0.85)
        >>> limits.judge(0.9), limits.judge(0.5)
        (('indication of a forgery', ''), ('', 'the score lies between the two thresholds'))
        """
        if not self.skilled:
            return "", UNSKILLED
        if probability >= self.fake:
            return f"{self._strength()} of a forgery", ""
        if probability <= self.real:
            return CALM, ""
        return "", BETWEEN

    def between(self, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Of which of `(n,)` nothing can be said; NaN is among them.

        >>> VerdictLimits(fake=0.8, real=0.3).between(np.array([0.1, 0.5, 0.9])).tolist()
        [False, True, False]
        """
        return ~((probabilities >= self.fake) | (probabilities <= self.real)) | (not self.skilled)

    def _strength(self) -> str:
        return "weak indication" if self.skill < 0.75 else "indication" if self.skill < 0.9 else "strong indication"


def thresholds(probabilities: NDArray[Any], labels: NDArray[Any], *, errors: float = 0.05) -> tuple[float, float]:
    """Where `fake` and `real` must lie for a fraction `errors` of genuine, and of forged, to be called wrongly.

    If the classes are so well apart that the two would cross, both lie where they meet.

    >>> thresholds(np.array([0.1, 0.2, 0.6, 0.4, 0.8, 0.9]), np.array([0, 0, 0, 1, 1, 1]), errors=0)
    (0.6, 0.4)
    """
    fake = float(np.quantile(probabilities[labels == 0], 1 - errors))
    real = float(np.quantile(probabilities[labels == 1], errors))
    return (fake, real) if real < fake else ((fake + real) / 2,) * 2


def card_of(engine: Any) -> Card | None:
    """The card next to an engine's file; None of a plain function.

    Raises:
        EngineError: there is a file without its card.
    """
    file = getattr(engine, "file", None)
    if not isinstance(file, Path):
        return None
    # A plan is called after the .onnx that it was built from, `<stem>.<key>.plan`, and lies next to it.
    return read_card(file.with_name(f"{file.stem.rpartition('.')[0]}.onnx") if file.suffix == ".plan" else file)


def known_to(engine: Any, limits: Mapping[str, float] | None = None) -> tuple[VerdictLimits, str]:
    """The limits of an engine and the name of its model: from its card, unless they are given."""
    card = card_of(engine)
    name = f"{card.name}@{card.sha256[:12]}" if card else "unnamed"
    return VerdictLimits.of(limits if limits is not None else card.metrics if card else {}), name


def unspoken(engine: Any, pixels: NDArray[np.uint8], size: int, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of which crops `(n, s, s, 3)` nothing is claimed, by an engine's card: for what they are like at the size at
    which they are looked at, or for what they score `(n,)`."""
    limits, _ = known_to(engine)
    found = [faults(measure(batch), limits.usual) for batch in crops.batches(pixels, size)]
    return np.array([bool(fault) for batch in found for fault in batch], bool) | limits.between(scores)


@dataclass(slots=True)
class TrackScore:
    """What is known of one track.

    Attributes:
        judged: how many frames, or clips, were scored.
        evidence: sum of the log odds of all of them, or of the last ones, if those alone count.
        recent: the last log odds, oldest first, if those alone count.
        met_at: index of the last frame that had it.
        told_at: how many were scored when something was last said about it.
        silent: how often each reason kept the detector silent.
    """

    judged: int = 0
    evidence: float = 0.0
    recent: list[float] = field(default_factory=list)
    met_at: int = 0
    told_at: int = 0
    silent: dict[str, int] = field(default_factory=dict)

    def add(self, probability: float, fault: str, index: int, latest: int) -> None:
        self.met_at = index
        if fault:
            self.silent[fault] = self.silent.get(fault, 0) + 1
        elif not np.isnan(probability):
            p = min(max(probability, SURE), 1 - SURE)
            odds = float(np.log(p / (1 - p)))
            self.judged += 1
            if latest:
                self.recent = [*self.recent, odds][-latest:]
                self.evidence = sum(self.recent)
            else:
                self.evidence += odds

    @property
    def probability(self) -> float:
        """Of the mean log odds: frames of a track are too much alike to count as independent.

        >>> track = TrackScore()
        >>> for index, score in enumerate((0.8, 0.8, 0.2, 0.2)):
        ...     track.add(score, "", index, latest=0)
        >>> round(track.probability, 3)
        0.5
        """
        count = len(self.recent) or self.judged
        return float(1 / (1 + np.exp(-self.evidence / count))) if count else float("nan")


class Standings:
    """All tracks of all streams.

    Args:
        model: named in every verdict.
        limits: of the detector.
        least: how many frames, or clips, must have been scored before a track is spoken of.
        latest: only so many of the last scores count; 0 counts all.
    """

    def __init__(self, model: str, limits: VerdictLimits, *, least: int, latest: int = 0) -> None:
        self._model, self._limits, self._least, self._latest = model, limits, least, latest
        self._streams: defaultdict[str, dict[int, TrackScore]] = defaultdict(dict)
        self._worst: dict[str, Verdict] = {}  # of the tracks of a stream that have ended

    def add(self, stream: str, track: int, index: int, probability: float, fault: str) -> None:
        if track >= 0:
            self._streams[stream].setdefault(track, TrackScore()).add(probability, fault, index, self._latest)

    def due(self, stream: str, index: int, every: int) -> tuple[Verdict, ...]:
        """Verdicts on tracks with `every` new scores since the last one, and on those that have ended with any.

        Tracks long gone are forgotten, but for the most suspicious of them.
        """
        tracks = self._streams[stream]
        gone = [track for track, known in tracks.items() if known.met_at < index - FORGET_AFTER_FRAMES]
        due = [
            track for track, known in tracks.items() if known.judged - known.told_at >= (1 if track in gone else every)
        ]
        said = {track: self.verdict(stream, track) for track in sorted({*due, *gone})}
        for track in due:
            tracks[track].told_at = tracks[track].judged
        for track in gone:
            del tracks[track]
            self._worst[stream] = max(self._worst.get(stream, said[track]), said[track], key=suspicion)
        return tuple(said[track] for track in sorted(due))

    def verdict(self, stream: str, track: int) -> Verdict:
        """What is said about a track now."""
        known = self._streams[stream][track]
        subject = f"{stream}/{track}"
        if known.judged < self._least:
            usual = Counter(known.silent).most_common(1)
            reasons = (usual[0][0], TOO_FEW) if usual and usual[0][1] > known.judged else (TOO_FEW,)
            return Verdict(subject, self._model, None, reasons)
        words, between = self._limits.judge(known.probability)
        if between:
            return Verdict(subject, self._model, None, (between,))
        return Verdict(subject, self._model, known.probability, (), words)

    def verdicts(self, stream: str) -> list[Verdict]:
        """What is said about the tracks of a stream that have not long ended, and last, about the stream."""
        tracks = [self.verdict(stream, track) for track in sorted(self._streams[stream])]
        ended = [self._worst[stream]] if stream in self._worst else []
        return [*tracks, of_video(stream, self._model, [*ended, *tracks])]

    def snapshot(self, stream: str) -> bytes:
        tracks = {track: asdict(known) for track, known in self._streams[stream].items()}
        worst = self._worst.get(stream)
        return json.dumps({"tracks": tracks, "worst": asdict(worst) if worst else None}).encode()

    def restore(self, stream: str, state: bytes) -> None:
        self.forget(stream)
        kept = json.loads(state)
        self._streams[stream] = {int(track): TrackScore(**known) for track, known in kept["tracks"].items()}
        if kept["worst"]:
            self._worst[stream] = Verdict(**{**kept["worst"], "reasons": tuple(kept["worst"]["reasons"])})

    def forget(self, stream: str) -> None:
        self._streams.pop(stream, None)
        self._worst.pop(stream, None)


def suspicion(verdict: Verdict) -> tuple[int, float]:
    """What sorts verdicts: an indication lies above a score that is neither, that above calm, and silence below all.

    >>> calm, silent = Verdict("a/1", "net", 0.1, (), CALM), Verdict("a/2", "net", None, (TOO_FEW,))
    >>> suspicion(calm) > suspicion(silent)
    True
    """
    if verdict.probability is None:
        return (2 if BETWEEN in verdict.reasons else 0), 0.0
    return (1 if verdict.words == CALM else 3), verdict.probability


def of_video(stream: str, model: str, tracks: Sequence[Verdict]) -> Verdict:
    """A video is as suspicious as its most suspicious track; without one that could be judged, nothing is said.

    Nor is it called calm where another track's score is neither: that one is more suspicious than those that are calm.

    >>> calm, worse = (Verdict("a/1", "net", 0.1, (), CALM), Verdict("a/2", "net", 0.9, (), "indication of a forgery"))
    >>> of_video("a", "net", [calm, worse]).reasons
    ('track 2',)
    """
    worst = max(tracks, key=suspicion, default=None)
    if worst is None or worst.probability is None:
        between = worst is not None and BETWEEN in worst.reasons
        reasons = [BETWEEN] if between else [reason for verdict in tracks for reason in verdict.reasons] or [TOO_FEW]
        return Verdict(stream, model, None, tuple(dict.fromkeys(reasons)))
    return Verdict(stream, model, worst.probability, (f"track {worst.subject.rsplit('/', 1)[1]}",), worst.words)
