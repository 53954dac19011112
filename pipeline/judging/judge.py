"""Judges what a tool made of a video: every face of the original, in every frame, against what is shown in its place.

Three passes over files, each in a jail: the original for its faces, the masked video for faces that should not be
there, then both together for what is left of each face. Nothing of the tool that masked is asked or believed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines import ConfigError, StreamError
from operators.arrays import Array
from operators.boxes import iou
from operators.frame import Frame
from pipeline.jail.parent import DEFAULT_LIMITS, JailLimits
from pipeline.judging.pairing import ALIKE_SHARE, alike_share, pair
from pipeline.judging.panel import FacePanel, ScoredBoxes, crop_around
from pipeline.judging.pixels import FaceEvidence, evidence, noise_between, patch
from pipeline.judging.stacks import FaceStack
from pipeline.judging.truth import SURE, FaceLinker, TruthTrack, boxes_at
from pipeline.judging.views import ShownVideo, glance, luma8

CLOSELY_EVERY_S = 0.5
"""How often all detectors look at the original."""
SHAPE, BLOCK_PX = 0.02, 16
"""Videos whose shapes differ by more, of their width or in pixels of it, cannot be laid over one another: some tools
stretch pictures to whole blocks of their coder."""
NEIGHBOURS = 2
"""A face found in a masked frame is looked for in the original's frame, and in so many before it."""
STRAY_SCORE = 0.6
STRAY_SHOWN = 1.3
"""How clear a face must be that only the masked video shows a detector."""
LINK = 0.3

JudgingProgress = Callable[[str, int, int], None]
"""Is called with what is being done, the frames so far, and those expected or 0."""


@dataclass(slots=True)
class TrackRecord:
    """What became of one face.

    Attributes:
        truth: its places.
        evidence: what is left of it, by frame of the original; the worst where a frame is shown several times.
        crops: the masked picture around it, by frame, for the page.
        stack: frames that look covered.
    """

    truth: TruthTrack
    found_in: str = "original"
    evidence: dict[int, FaceEvidence] = field(default_factory=dict)
    stack: FaceStack = field(default_factory=FaceStack)
    crop: tuple[float, int, NDArray[np.uint8]] | None = None

    def add(self, index: int, found: FaceEvidence, original: Array, masked: Array) -> None:
        before = self.evidence.get(index)
        if before is None or found.badness > before.badness:
            self.evidence[index] = found
        if before is None and found.exposure == "covered":
            self.stack.add(original, masked)

    def picture(self, index: int, found: FaceEvidence, masked: Frame, box: Array) -> None:
        """Keeps the masked picture of the worst frame."""
        badness = found.badness
        if badness >= 1 and (self.crop is None or badness > self.crop[0]):
            self.crop = badness, index, crop_around(masked.bgr, box)


@dataclass(frozen=True, eq=False, slots=True)
class Judging:
    """What a judge saw of two videos.

    Attributes:
        times: when each frame of the original is shown, in seconds.
        pairs: for each masked frame the original's frame that it shows.
        alike: the part of masked frames that show their partner's scene.
        records: one for each face.
    """

    original: ShownVideo
    masked: ShownVideo
    times: Array
    pairs: NDArray[np.int64]
    alike: float
    records: Sequence[TrackRecord]


@dataclass(slots=True)
class WatchedVideo:
    """What one pass over one video saw."""

    times: list[float] = field(default_factory=list)
    glances: list[Array] = field(default_factory=list)
    found: list[ScoredBoxes] = field(default_factory=list)


@dataclass(frozen=True, eq=False, slots=True)
class OriginalFaces:
    """The faces of an original, for any number of masked videos that were made from it."""

    video: ShownVideo
    watched: WatchedVideo
    tracks: Sequence[TruthTrack]


def find_faces(
    original: Path, panel: FacePanel, *, limits: JailLimits = DEFAULT_LIMITS, moved: JudgingProgress = lambda *_: None
) -> OriginalFaces:
    """Watches an original.

    Raises:
        StreamError: it cannot be read.
        ConfigError: it changes its size.
    """
    video = ShownVideo(original, limits)
    watched, linker = WatchedVideo(), FaceLinker(panel.confirms, crop_around)
    closely_s = -np.inf
    size: tuple[int, ...] | None = None
    for frame in video:
        luma = luma8(frame)
        if size is not None and luma.shape != size:
            where = f"{original.name}: changes its size at frame {frame.index}"
            raise ConfigError(f"{where}; cut it there and judge the parts")
        size = luma.shape
        closely = frame.index == 0 or abs(frame.time_s - closely_s) >= CLOSELY_EVERY_S
        closely_s = frame.time_s if closely else closely_s
        linker.add(frame, luma, panel.look(frame, closely=closely))
        watched.times.append(frame.time_s)
        watched.glances.append(glance(luma).astype(np.float16))
        moved("faces of the original", frame.index + 1, video.head.frames_expected)
    _check_read(video, watched)
    return OriginalFaces(video, watched, linker.tracks())


