"""From what a judge saw to its report: the document for programs, which the page for people is made of as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np

from engines import StreamError
from pipeline.jail.parent import DEFAULT_LIMITS, JailLimits
from pipeline.jail.protocol import readable
from pipeline.judging.judge import Judging, JudgingProgress, OriginalFaces, TrackRecord, find_faces, judge_faces
from pipeline.judging.panel import MODELS, FacePanel, JudgePanel
from pipeline.judging.pixels import EXPOSURES, Exposure
from pipeline.judging.report import (
    FORMAT,
    ExposedSpan,
    FramePairs,
    JudgedFile,
    JudgedOutcome,
    JudgedTrack,
    JudgingReport,
    StackedLeak,
)
from pipeline.judging.stacks import FaceStack, exposures, stack_leaks, worst
from pipeline.judging.views import ShownVideo
from pipeline.models.catalog import pick
from pipeline.provenance import command, commit

APART = 3
"""Frames in which a face is not hidden are one stretch if at most so many hidden ones lie between."""
STACK_LEAK = 1.15
"""A track is reversible from this trace of its frames on, laid over one another."""
DEEP = 4
"""From so many frames on; single ones are judged by themselves."""


@dataclass(frozen=True, slots=True)
class FileMark:
    """A file as it was found."""

    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Reads the file once.

        Raises:
            StreamError: it cannot be read.
        """
        if not path.is_file():
            raise StreamError(f"{path}: expected a video file, there is none")
        try:
            with path.open("rb") as file:
                return cls(file_digest(file, "sha256").hexdigest(), path.stat().st_size)
        except OSError as error:
            raise StreamError(f"{path}: cannot be read ({error.strerror})") from error


def judge(
    original: Path,
    masked: Path,
    *,
    panel: FacePanel | None = None,
    faces: OriginalFaces | None = None,
    limits: JailLimits = DEFAULT_LIMITS,
    moved: JudgingProgress = lambda _what, _done, _all: None,
) -> tuple[JudgingReport, Judging]:
    """Judges a masked video by its original: the report, and what it rests on.

    Args:
        panel: opened detectors, for who judges many videos; they are opened and closed here if None.
        faces: what `find_faces` found in the original, for who judges several videos made from it.
        moved: is called with what is being done, the frames so far, and those expected or 0.

    Raises:
        StreamError: one of them cannot be read, or changed meanwhile.
        ConfigError: a model is missing, or they do not belong together.
    """
    marks = FileMark.of(original), FileMark.of(masked)  # before networks are opened: one may be missing
    with JudgePanel() if panel is None else nullcontext(panel) as opened:
        faces = faces or find_faces(original, opened, limits=limits, moved=moved)
        judging = judge_faces(faces, masked, opened, limits=limits, moved=moved)
    for path, mark in zip((original, masked), marks, strict=True):
        if FileMark.of(path) != mark:
            raise StreamError(f"{path.name}: changed while it was being read")
    return document(judging, *marks), judging


def document(judging: Judging, original: FileMark, masked: FileMark) -> JudgingReport:
    """All that a report says; without a signature."""
    tracks = sorted(judged_tracks(judging), key=_weight)
    sure = [track for track in tracks if track.sure]
    outcome = _outcome(judging, sure)
    return JudgingReport(
        format=FORMAT,
        facewarden=version("facewarden"),
        commit=commit(),
        command=command(),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        models={model.name: model.sha256 for model in pick(MODELS)},
        original=_file(judging.original, original),
        masked=_file(judging.masked, masked),
        pairs=_pairs(judging),
        outcome=outcome,
        words=_words(outcome, sure),
        face_frames=sum(track.frames for track in sure),
        clear=sum(track.clear for track in sure),
        reversible=sum(track.reversible for track in sure),
        tracks=tuple(tracks),
    )


def judged_tracks(judging: Judging) -> list[JudgedTrack]:
    """What became of each face."""
    shown = set(judging.pairs.tolist())
    stacks = [record.stack for record in judging.records]
    return [
        _track(number, record, judging, shown, [other for other in stacks if other is not record.stack])
        for number, record in enumerate(judging.records, 1)
    ]


