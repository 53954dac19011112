"""The faces of the original, as tracks through all of its frames: sightings linked, gaps filled, ends followed.

The whole clip is there, so looks may be used in both directions: what is first found in one frame is followed back into
the frames before, by the picture itself. A single sighting is a track too, if its score or a second detector says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from operators.arrays import Array
from operators.boxes import iou
from operators.frame import Frame

Raster = NDArray[np.uint8]

FOLLOW_PX = 960
"""Longer side of the pictures in which faces are followed."""
TEMPLATE_PX = 32
HOLDS, HOLDS_ALONE = 0.8, 0.92
"""Correlation by which a face is followed between two sightings, and before the first or after the last one."""
BRIDGE_FRAMES, END_FRAMES, BLIND_FRAMES = 15, 4, 3
"""Frames that are bridged by following, that are added at an end, and that are filled without being followed."""
LINK, NEAR = 0.2, 0.8
"""Overlap (IoU) of two sightings of one face in neighbouring frames, or how far it moved, in its own size."""
SURE, OFTEN, SURE_OFTEN = 0.88, 5, 0.8
"""A sighting of this score needs no second opinion, nor do so many of another score. YuNet gives upright faces of 24
pixels 0.89 and more, and hands, necks and ears up to 0.82."""
LEAST_STRUCTURE = 4.0
"""Grey levels of contrast below which nothing can be followed."""
CROPS = 3
"""Sightings of a track on which a second opinion is asked."""


@dataclass(slots=True)
class TruthTrack:
    """One face over time.

    Attributes:
        boxes: x1 y1 x2 y2 in pixels, by frame.
        scores: of its sightings, by frame; frames that were followed or filled have none.
        crops: what a second detector is asked about: score and BGR picture, best first.
        sure: it is a face beyond doubt.
    """

    number: int
    boxes: dict[int, Array] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    crops: list[tuple[float, Raster]] = field(default_factory=list)
    sure: bool = False
    pending: list[tuple[int, Array]] = field(default_factory=list)

    @property
    def last_seen(self) -> int:
        return max(self.scores)

    @property
    def best(self) -> float:
        return max(self.scores.values())

    def latest(self) -> Array:
        """Where it was last, followed or seen."""
        return self.pending[-1][1] if self.pending else self.boxes[self.last_seen]


class FaceLinker:
    """Links the sightings of one clip, frame by frame, in order.

    Args:
        confirms: the second opinion on a crop.
        crop: cuts a crop out of a BGR picture around a box.
    """

    def __init__(self, confirms: Callable[[Raster], bool], crop: Callable[[Raster, Array], Raster]) -> None:
        self._confirms, self._crop = confirms, crop
        self._tracks: list[TruthTrack] = []
        self._open: list[TruthTrack] = []
        self._past: deque[tuple[int, Raster]] = deque(maxlen=END_FRAMES + 1)

    def add(self, frame: Frame, luma: Raster, faces: Array) -> None:
        """One frame, its luma `(h, w)`, and the boxes and scores `(n, 5)` of the faces that were found in it."""
        index = frame.index
        scale = min(1.0, FOLLOW_PX / max(luma.shape))
        small = np.array(cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        taken = self._match(frame, faces)
        self._follow(index, small, scale)
        for row in np.flatnonzero(~taken):
            track = TruthTrack(len(self._tracks) + 1)
            self._tracks.append(track)
            self._open.append(track)
            self._see(track, frame, faces[row])
            self._trace_back(track, index, small, scale)
        self._past.append((index, small))

    def tracks(self) -> list[TruthTrack]:
        """All tracks, those that are no sure faces among them."""
        for track in self._open:
            _end(track)
        self._open = []
        for track in self._tracks:
            often = sum(score >= SURE_OFTEN for score in track.scores.values()) >= OFTEN
            track.sure = often or track.best >= SURE or any(self._confirms(crop) for _, crop in track.crops)
            track.crops = []
        return self._tracks

    def _match(self, frame: Frame, faces: Array) -> NDArray[np.bool_]:
        """Gives sightings to open tracks; which `(n,)` found one."""
        index = frame.index
        for track in [track for track in self._open if index - track.last_seen > BRIDGE_FRAMES]:
            _end(track)
            self._open.remove(track)
        taken = np.zeros(len(faces), np.bool_)
        if self._open and len(faces):
            likeness = _likeness(np.array([track.latest() for track in self._open]), faces[:, :4])
            for row, column in zip(*linear_sum_assignment(likeness, maximize=True), strict=True):
                if likeness[row, column] > 0:
                    self._see(self._open[row], frame, faces[column])
                    taken[column] = True
        return taken

    def _see(self, track: TruthTrack, frame: Frame, face: Array) -> None:
        index = frame.index
        score, box = float(face[4]), np.asarray(face[:4], np.float64)
        if track.scores:
            _bridge(track, index, box)
        track.boxes[index], track.scores[index] = box, score
        if track.best < SURE and (len(track.crops) < CROPS or score > track.crops[-1][0]):
            track.crops = sorted([*track.crops, (score, self._crop(frame.bgr, box))], key=lambda each: -each[0])[:CROPS]

    def _follow(self, index: int, small: Raster, scale: float) -> None:
        """Follows the open tracks that were not seen in this frame, from the frame before."""
        for track in self._open:
            if track.last_seen == index or not self._past:
                continue
            where = track.pending[-1][0] if track.pending else track.last_seen
            before, picture = self._past[-1]
            if where != before:
                continue
            found = follow(picture, small, track.latest() * scale, HOLDS)
            if found is not None:
                track.pending.append((index, found / scale))

    def _trace_back(self, track: TruthTrack, index: int, small: Raster, scale: float) -> None:
        """Follows a new track into the frames before."""
        picture, box = small, track.boxes[index] * scale
        others = [other for other in self._open if other is not track]
        for number, before in reversed(self._past):
            if number < index - END_FRAMES or before.shape != picture.shape:
                return
            found = follow(picture, before, box, HOLDS_ALONE)
            if found is None:
                return
            there = np.array([each.boxes[number] for each in others if number in each.boxes]).reshape(-1, 4)
            if iou(found[None] / scale, there).max(initial=0) > LINK:
                return
            track.boxes[number] = found / scale
            picture, box = before, found


def follow(before: Raster, now: Raster, box: Array, least: float) -> Array | None:
    """Where the face of a picture `(h, w)` is in the next one: its box `(4,)`; None where it is not to be found.

    >>> one = np.random.default_rng(1).integers(0, 255, (60, 80), np.uint8)
    >>> follow(one, np.roll(one, 3, axis=1), np.array([20.0, 20, 40, 40]), 0.9).tolist()
    [23.0, 20.0, 43.0, 40.0]
    """
    if before.shape != now.shape:
        return None
    height, width = now.shape
    side = box[2:] - box[:2]
    x1, y1 = np.maximum(np.rint(box[:2] + 0.1 * side), 0).astype(int)
    x2, y2 = np.minimum(np.rint(box[2:] - 0.1 * side), (width, height)).astype(int)
    reach = np.rint(0.5 * side).astype(int)
    left, top = max(x1 - reach[0], 0), max(y1 - reach[1], 0)
    template, around = before[y1:y2, x1:x2], now[top : y2 + reach[1], left : x2 + reach[0]]
    if min(template.shape) < 6 or float(template.std()) < LEAST_STRUCTURE:
        return None
    step = max(1, min(template.shape) // TEMPLATE_PX)
    pieces = [
        cv2.resize(each, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA) for each in (around, template)
    ]
    found = cv2.matchTemplate(pieces[0], pieces[1], cv2.TM_CCOEFF_NORMED)
    _, peak, _, (x, y) = cv2.minMaxLoc(found)
    if peak < least:
        return None
    moved = np.array([left + x * step - x1, top + y * step - y1], np.float64)
    return np.asarray(box + np.tile(moved, 2))


def _likeness(ones: Array, others: Array) -> Array:
    """How probable boxes `(n, 4)` and `(m, 4)` are one face in neighbouring frames: `(n, m)`, 0 for not at all."""
    overlap = iou(ones, others)
    sides = np.sqrt(np.clip((ones[:, 2:] - ones[:, :2]).prod(axis=1), 1, None))
    theirs = np.sqrt(np.clip((others[:, 2:] - others[:, :2]).prod(axis=1), 1, None))
    centers, there = (ones[:, :2] + ones[:, 2:]) / 2, (others[:, :2] + others[:, 2:]) / 2
    away = np.linalg.norm(centers[:, None] - there[None], axis=2) / np.maximum(sides[:, None], theirs[None])
    ratio = sides[:, None] / theirs[None]
    near = (away < NEAR) & (ratio > 0.6) & (ratio < 1.7)
    return np.asarray(np.where(overlap >= LINK, overlap, np.where(near, 0.1 * (1 - away), 0)))


def _bridge(track: TruthTrack, index: int, box: Array) -> None:
    """Fills the frames between a track's last sighting and one at `index`: as followed, else straight if few."""
    last = track.last_seen
    followed = dict(track.pending)
    track.pending = []
    if len(followed) < index - last - 1 and index - last - 1 > BLIND_FRAMES:
        return  # it was away in between, or hidden
    start = track.boxes[last]
    for frame in range(last + 1, index):
        part = (frame - last) / (index - last)
        track.boxes[frame] = followed.get(frame, (1 - part) * start + part * box)


def _end(track: TruthTrack) -> None:
    """Ends a track with its last sighting."""
    track.pending = []


def boxes_at(tracks: Sequence[TruthTrack], index: int) -> list[tuple[TruthTrack, Array]]:
    """The tracks that have a face in that frame, and where."""
    return [(track, track.boxes[index]) for track in tracks if index in track.boxes]
