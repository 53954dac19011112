"""What `facewarden screen` writes for programs: `<video>.json` on each video, and `screen.json`, the list of them all.

Not here: how they are made (`document`, `batch`), or the pages for people (`page`).
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field

from engines.card import CardMetric, Precision, Sha256
from engines.section import Count, Probability, Section

FORMAT = 1
"""Of both documents; a report of another format is made again."""
Outcome = Literal["indication", "nothing_said", "no_indication"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""In the order in which somebody should look at them."""
Confidence = Literal["low", "moderate", "high", "not measured", "none"]

Seconds = Annotated[float, Field(ge=0)]
SeriesRows = tuple[tuple[float | None, ...], ...]
"""Numbers over time, a row for each time; null where nothing was measured."""


class ScreenedFile(Section):
    """The file that a report is on."""

    name: str = Field(description="Of the file, without its folder; what is no text in it is a question mark.")
    sha256: Sha256 = Field(description="Of its bytes.")
    bytes: Count = Field(description="Its size.")


class VideoFacts(Section):
    """How the video is coded, and how much of it was looked at."""

    codec: str = Field(description="FFmpeg's name; empty where the file could not be opened.")
    width: Count = Field(description="Of the coded picture in pixels, before its rotation.")
    height: Count = Field(description="Of the coded picture in pixels, before its rotation.")
    rotation: int = Field(description="Degrees counter-clockwise by which the coded picture is turned to be shown.")
    rate: float = Field(ge=0, description="Frames per second on average; 0 where unknown.")
    seconds: Seconds = Field(description="When the last frame is shown, from the first one on.")
    frames: Count = Field(description="Frames that were decoded.")
    looked_at: Count = Field(description="Of these the frames that a detector of faces looked at.")
    faces: Count = Field(description="Faces that were seen, summed over frames.")
    lost: dict[str, Count] = Field(description="Frames that could not be decoded or looked at, by reason.")


class SystemVerdict(Section):
    """What one system says of a track or a whole video."""

    system: str = Field(description="Name of the system, such as `acmf`.")
    model: str = Field(description="What speaks: the network's name and the beginning of its SHA-256.")
    probability: Probability | None = Field(
        description="Score from 0 to 1: how probable a forgery is, on faces like those that the system was calibrated "
        "on; too sure of itself on others. Null: the system abstains."
    )
    indication: bool = Field(description="The system speaks for a forgery.")
    words: str = Field(description="The verdict for a reader, as strong as the model's card allows.")
    confidence: Confidence = Field(description="By the skill that was measured; `none` of an abstention.")
    reasons: tuple[str, ...] = Field(description="Why it abstains, else what the verdict rests on.")


class TrackVerdict(SystemVerdict):
    """What one system says of a track."""

    scored: Count = Field(description="In how many frames the system scored the face.")


class CountedVerdict(SystemVerdict):
    """What one system says alike of several tracks."""

    tracks: Annotated[int, Field(ge=1)] = Field(description="Of how many tracks it says this.")


class GazeSeries(Section):
    """Where the eyes of a track looked, in degrees against the head."""

    columns: tuple[str, ...] = Field(description="Names of the columns; the first is `time_s`.")
    rows: SeriesRows = Field(description="A value for each column.")


class TrackReport(Section):
    """One face over time."""

    track: int = Field(description="Its number within the video.")
    from_s: float = Field(description="When it was first seen, in seconds.")
    to_s: float = Field(description="When it was last seen, in seconds.")
    seen: Count = Field(description="In how many frames it was seen.")
    face_px: Count = Field(description="Shorter side of its largest box, in pixels.")
    verdicts: tuple[TrackVerdict, ...] = Field(description="Of each system that spoke or abstained.")
    scores: dict[str, SeriesRows] = Field(
        description="By system: rows of time in seconds and score 0 to 1, means over several scores if there are many."
    )
    gaze: GazeSeries | None = Field(default=None, description="Absent where nothing measures it.")


class UnshownTracks(Section):
    """Tracks that matter less than those that are reported one by one."""

    tracks: Count = Field(description="How many.")
    verdicts: tuple[CountedVerdict, ...] = Field(description="What the systems say of them, alike verdicts counted.")


