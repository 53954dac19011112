"""The lines of `verdicts.jsonl`: what leaves the process about frames, verdicts and the end of each stream.

Not here: how these travel (`pipeline.wire`), or who writes the file (`pipeline.live.sinks`). `docs/verdicts.md`
describes the format, `docs/schema/verdicts.json` is its JSON Schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from engines.section import Count, Probability, Section
from pipeline.wire import End, Face, Fate, FrameReport, VerdictMessage, VerdictRecord

FORMAT = 2
"""Of the lines. 1 was without `format`, `epoch` and `utc`."""
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UtcTime = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""ISO 8601 in UTC, with milliseconds."""


class StreamLine(Section):
    """What every line holds."""

    format: Literal[2] = Field(description="Version of this format.")
    stream: str = Field(
        description="Name of the source: of a file without its folder; a URL without user, password and query."
    )
    type: str = Field(description="Which kind of line this is.")
    epoch: Count = Field(
        description="How often the source's encoder began anew before this, as when a camera came back. "
        "Of other lines: the epoch of the last frame line of the stream before it."
    )
    utc: UtcTime | None = Field(
        description="Wall-clock time, ISO 8601 in UTC with milliseconds. Live: when the frame's packet was received. "
        "Files: the creation time that the container states, plus the frame's time from the first frame on. "
        "Null where the container states none. Of an event: when it was noticed. "
        "Of a verdict and of the end: as the last frame line before it."
    )

    def to_json(self) -> str:
        """The line, without its end; fields that have a default are left out where they hold it."""
        return self.model_dump_json(exclude_defaults=True)


class ReportedFace(Section):
    """A face in a frame."""

    box: tuple[float, float, float, float] = Field(
        description="x1 y1 x2 y2 in pixels of the coded picture, which is shown rotated where the source says so."
    )
    score: Probability = Field(description="How sure the detector is, 0 to 1.")
    track: int = Field(ge=-1, description="Number of its track within the stream; -1 where it has none.")
    seen: bool = Field(
        description="A detector saw it in this very frame; else it is known to be there, or a tracker filled it in."
    )
    kept: bool = Field(description="It stays visible because the keep-list names it; else it is covered.")
    forged: dict[str, Probability] = Field(
        default_factory=dict,
        description="By detector: calibrated probability of a forgery, 0 to 1. Absent where all kept silent.",
    )


class FrameLine(StreamLine):
    """What became of one frame, and the faces in it."""

    type: Literal["frame"] = Field(description="A frame.")
    index: Count = Field(description="Number of the frame within the stream, from 0 in the order of showing.")
    pts: int = Field(description="When it is shown, in ticks of the source's time base.")
    time_s: float = Field(description="The same in seconds. A source's clock may begin anywhere, and may jump.")
    fate: Literal["masked", "covered_whole", "withheld"] = Field(
        description="masked: shown, its faces covered. covered_whole: shown as one cover. withheld: not shown."
    )
    reason: str = Field(default="", description="Why it is not merely masked. Absent where it is.")
    faces: tuple[ReportedFace, ...] = Field(description="All faces that are known in it.")
    zones: tuple[tuple[float, float, float, float], ...] = Field(
        default=(), description="Fixed places that are covered whatever is in them, as boxes of faces are given."
    )


class VerdictLine(StreamLine):
    """What a detector of forgeries claims of a track or of the whole stream, by what it has seen so far."""

    type: Literal["verdict"] = Field(description="A verdict.")
    subject: str = Field(
        description="Of a track: `<stream>/<track>`, else `<stream>`; the stream by its name within the run."
    )
    model: str = Field(description="What claims it: the network's name and the beginning of its SHA-256.")
    probability: Probability | None = Field(description="That it is forged, 0 to 1. Null: the detector abstains.")
    reasons: tuple[str, ...] = Field(description="Why it abstains, else what the verdict rests on.")
    words: str = Field(description="For a reader, as strong as the model's card allows. Empty where it abstains.")


class EventLine(StreamLine):
    """Something that happened to the stream or to the whole run: a camera lost or back, late frames, a full disk."""

    type: Literal["event"] = Field(description="An event.")
    event: str = Field(description="Its kind in a word or two, such as `lost`, `refused`, `back`, `late`, `disk full`.")
    reason: str = Field(description="Why, in a sentence for people.")
    loss: bool = Field(description="Something is missing in the results because of it, which the exit code says too.")


