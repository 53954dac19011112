"""From a screening to its report: the document for programs, which the page for people is made of as well."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from operators.deepfake.scores import VerdictLimits
from operators.frame import Verdict
from pipeline.jail.protocol import readable
from pipeline.media.shown import of_head
from pipeline.screening.networks import JUDGES, JudgingNetwork
from pipeline.screening.observations import GAZE, OTHERS, Series, TrackNotes
from pipeline.screening.report import (
    FORMAT,
    CardExtract,
    Confidence,
    CountedVerdict,
    GazeSeries,
    ListedFile,
    ListedVideo,
    NetworkReport,
    Outcome,
    ScreenedFile,
    ScreeningReport,
    SeriesRows,
    SystemVerdict,
    TrackReport,
    TrackVerdict,
    UnshownTracks,
    VideoFacts,
)
from pipeline.screening.screener import Screening, Upload
from pipeline.wire import fraction

NOTHING = "nothing can be said"
DENIAL = "no "
"""What a detector's words begin with where they speak against a forgery, see `VerdictLimits.judge`."""
CONFIDENCES: Mapping[str, Confidence] = {"weak": "low", "indication": "moderate", "strong": "high"}
"""By the first of the words in which a detector speaks of a forgery."""
UNSHOWN = "a track that is not shown"


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


def document(upload: Upload, screening: Screening, edition: Edition, key: str) -> ScreeningReport:
    """All that a report says but for pictures. `key` says what it was made of."""
    verdicts = tuple(SystemVerdict(**_said(name, verdict, edition)) for name, verdict in screening.verdicts.items())
    outcome, leading = _outcome(verdicts)
    return ScreeningReport(
        format=FORMAT,
        key=key,
        facewarden=edition.version,
        config=edition.config,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        source=ScreenedFile(name=readable(upload.path.name), sha256=upload.sha256, bytes=upload.size),
        complete=screening.complete,
        reason=readable(screening.reason or _losses(screening.lost)),
        outcome=outcome,
        words=leading.words if leading else NOTHING,
        probability=leading.probability if leading else None,
        confidence=leading.confidence if leading else "none",
        video=_video(screening),
        verdicts=verdicts,
        tracks=tuple(_track(track, edition) for track in by_weight(screening)),
        left_out=_left_out(screening, edition),
        models=tuple(map(_network, edition.models)),
    )


def by_weight(screening: Screening) -> list[TrackNotes]:
    """The tracks, those first that matter most."""
    return sorted(screening.notes.tracks.values(), key=lambda track: (*track.weight, -track.number), reverse=True)


def summary(report: ScreeningReport, source: ListedFile, *, html: str, document: str) -> ListedVideo:
    """What a list of many videos says of one; `html` and `document` are the files of its report."""
    return ListedVideo(
        source=source,
        outcome=report.outcome,
        words=report.words,
        probability=report.probability,
        confidence=report.confidence,
        complete=report.complete,
        reason=report.reason,
        seconds=report.video.seconds,
        tracks=len(report.tracks) + report.left_out.tracks,
        html=html,
        document=document,
    )


def confidence(limits: VerdictLimits) -> Confidence:
    """How far a detector's words can be trusted, in a word, by the skill that was measured.

    >>> [confidence(VerdictLimits(fake=0.8, real=0.3, skill=skill)) for skill in (0, 0.4, 0.8, 0.95)]
    ['not measured', 'none', 'moderate', 'high']
    """
    if not limits.skill:
        return "not measured"
    words, _ = limits.judge(limits.fake)
    return CONFIDENCES[words.split()[0]] if words else "none"


def _outcome(verdicts: Sequence[SystemVerdict]) -> tuple[Outcome, SystemVerdict | None]:
    """What the systems come to together, and the verdict that says so: that of whoever is most suspicious."""
    spoken = [verdict for verdict in verdicts if verdict.probability is not None]
    if not spoken:
        return "nothing_said", None
    leading = max(spoken, key=lambda verdict: (verdict.indication, verdict.probability))
    return ("indication" if leading.indication else "no_indication"), leading


def _said(system: str, verdict: Verdict, edition: Edition) -> dict[str, Any]:
    """The fields of `SystemVerdict`."""
    limits = edition.limits(verdict)
    spoke = verdict.probability is not None
    return {
        "system": system,
        "model": verdict.model,
        "probability": None if verdict.probability is None else round(verdict.probability, 4),
        "indication": spoke and not verdict.words.startswith(DENIAL),
        "words": verdict.words if spoke else NOTHING,
        "confidence": confidence(limits) if spoke else "none",
        "reasons": tuple(UNSHOWN if reason == f"track {OTHERS}" else reason for reason in verdict.reasons),
    }


def _video(screening: Screening) -> VideoFacts:
    head = screening.head
    return VideoFacts(
        codec=head.codec,
        width=head.width,
        height=head.height,
        rotation=of_head(head).rotation,
        rate=round(float(fraction(head.rate)), 3),
        seconds=round(screening.seconds, 3),
        frames=screening.frames,
        looked_at=screening.looked,
        faces=screening.notes.faces,
        lost={readable(why): count for why, count in screening.lost.items()},
    )


def _track(track: TrackNotes, edition: Edition) -> TrackReport:
    return TrackReport(
        track=track.number,
        from_s=round(track.from_s, 3),
        to_s=round(track.to_s, 3),
        seen=track.seen,
        face_px=track.face_px,
        verdicts=tuple(
            TrackVerdict(**_said(name, verdict, edition), scored=track.scored[name])
            for name, verdict in track.verdicts.items()
        ),
        scores={
            name: tuple((time_s, score) for time_s, score in _rows(series)) for name, series in track.scores.items()
        },
        gaze=None if track.gaze is None else GazeSeries(columns=("time_s", *GAZE), rows=_rows(track.gaze)),
    )


def _left_out(screening: Screening, edition: Edition) -> UnshownTracks:
    verdicts = tuple(
        CountedVerdict(**_said(name, verdict, edition), tracks=count)
        for name, counted in screening.notes.left_out.items()
        for verdict, count in counted.most_common()
    )
    return UnshownTracks(tracks=screening.notes.dropped, verdicts=verdicts)


def _network(model: JudgingNetwork) -> NetworkReport:
    return NetworkReport(
        use=model.use,
        engine=model.engine,
        file=model.file.name,
        sha256=model.sha256,
        judges=model.use.startswith(JUDGES),
        card=CardExtract.model_validate(model.card.model_dump(include=set(CardExtract.model_fields))),
    )


def _rows(series: Series) -> SeriesRows:
    """Rows of a series; None where nothing was measured."""
    rows = np.asarray(series.rows()).tolist()
    return tuple(tuple(round(value, 4) if math.isfinite(value) else None for value in row) for row in rows)


def _losses(lost: Mapping[str, int]) -> str:
    return "; ".join(f"{count} frame{'s' if count > 1 else ''} lost: {why}" for why, count in lost.items())
