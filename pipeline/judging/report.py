"""What `facewarden verify` writes for programs: what can be seen, or got back, of each face of a video.

Not here: how it is judged (`judge`), how it is signed (`signature`), or the page for people (`page`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engines.card import Sha256
from engines.section import Count, Section

FORMAT = 1
Word = Literal["covered", "reversible", "clear"]
JudgedOutcome = Literal["covered", "leaks", "no_faces", "undecided"]
Second = Annotated[float, Field(ge=0)]


class JudgedFile(Section):
    """One of the two videos."""

    name: str = Field(description="Of the file, without its folder; what is no text in it is a question mark.")
    sha256: Sha256 = Field(description="Of its bytes.")
    bytes: Count = Field(description="Its size.")
    width: Count = Field(description="In pixels, as it is shown: upright and with square samples.")
    height: Count = Field(description="Likewise.")
    frames: Count = Field(description="Frames that were decoded.")
    lost: Count = Field(description="Frames that could not be decoded.")
    reason: str = Field(description="Why it was not read to its end; empty if it was.")


class FramePairs(Section):
    """How the frames of both videos belong together."""

    shown: Count = Field(description="Frames of the original that the masked video shows.")
    withheld: Count = Field(description="Frames of the original that it does not show.")
    repeated: Count = Field(description="Frames of the masked video that show one again.")
    alike: float = Field(ge=0, le=1, description="Part of the masked frames that show their partner's scene.")


class ExposedSpan(Section):
    """A stretch of frames in which a face is not hidden."""

    exposure: Word = Field(description="The worst of it.")
    from_s: Second = Field(description="When it begins, in seconds of the original.")
    to_s: Second = Field(description="When its last frame is shown.")
    from_frame: Count = Field(description="Number of its first frame in the original, from 0.")
    to_frame: Count = Field(description="Number of its last frame.")
    frames: Count = Field(description="Frames in which the face is not hidden.")
    box: tuple[int, int, int, int] = Field(description="Where the face is in the worst of them: x1 y1 x2 y2 in pixels.")
    shown: float = Field(description="Part of the face's structure that is shown in that frame, 0 to 1.")
    uncovered: float = Field(description="Part of its area that no cover reaches.")
    correlation: float = Field(description="Of what is left with the face, in its middle detail, -1 to 1.")
    shift: tuple[float, float] = Field(description="By how much x and y it was moved, in heights of the face.")


class StackedLeak(Section):
    """What several frames of a covered face give away, laid over one another."""

    frames: Count = Field(description="How many.")
    correlation: float = Field(description="Of their mean with the hidden face, in its middle detail, -1 to 1.")
    lead: float = Field(description="By how much that is more than with any other face.")
    reversible: bool = Field(description="The face can be got back from them.")


class JudgedTrack(Section):
    """One face of the original over time."""

    track: int = Field(description="Its number, from 1.")
    found_in: Literal["original", "masked"] = Field(
        description="Where a detector found it; one found in the masked video alone shows the original's pixels there."
    )
    sure: bool = Field(description="A face beyond doubt; others do not count for the outcome.")
    score: float = Field(ge=0, le=1, description="The best one of a detector.")
    from_s: Second = Field(description="When it is first shown, in seconds of the original.")
    to_s: Second = Field(description="When it is last shown.")
    face_px: Count = Field(description="Shorter side of its largest box in pixels.")
    frames: Count = Field(description="Frames of the original that show it.")
    covered: Count = Field(description="Of these, frames in which it is hidden.")
    reversible: Count = Field(description="In which it can be got back or recognised.")
    clear: Count = Field(description="In which it is in clear.")
    withheld: Count = Field(description="Which the masked video does not show.")
    verdict: Word = Field(description="The worst of all frames, and of all laid over one another.")
    spans: tuple[ExposedSpan, ...] = Field(description="When it is not hidden.")
    stacked: tuple[StackedLeak, ...] = Field(description="What frames in which it is hidden give away together.")


class JudgingReport(Section):
    """What `verify --json` writes: all that it came to, and no pixel of the original."""

    format: Literal[1] = Field(description="Version of this format.")
    facewarden: str = Field(description="Version of Facewarden.")
    commit: str = Field(description="Of the checkout, with `+` after it where files differ from it; `unknown` outside.")
    command: str = Field(description="How it was started, without the machine's own paths.")
    made: str = Field(description="When, ISO 8601 with time zone.")
    models: dict[str, Sha256] = Field(description="SHA-256 of each detector that judged, by its name.")
    original: JudgedFile
    masked: JudgedFile
    pairs: FramePairs
    outcome: JudgedOutcome = Field(description="All faces are covered; one leaks; there is none; or nobody can say.")
    words: str = Field(description="The outcome for a reader.")
    face_frames: Count = Field(description="Frames of sure faces, summed over faces.")
    clear: Count = Field(description="Of these, in clear.")
    reversible: Count = Field(description="Of these, reversible.")
    tracks: tuple[JudgedTrack, ...] = Field(description="All faces, those first that are hidden worst.")
    signature: str = Field(
        default="",
        description="HMAC-SHA256, in hexadecimal, of the document with this field empty, as compact JSON with sorted "
        "keys; empty where nobody signed it.",
    )

    def to_json(self) -> bytes:
        """What is written to a file."""
        return f"{self.model_dump_json(indent=1)}\n".encode()