class EndLine(StreamLine):
    """The last line of a stream: its ledger. `packets` = `shown` + `discarded` + the sum of `withheld`."""

    type: Literal["end"] = Field(description="The end of the stream.")
    reason: str = Field(description="Why the source ended early; empty where it ended by itself.")
    packets: Count = Field(description="Video packets that were read.")
    shown: Count = Field(description="Frames that were put out.")
    discarded: Count = Field(description="Packets that the container or the codec never shows.")
    covered_whole: Count = Field(description="Of the shown frames those that were covered as a whole.")
    withheld: dict[str, Count] = Field(description="Frames that were not put out, by reason.")
    faces: Count = Field(description="Faces that were covered, summed over frames.")
    kept: Count = Field(description="Faces that stayed visible because of the keep-list, summed over frames.")
    tracks: Count = Field(description="Tracks of faces.")
    files: tuple[str, ...] = Field(
        default=(),
        description="Names of the files that hold its video, in order; of a push the URL. Absent where none.",
    )


ReportLine = Annotated[FrameLine | VerdictLine | EventLine | EndLine, Field(discriminator="type")]
REPORT_LINE: TypeAdapter[FrameLine | VerdictLine | EventLine | EndLine] = TypeAdapter(ReportLine)


def read_line(line: str | bytes) -> FrameLine | VerdictLine | EventLine | EndLine:
    """A line of the file.

    Raises:
        ValidationError: it is none of this format.

    >>> [line] = LinesOfStream("walk.mp4").of(VerdictRecord(end=End()))
    >>> read_line(line.to_json()) == line
    True
    """
    return REPORT_LINE.validate_json(line)


class LinesOfStream:
    """Makes the lines of one stream out of its records, which come in order.

    Args:
        shown: the source, as people may see its name.
        dated: what a former life has left of itself.

    Attributes:
        dated: epoch and time of the last frame.
    """

    def __init__(self, shown: str, dated: dict[str, Any] | None = None) -> None:
        self._common: dict[str, Any] = {"format": FORMAT, "stream": shown}
        self.dated: dict[str, Any] = dated or {"epoch": 0, "utc": None}

    def of(self, record: VerdictRecord) -> Iterator[FrameLine | VerdictLine | EndLine]:
        """A line for each frame and verdict of a record, and for the end if it is the last.

        >>> record = VerdictRecord(frames=[FrameReport(index=7, fate="FATE_MASKED")], end=End())
        >>> [line.type for line in LinesOfStream("walk.mp4").of(record)]
        ['frame', 'end']
        """
        for report in record.frames:
            self.dated = {"epoch": report.epoch, "utc": iso_utc(report.utc_us)}
            yield self._frame(report)
        yield from map(self._verdict, record.verdicts)
        if record.HasField("end"):
            yield self._end(record.end)

    def _frame(self, report: FrameReport) -> FrameLine:
        return FrameLine(
            **self._common,
            **self.dated,
            type="frame",
            index=report.index,
            pts=report.pts,
            time_s=round(report.time_s, 6),
            fate=Fate.Name(report.fate).removeprefix("FATE_").lower(),
            reason=report.reason,
            faces=tuple(map(_face, report.faces)),
            zones=tuple(_box(zone.box) for zone in report.zones),
        )

    def _verdict(self, verdict: VerdictMessage) -> VerdictLine:
        return VerdictLine(
            **self._common,
            **self.dated,
            type="verdict",
            subject=verdict.subject,
            model=verdict.model,
            probability=verdict.probability if verdict.HasField("probability") else None,
            reasons=tuple(verdict.reasons),
            words=verdict.words,
        )

    def _end(self, end: End) -> EndLine:
        ledger = end.ledger
        return EndLine(
            **self._common,
            **self.dated,
            type="end",
            reason=end.reason,
            packets=ledger.packets,
            shown=ledger.shown,
            discarded=ledger.discarded,
            covered_whole=ledger.covered_whole,
            withheld=dict(ledger.withheld),
            faces=ledger.faces,
            kept=ledger.kept,
            tracks=ledger.tracks,
        )


def _face(face: Face) -> ReportedFace:
    return ReportedFace(
        box=_box(face.box),
        score=round(face.score, 3),
        track=face.track,
        seen=face.seen,
        kept=face.kept,
        forged={name: round(value, 4) for name, value in face.forged.items()},
    )


def _box(sides: Iterable[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(side, 1) for side in sides)
    return x1, y1, x2, y2


def iso_utc(utc_us: int) -> str | None:
    """Unix time in microseconds as text; None for 0, which stands for an unknown one.

    >>> iso_utc(1_714_979_289_250_999)
    '2024-05-06T07:08:09.250Z'
    """
    if not utc_us:
        return None
    moment = UNIX_EPOCH + timedelta(microseconds=utc_us)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
