"""What is told of a frame, and what operators claim, as it travels in the topic `verdicts`."""

from __future__ import annotations

import math

from operators.frame import Frame, Verdict
from pipeline.wire import Face, Fate, FrameReport, Head, VerdictMessage, fraction

MICROSECONDS = 1_000_000
YEAR_10000_US = 253_402_300_800 * MICROSECONDS
"""Unix time from which on no four digits hold the year: time stamps of a hostile file may say anything."""
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


def utc_us_of(head: Head, pts: int, received_us: int) -> int:
    """Unix time of a frame in microseconds, 0 where unknown.

    >>> from pipeline.wire import Rational
    >>> file = Head(created_us=1_700_000_000_000_000, time_base=Rational(num=1, den=25), first_pts=50)
    >>> utc_us_of(file, 75, 0)
    1700000001000000

    Args:
        head: of its source.
        pts: when it is shown, in ticks of the source.
        received_us: when its packet was received, of a live source.
    """
    moment = received_us
    if not head.live and head.created_us:
        moment = head.created_us + round((pts - head.first_pts) * fraction(head.time_base) * MICROSECONDS)
    return moment if 0 < moment < YEAR_10000_US else 0


def of_frame(frame: Frame, pts: int, fate: Fate.ValueType, reason: str, *, epoch: int, utc_us: int) -> FrameReport:
    """What became of a frame, and the faces in it.

    Args:
        pts: in ticks of the source.
        epoch: of the source.
        utc_us: as `utc_us_of` gives it.
    """
    faces = frame.faces
    forged = {name.removeprefix(FORGED): rows for name, rows in faces.data.items() if name.startswith(FORGED)}
    return FrameReport(
        index=frame.index,
        pts=pts,
        time_s=frame.time_s,
        fate=fate,
        reason=reason[:500],
        epoch=epoch,
        utc_us=utc_us,
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
