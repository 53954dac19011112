"""What is reported of frames, and what operators claim, as it travels in the topics `verdicts` and `rejects`."""

from __future__ import annotations

import math
from collections.abc import Iterable

from operators.frame import Frame, Verdict
from pipeline.brokers import REJECTS, VERDICTS, Message
from pipeline.wire import End, Face, Fate, FrameReport, Head, Reject, VerdictMessage, VerdictRecord, Zone, fraction

LONGEST_REASON = 500
MICROSECONDS = 1_000_000
YEAR_10000_US = 253_402_300_800 * MICROSECONDS
"""Unix time from which on no four digits hold the year: time stamps of a hostile file may say anything."""
FORGED = "forged_"
"""What the names of the arrays in `faces.data` begin with that hold probabilities of forgery, NaN for none."""


def message_of(verdict: Verdict) -> VerdictMessage:
    """A verdict as it travels.

    >>> message_of(Verdict("walk/1", "net", 0.75)).probability
    0.75
    """
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
    zones, faces = frame.faces[frame.faces.zones], frame.faces[~frame.faces.zones]
    forged = {name.removeprefix(FORGED): rows for name, rows in faces.data.items() if name.startswith(FORGED)}
    return FrameReport(
        index=frame.index,
        pts=pts,
        time_s=frame.source_s,
        fate=fate,
        reason=reason[:LONGEST_REASON],
        epoch=epoch,
        utc_us=utc_us,
        zones=[Zone(box=box) for box in zones.boxes.tolist()],
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


class StreamReports:
    """The reports of one stream that go with its next commit."""

    def __init__(self) -> None:
        self._rejects: list[Message] = []
        self._record = VerdictRecord()

    def add(self, report: FrameReport) -> None:
        self._record.frames.append(report)

    def claim(self, verdicts: Iterable[Verdict]) -> None:
        self._record.verdicts.extend(map(message_of, verdicts))

    def reject(
        self, reason: str, detail: str, *, epoch: int, number: int | None = None, index: int | None = None
    ) -> None:
        """Reports what came of no use.

        Args:
            epoch: of the masked output.
            number: of a packet.
            index: of a frame.
        """
        reject = Reject(epoch=epoch, number=number, index=index, reason=reason, detail=detail[:LONGEST_REASON])
        self._rejects.append(Message(REJECTS, reject.SerializeToString()))

    def end(self, end: End) -> None:
        """Nothing will be reported after the next commit."""
        self._record.end.CopyFrom(end)

    def take(self) -> list[Message]:
        """The records of all that was reported since the last call."""
        messages, self._rejects = self._rejects, []
        if self._record.ByteSize():
            messages.append(Message(VERDICTS, self._record.SerializeToString()))
            self._record = VerdictRecord()
        return messages