class CardExtract(Section):
    """What a model's card says of its skill; see `engines.card.Card`."""

    name: str = Field(description="Of the model.")
    task: str = Field(description="What it is for.")
    licence: str = Field(description="Under which it may be used.")
    sha256: Sha256 = Field(description="Of the file that the card describes.")
    source: str = Field(description="Where it comes from: a package, an address, or the command that made it.")
    data: str = Field(description="What it learned from; empty where nobody says so.")
    recipe: str = Field(description="How it was trained, as JSON; empty where nobody says so.")
    commit: str = Field(description="Of the code that trained it; empty where nobody says so.")
    seed: int | None = Field(description="Of its training.")
    metrics: dict[str, CardMetric | float] = Field(description="Held-out figures by name.")
    failures: tuple[str, ...] = Field(description="Where it is known to fail.")
    precision: Precision = Field(description="What it computes in.")
    made_from: Sha256 | Literal[""] = Field(description="SHA-256 of the model that it was quantised or rounded from.")


class NetworkReport(Section):
    """A network that the report rests on."""

    use: str = Field(description="The operator that runs it.")
    engine: str = Field(description="Name of the operator's engine.")
    file: str = Field(description="Its file's name.")
    sha256: Sha256 = Field(description="Of the file.")
    judges: bool = Field(description="It judges whether faces are forged; else it finds or measures them.")
    card: CardExtract = Field(description="Of the network.")


class ScreeningReport(Section):
    """`<video>.json`: all that a report says but for pictures."""

    format: Literal[1] = Field(description="Version of this format.")
    key: Sha256 = Field(description="SHA-256 of all that the report was made of: the video, networks and settings.")
    facewarden: str = Field(description="Version of Facewarden.")
    config: str = Field(description="Name of the config.")
    made: str = Field(description="When the report was made, ISO 8601 with time zone.")
    source: ScreenedFile
    complete: bool = Field(description="All of the video was read and looked at.")
    reason: str = Field(description="Why it was not; empty if it was.")
    outcome: Outcome = Field(description="What the systems come to together: the word of the most suspicious one.")
    words: str = Field(description="The outcome for a reader.")
    probability: Probability | None = Field(description="Of the verdict that leads; null if nothing can be said.")
    confidence: Confidence = Field(description="Of the verdict that leads.")
    video: VideoFacts
    verdicts: tuple[SystemVerdict, ...] = Field(description="Of each system on the video as a whole.")
    tracks: tuple[TrackReport, ...] = Field(description="Those first that matter most.")
    left_out: UnshownTracks
    models: tuple[NetworkReport, ...] = Field(description="All networks that took part.")

    def to_json(self) -> bytes:
        """What is written to `<video>.json`; fields that have a default are left out where they hold it."""
        return f"{self.model_dump_json(exclude_defaults=True)}\n".encode()


class ListedFile(Section):
    """A file that was to be screened."""

    name: str = Field(description="Of the file, without its folder; what is no text in it is a question mark.")
    path: str = Field(description="As it was given.")
    sha256: Sha256 | None = Field(description="Of its bytes; null where they could not be read.")
    bytes: Count | None = Field(description="Its size; null where it could not be read.")


class ListedVideo(Section):
    """A video in the list: what its report comes to, in short."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    source: ListedFile
    outcome: Outcome = Field(description="As in its report.")
    words: str = Field(description="The outcome for a reader.")
    probability: Probability | None = Field(description="Of the verdict that leads; null if nothing can be said.")
    confidence: Confidence = Field(description="Of the verdict that leads.")
    complete: bool = Field(description="All of the video was read and looked at.")
    reason: str = Field(description="Why it was not; empty if it was.")
    seconds: Seconds = Field(description="When its last frame is shown, from the first one on.")
    tracks: Count = Field(description="Tracks of faces in it.")
    html: str | None = Field(description="The page for people, in the list's folder; null if there is no report.")
    document: str | None = Field(alias="json", description="The report for programs, likewise.")


class OutcomeCounts(Section):
    """Videos by outcome; `incomplete` counts across outcomes."""

    indication: Count
    nothing_said: Count
    no_indication: Count
    incomplete: Count = Field(description="Videos that were not looked at to their end.")


class ScreeningList(Section):
    """`screen.json`: all videos of a folder of reports."""

    format: Literal[1] = Field(description="Version of this format.")
    facewarden: str = Field(description="Version of Facewarden.")
    config: str = Field(description="Name of the config.")
    models: dict[str, Sha256] = Field(description="SHA-256 of each network by what verdicts call it.")
    counts: OutcomeCounts
    videos: tuple[ListedVideo, ...] = Field(description="In the order they were given.")

    def to_json(self) -> bytes:
        """What is written to `screen.json`."""
        return f"{self.model_dump_json(indent=1)}\n".encode()
