"""What is told of a frame, and what operators claim, as it travels in the topic `verdicts`."""

from __future__ import annotations

import math

from operators.frame import Frame, Verdict
from pipeline.wire import Face, Fate, FrameReport, VerdictMessage

FORGED = "forged_"
"""What the names of the arrays in `faces.data` begin with that hold probabilities of forgery, NaN for none."""


def message_of(verdict: Verdict) -> VerdictMessage:
    """A verdict as it travels."""
    return VerdictMessage(
        subject=verdict.subject,
        model=verdict.model,
        probability=verdict.probability,
        reasons=verdict.reasons,
        words=verdict.words,
    )


def of_frame(frame: Frame, pts: int, fate: Fate.ValueType, reason: str) -> FrameReport:
    """What became of a frame, and the faces in it; `pts` in ticks of the source."""
    faces = frame.faces
    forged = {name.removeprefix(FORGED): rows for name, rows in faces.data.items() if name.startswith(FORGED)}
    return FrameReport(
        index=frame.index,
        pts=pts,
        time_s=frame.time_s,
        fate=fate,
        reason=reason[:500],
        faces=[
            Face(
                box=faces.boxes[i].tolist(),
                score=float(faces.scores[i]),
                track=int(faces.tracks[i]),
                kept=bool(faces.kept[i]),
                seen=bool(faces.seen[i]),
                landmarks=faces.landmarks[i].reshape(-1).tolist() if faces.seen[i] else [],
                forged={name: float(rows[i]) for name, rows in forged.items() if not math.isnan(rows[i])},
            )
            for i in range(len(faces))
        ],
    )
