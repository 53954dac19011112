"""What is told of a frame, and what operators claim, as it travels in the topic `verdicts`."""

from __future__ import annotations

import math

from operators.frame import Frame
from operators.frame import Verdict as Claim
from pipeline.wire import Face, Fate, FrameReport, Verdict

FORGED = "forged_"
"""What the names of the arrays in `faces.data` begin with that hold probabilities of forgery, NaN for none."""


def verdict_of(claim: Claim) -> Verdict:
    return Verdict(
        subject=claim.subject,
        model=claim.model,
        probability=claim.probability,
        reasons=claim.reasons,
        words=claim.words,
    )


def report_of(frame: Frame, pts: int, fate: Fate.ValueType, reason: str) -> FrameReport:
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
