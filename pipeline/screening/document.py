"""What is told of a video: as a document of plain values for programs, which the page for people is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from operators.deepfake.scores import VerdictLimits
from operators.frame import Verdict
from pipeline.jail.protocol import readable
from pipeline.screening.networks import JUDGES, JudgingNetwork
from pipeline.screening.observations import GAZE, OTHERS, Series, TrackNotes
from pipeline.screening.screener import Screening, Upload
from pipeline.wire import fraction

FORMAT = 1
"""Of the document; a report of another format is made again."""
Outcome = Literal["indication", "no_indication", "nothing_said"]
OUTCOMES: tuple[Outcome, ...] = ("indication", "nothing_said", "no_indication")
"""In the order in which somebody should look at them."""
NOTHING = "nothing can be said"
DENIAL = "no "
"""What a detector's words begin with where they speak against a forgery, see `VerdictLimits.judge`."""
CONFIDENCES = {"weak": "low", "indication": "moderate", "strong": "high"}
"""By the first of the words in which a detector speaks of a forgery."""
UNMEASURED, NO_CONFIDENCE = "not measured", "none"
UNSHOWN = "a track that is not shown"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Edition:
    """What a report is made with.

    Attributes:
        version: of Facewarden.
        config: its name.
        models: all networks.
    """

    version: str
    config: str
    models: Sequence[JudgingNetwork]

    def judge(self, verdict: Verdict) -> JudgingNetwork | None:
        """The network that a verdict names."""
        return next((model for model in self.models if model.identity == verdict.model), None)

    def limits(self, verdict: Verdict) -> VerdictLimits:
        judge = self.judge(verdict)
        return judge.limits if judge else VerdictLimits()


def document(upload: Upload, screening: Screening, edition: Edition, key: str) -> Document:
    """All that a report tells but for pictures. `key` says what it was made of."""
    head = screening.head
    verdicts = [_verdict(name, verdict, edition) for name, verdict in screening.verdicts.items()]
    outcome, leading = _outcome(verdicts)
    return {
        "format": FORMAT,
        "key": key,
        "facewarden": edition.version,
        "config": edition.config,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": {"name": readable(upload.path.name), "sha256": upload.sha256, "bytes": upload.size},
        "complete": screening.complete,
        "reason": readable(screening.reason or _losses(screening.lost)),
        "outcome": outcome,
        "words": leading["words"] if leading else NOTHING,
        "probability": leading["probability"] if leading else None,
        "confidence": leading["confidence"] if leading else NO_CONFIDENCE,
        "video": {
            "codec": head.codec,
            "width": head.width,
            "height": head.height,
            "rotation": head.rotation,
            "rate": round(float(fraction(head.rate)), 3),
            "seconds": round(screening.seconds, 3),
            "frames": screening.frames,
            "looked_at": screening.looked,
            "faces": screening.notes.faces,
            "lost": {readable(why): count for why, count in screening.lost.items()},
        },
        "verdicts": verdicts,
        "tracks": [_track(track, edition) for track in by_weight(screening)],
        "left_out": {
            "tracks": screening.notes.dropped,
            "verdicts": [
                {**_verdict(name, verdict, edition), "tracks": count}
                for name, counted in screening.notes.left_out.items()
                for verdict, count in counted.most_common()
            ],
        },
        "models": [_model(model) for model in edition.models],
    }


def by_weight(screening: Screening) -> list[TrackNotes]:
    """The tracks, those first that matter most."""
    return sorted(screening.notes.tracks.values(), key=lambda track: (*track.weight, -track.number), reverse=True)


def summary(told: Document, files: Mapping[str, str]) -> Document:
    """What a list of many videos tells of one; `files` names its report."""
    kept = ("source", "outcome", "words", "probability", "confidence", "complete", "reason")
    tracks = len(told["tracks"]) + told["left_out"]["tracks"]
    return {**{name: told[name] for name in kept}, "seconds": told["video"]["seconds"], "tracks": tracks, **files}


def confidence(limits: VerdictLimits) -> str:
    """How far a detector's words can be trusted, in a word, by the skill that was measured."""
    if not limits.skill:
        return UNMEASURED
    words, _ = limits.judge(limits.fake)
    return CONFIDENCES[words.split()[0]] if words else NO_CONFIDENCE


def _outcome(verdicts: Sequence[Document]) -> tuple[Outcome, Document | None]:
    """What the systems come to together, and the verdict that says so: that of whoever is most suspicious."""
    spoken = [verdict for verdict in verdicts if verdict["probability"] is not None]
    if not spoken:
        return "nothing_said", None
    leading = max(spoken, key=lambda verdict: (verdict["indication"], verdict["probability"]))
    return ("indication" if leading["indication"] else "no_indication"), leading


def _verdict(system: str, verdict: Verdict, edition: Edition) -> Document:
    limits = edition.limits(verdict)
    spoke = verdict.probability is not None
    return {
        "system": system,
        "model": verdict.model,
        "probability": None if verdict.probability is None else round(verdict.probability, 4),
        "indication": spoke and not verdict.words.startswith(DENIAL),
        "words": verdict.words if spoke else NOTHING,
        "confidence": confidence(limits) if spoke else NO_CONFIDENCE,
        "reasons": [UNSHOWN if reason == f"track {OTHERS}" else reason for reason in verdict.reasons],
    }


def _track(track: TrackNotes, edition: Edition) -> Document:
    told: Document = {
        "track": track.number,
        "from_s": round(track.from_s, 3),
        "to_s": round(track.to_s, 3),
        "seen": track.seen,
        "face_px": track.face_px,
        "verdicts": [
            {**_verdict(name, verdict, edition), "scored": track.scored[name]}
            for name, verdict in track.verdicts.items()
        ],
        "scores": {name: _rows(series) for name, series in track.scores.items()},
    }
    if track.gaze is not None:
        told["gaze"] = {"columns": ["time_s", *GAZE], "rows": _rows(track.gaze)}
    return told


def _model(model: JudgingNetwork) -> Document:
    return {
        "use": model.use,
        "engine": model.engine,
        "file": model.file.name,
        "sha256": model.sha256,
        "judges": model.use.startswith(JUDGES),
        "card": model.card.model_dump(mode="json", exclude={"plan", "calibration", "tolerance"}),
    }


def _rows(series: Series) -> list[list[float | None]]:
    """Rows of a series; None where nothing was measured."""
    return [[round(v, 4) if math.isfinite(v) else None for v in row] for row in np.asarray(series.rows()).tolist()]


def _losses(lost: Mapping[str, int]) -> str:
    return "; ".join(f"{count} frame{'s' if count > 1 else ''} lost: {why}" for why, count in lost.items())