def _track(
    number: int, record: TrackRecord, judging: Judging, shown: set[int], others: Sequence[FaceStack]
) -> JudgedTrack:
    truth = record.truth
    frames = sorted(record.evidence)
    found = exposures([record.evidence[frame] for frame in frames])
    leaks = stack_leaks(record.stack, others)
    stacked = tuple(
        StackedLeak(
            frames=each.depth,
            correlation=round(each.correlation, 3),
            lead=round(each.lead, 3),
            reversible=each.depth >= DEEP and each.trace >= STACK_LEAK,
        )
        for each in leaks
    )
    together: list[Exposure] = ["reversible"] if any(each.reversible for each in stacked) else []
    there = sorted(truth.boxes)
    sides = [float((box[2:] - box[:2]).min()) for box in truth.boxes.values()]
    return JudgedTrack(
        track=number,
        found_in="masked" if record.found_in == "masked" else "original",
        sure=truth.sure,
        score=round(min(truth.best, 1.0), 3),
        from_s=float(judging.times[there[0]]),
        to_s=float(judging.times[there[-1]]),
        face_px=round(max(sides)),
        frames=len(there),
        covered=found.count("covered"),
        reversible=found.count("reversible"),
        clear=found.count("clear"),
        withheld=sum(frame not in shown for frame in there),
        verdict=worst([*found, *together]),
        spans=tuple(_spans(record, frames, found, lambda frame: float(judging.times[frame]))),
        stacked=stacked,
    )


def _spans(
    record: TrackRecord, frames: Sequence[int], found: Sequence[Exposure], at: Callable[[int], float]
) -> list[ExposedSpan]:
    """The stretches in which a face is not hidden."""
    stretches: list[list[int]] = []
    for place, exposure in enumerate(found):
        if exposure == "covered":
            continue
        if stretches and place - stretches[-1][-1] <= APART:
            stretches[-1].append(place)
        else:
            stretches.append([place])
    spans = []
    for places in stretches:
        worst_place = max(places, key=lambda place: record.evidence[frames[place]].badness)
        evidence = record.evidence[frames[worst_place]]
        x1, y1, x2, y2 = np.rint(record.truth.boxes[frames[worst_place]]).astype(int).tolist()
        spans.append(
            ExposedSpan(
                exposure=worst([found[place] for place in places]),
                from_s=at(frames[places[0]]),
                to_s=at(frames[places[-1]]),
                from_frame=frames[places[0]],
                to_frame=frames[places[-1]],
                frames=len(places),
                box=(x1, y1, x2, y2),
                shown=round(evidence.shown, 3),
                uncovered=round(evidence.uncovered, 3),
                correlation=round(evidence.middle, 3),
                shift=(round(evidence.shift[0], 2), round(evidence.shift[1], 2)),
            )
        )
    return spans


def _outcome(judging: Judging, sure: Sequence[JudgedTrack]) -> JudgedOutcome:
    if any(track.verdict != "covered" for track in sure):
        return "leaks"
    if judging.original.reason or judging.masked.reason or judging.original.lost or judging.masked.lost:
        return "undecided"
    return "covered" if sure else "no_faces"


def _words(outcome: JudgedOutcome, sure: Sequence[JudgedTrack]) -> str:
    if outcome == "leaks":
        clear = sum(track.verdict == "clear" for track in sure)
        back = sum(track.verdict == "reversible" for track in sure)
        return f"of {len(sure)} faces {clear} are in clear and {back} can be got back"
    if outcome == "undecided":
        return "no leak was found, but not all of both videos could be read"
    return f"all of {len(sure)} faces are covered" if sure else "no face was found in the original"


def _pairs(judging: Judging) -> FramePairs:
    shown = len(set(judging.pairs.tolist()))
    return FramePairs(
        shown=shown,
        withheld=len(judging.times) - shown,
        repeated=len(judging.pairs) - shown,
        alike=round(judging.alike, 4),
    )


def _file(video: ShownVideo, mark: FileMark) -> JudgedFile:
    width, height = video.shown_size or (0, 0)
    return JudgedFile(
        name=readable(video.path.name),
        sha256=mark.sha256,
        bytes=mark.size,
        width=width,
        height=height,
        frames=video.frames,
        lost=video.lost,
        reason=readable(video.reason),
    )


def _weight(track: JudgedTrack) -> tuple[bool, int, int, int]:
    return not track.sure, -EXPOSURES.index(track.verdict), -track.clear - track.reversible, track.track