def judge_faces(
    faces: OriginalFaces,
    masked: Path,
    panel: FacePanel,
    *,
    limits: JailLimits = DEFAULT_LIMITS,
    moved: JudgingProgress = lambda *_: None,
) -> Judging:
    """Judges a masked video by the faces of its original.

    Raises:
        StreamError: it cannot be read.
        ConfigError: it does not belong to the original.
    """
    source, seen = faces.video, faces.watched
    assert source.shown_size is not None  # noqa: S101 - its faces were found
    result = ShownVideo(masked, limits, source.shown_size)
    shown = _watch_masked(result, source.shown_size, panel, moved)
    pairs = pair(seen.glances, shown.glances, np.array(seen.times), np.array(shown.times))
    alike = alike_share(seen.glances, shown.glances, pairs)
    if alike < ALIKE_SHARE:
        theirs = f"{masked.name}: shows what {source.path.name} does in {alike:.0%} of its frames"
        raise ConfigError(f"{theirs}; expected a video that was made from it")
    records = [TrackRecord(track) for track in faces.tracks]
    strays = _compare(ShownVideo(source.path, limits), result, pairs, records, shown, moved)
    return Judging(source, result, np.array(seen.times), pairs, alike, [*records, *_confirmed(strays, panel)])


def _check_read(video: ShownVideo, watched: WatchedVideo) -> None:
    if not watched.times:
        raise StreamError(f"{video.path.name}: {video.reason or 'no frame of it can be decoded'}")


def _watch_masked(video: ShownVideo, size: tuple[int, int], panel: FacePanel, moved: JudgingProgress) -> WatchedVideo:
    watched = WatchedVideo()
    for frame in video:
        if frame.index == 0 and video.shown_size is not None:
            _check_shape(video, size)
        luma = luma8(frame)
        watched.found.append(panel.look_at_masked(frame))
        watched.times.append(frame.time_s)
        watched.glances.append(glance(luma).astype(np.float16))
        moved("faces of the masked", frame.index + 1, video.head.frames_expected)
    _check_read(video, watched)
    return watched


def _check_shape(video: ShownVideo, size: tuple[int, int]) -> None:
    assert video.shown_size is not None  # noqa: S101
    width, height = video.shown_size
    if abs(width * size[1] / height - size[0]) > max(SHAPE * size[0], BLOCK_PX):
        raise ConfigError(
            f"{video.path.name}: is shown as {width}x{height}, the original as {size[0]}x{size[1]}; "
            "expected one shape, scaled at most"
        )


def _compare(
    source: ShownVideo,
    result: ShownVideo,
    pairs: NDArray[np.int64],
    records: Sequence[TrackRecord],
    shown: WatchedVideo,
    moved: JudgingProgress,
) -> list[TrackRecord]:
    """The pass over both: what is left of each face; and the faces that only the masked video gave away."""
    by_track = {record.truth.number: record for record in records}
    strays: list[TrackRecord] = []
    originals: Iterator[Frame] = iter(source)
    past: deque[tuple[int, NDArray[np.uint8]]] = deque(maxlen=NEIGHBOURS + 1)
    for frame in result:
        if frame.index >= len(pairs):
            break
        index = int(pairs[frame.index])
        while not past or past[-1][0] < index:
            following = next(originals, None)
            if following is None:
                return strays
            past.append((following.index, luma8(following).copy()))
        luma, masked = past[-1][1], luma8(frame)
        noise = noise_between(luma, masked)
        places = boxes_at([record.truth for record in records], index)
        for track, box in places:
            one, other = patch(luma, box), patch(masked, box)
            found = evidence(one, other, noise)
            record = by_track[track.number]
            record.add(index, found, one, other)
            record.picture(index, found, frame, box)
        known = np.array([box for _, box in places]).reshape(-1, 4)
        for face in shown.found[frame.index]:
            if face[4] >= STRAY_SCORE and iou(face[None, :4], known).max(initial=0) < LINK:
                _judge_stray(face, past, masked, noise, strays, frame)
        moved("what is left", frame.index + 1, len(pairs))
    return strays


def _judge_stray(
    face: Array,
    past: Sequence[tuple[int, NDArray[np.uint8]]],
    masked: NDArray[np.uint8],
    noise: float,
    strays: list[TrackRecord],
    frame: Frame,
) -> None:
    """A face that the masked video shows where nobody found one in the original: shown by the original too?"""
    box = np.asarray(face[:4], np.float64)
    other = patch(masked, box)
    looked = [(number, evidence(patch(luma, box), other, noise)) for number, luma in past]
    number, found = max(looked, key=lambda each: each[1].clearness)
    if found.clearness < STRAY_SHOWN:
        return
    record = next(
        (each for each in strays if iou(box[None], each.truth.boxes[max(each.truth.boxes)][None])[0, 0] >= LINK), None
    )
    if record is None:
        record = TrackRecord(TruthTrack(len(strays) + 1), "masked")
        strays.append(record)
    record.truth.boxes[number], record.truth.scores[number] = box, float(face[4])
    record.evidence[number] = found
    if len(record.truth.crops) < 3:
        record.truth.crops.append((float(face[4]), crop_around(frame.bgr, box)))
    record.picture(number, found, frame, box)


def _confirmed(strays: Sequence[TrackRecord], panel: FacePanel) -> Sequence[TrackRecord]:
    for record in strays:
        sure = record.truth.best >= SURE
        record.truth.sure = sure and any(panel.confirms(crop) for _, crop in record.truth.crops)
        record.truth.crops = []
    return strays
