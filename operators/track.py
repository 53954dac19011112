"""Gives faces numbers, and keeps them covered where the detector missed them or did not look.

The association is ByteTrack's (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box",
2022): strong detections choose first, weak ones take what is left, both by the Hungarian method on predicted boxes.
It is written out here because what is remembered must be small plain data that is stored with every commit, while
library trackers hide theirs in objects and bring a second build of cv2. Unlike theirs, every detection begins a
track at once: a false cover costs less than a face.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from pydantic import NonNegativeFloat
from scipy.optimize import linear_sum_assignment

from engines import FrameError, StreamError
from operators.arrays import Array
from operators.boxes import area, intersection, iou
from operators.frame import Faces, Frame
from operators.options import Milliseconds, UnitInterval

TRACK = np.dtype(
    [
        ("number", "<i8"),
        ("box", "<f8", 4),  # where it was seen last, x1 y1 x2 y2
        ("velocity", "<f8", 2),  # of its centre, pixels per second
        ("hits", "<i8"),
        ("first_s", "<f8"),  # when it was seen first
        ("score", "<f8"),
        ("best", "<f8"),  # of its scores
        ("hit_s", "<f8"),  # when it was seen last
        ("who", "<i8"),  # what the detector calls it, 0 if nothing
        ("missed_s", "<f8"),  # when a detector first looked and did not see it; NaN: seen whenever looked for
    ]
)
VERSION = 2
HEADER = struct.Struct("<BqdII")
"""Of a snapshot: version, next number, time of the last frame, its width and height. Rows of TRACK follow."""

GAIN = 0.5
"""How much of a velocity just measured enters the smoothed one."""
SHORTEST_S = 0.004
"""Frames closer together, such as two at one instant, give no velocity: they are taken to be this far apart."""
FADE_S = 1.0
"""A predicted face slows down by e in this time, so that it does not run away."""
HALF_LIFE_S = 0.5
"""In which the score of a face that is only predicted halves."""
SIZE_RATIO = 2.0
"""Boxes that do not overlap are one face only if neither is larger than the other by more than this."""
DISAGREE_IOU = 0.4
"""Below it, prediction and interpolation both get covered."""
ONCE_S = 0.12
"""A face is held no longer than it was there, but so long at least; and no longer if it never scored WEAK."""
WEAK = 0.4
"""A face is not carried back to before it was found if no detector gives it more, as far as can be seen ahead."""
GROWTH, GROWN = 0.6, 0.3
"""By how much of its size a predicted face grows in a second, and at most: nobody knows how it moves."""
BACK_MARGIN = 0.15
"""By how much of its size each side of a box moves out that is carried back to before the face was found."""
WITHIN = 0.9
"""A face carried back is not added where so much of its area lies in a box that is covered anyway."""


@dataclass(slots=True)
class _TrackerState:
    """What is remembered of one stream."""

    next_number: int = 1
    time_s: float = 0.0
    size: tuple[int, int] = (0, 0)
    tracks: Array = field(default_factory=lambda: np.zeros(0, TRACK))


class Track:
    """Fills `faces.tracks`, and adds the faces that must be there although no detector reported them.

    All faces of a frame stay in it, in their order, those too that a detector knows to be there without having looked
    (`seen` false). After them come those of tracks that were not found, at their predicted boxes: `seen` false, `kept`
    false (a keep-list follows this operator), landmarks NaN, and in `data` `hit_box (n, 4)` float32 and `age (n,)`
    float32, the box of the last detection and the seconds since; for others `age` is NaN. `settle` puts them between
    that detection and the next one, once the latter is known.

    Frames of a stream must come in order of time. A cut, a new picture size, or a clock that runs back ends all tracks.

    Args:
        hold_ms: how long a face is still covered from the first frame in which a detector did not find it, but no
            longer than it had been there, or an eighth of a second; a weak one no longer than that.
        back_ms: how long before its first detection a face is covered too, as far as the look-ahead reaches, unless
            the detector knows that all of it came in that frame (`sudden` in the faces' data). It is covered in any
            case back to the frame before at which a detector looked.
        high: detections of at least this score choose their tracks first.
        match_iou: smallest overlap of a detection with the predicted box of its track.
        match_distance: where they overlap less, how many face sizes the centres may lie apart, for small fast faces.

    Raises:
        FrameError: on a frame with a box that is not finite.
    """

    def __init__(
        self,
        *,
        hold_ms: Milliseconds = 500.0,
        back_ms: Milliseconds = 300.0,
        high: UnitInterval = 0.5,
        match_iou: UnitInterval = 0.2,
        match_distance: NonNegativeFloat = 1.0,
    ) -> None:
        self._hold_s, self._back_s = hold_ms / 1000, back_ms / 1000
        self._high, self._match_iou, self._match_distance = high, match_iou, match_distance
        self._streams: dict[str, _TrackerState] = {}

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._follow(frame) for frame in frames]

    def _follow(self, frame: Frame) -> Frame:
        if not np.isfinite(frame.faces.boxes).all():
            raise FrameError(f"track: expected finite boxes, got {frame.faces.boxes.tolist()}; the detector is broken")
        state = self._streams.setdefault(frame.stream, _TrackerState())
        size = (frame.picture.width, frame.picture.height)
        if size != state.size or frame.time_s < state.time_s or frame.cut:
            state.tracks = state.tracks[:0]
        state.size, state.time_s = size, frame.time_s

        predicted = _predict(state.tracks, frame.time_s, size)
        rows = self._match(predicted, state.tracks["who"], frame.faces)
        hit = self._hit(state, rows, frame)
        unseen = np.ones(len(state.tracks), np.bool_)
        unseen[rows[rows >= 0]] = False
        missed, held = self._miss(state.tracks[unseen], predicted[unseen], frame)
        state.tracks = np.concatenate([hit, missed])
        faces = replace(frame.faces, tracks=hit["number"].astype(np.int64))
        return replace(frame, faces=faces + held if len(held) else faces)

    def _match(self, predicted: Array, who: Array, faces: Faces) -> Array:
        """For each face the row of its track, or -1: `(n,)`. A detector that follows faces itself knows best."""
        rows = np.full(len(faces), -1)
        if not len(predicted) or not len(faces):
            return rows
        named = faces.data.get("who", np.zeros(len(faces), np.int64))
        for row in np.flatnonzero(named).tolist():
            rows[row] = next(iter(np.flatnonzero(who == named[row])), -1)
        strong = faces.scores >= self._high
        affinity = self._affinity(predicted, faces.boxes)
        for choosing in (np.flatnonzero(strong & (rows < 0)), np.flatnonzero(~strong & (rows < 0))):
            free = np.setdiff1d(np.arange(len(predicted)), rows)
            pairs = linear_sum_assignment(affinity[np.ix_(free, choosing)], maximize=True)
            for track, face in zip(free[pairs[0]], choosing[pairs[1]], strict=True):
                if affinity[track, face] > 0:
                    rows[face] = track
        return rows

    def _affinity(self, predicted: Array, boxes: Array) -> Array:
        """`(tracks, faces)`: the overlap where it suffices, less where centres are near, 0 where it is another face."""
        overlap = iou(predicted, boxes)
        sizes = np.sqrt(area(predicted))[:, None], np.sqrt(area(boxes))[None]
        smaller, larger = np.minimum(*sizes), np.maximum(*sizes)
        apart = np.linalg.norm(_center(predicted)[:, None] - _center(boxes)[None], axis=-1)
        nearness = 1 - apart / np.maximum(self._match_distance * larger, 1e-9)
        near = np.where(larger <= SIZE_RATIO * smaller, np.clip(nearness, 0, 1), 0)
        return np.where(overlap >= max(self._match_iou, 1e-9), overlap, self._match_iou * near)

    def _hit(self, state: _TrackerState, rows: Array, frame: Frame) -> Array:
        """Tracks of the faces found, in the order of the faces: continued where `rows` names one, else new."""
        old, faces = rows >= 0, frame.faces
        tracks = np.zeros(len(rows), TRACK)
        tracks[old] = state.tracks[rows[old]]
        new = len(rows) - int(old.sum())
        tracks["number"][~old] = np.arange(state.next_number, state.next_number + new)
        state.next_number += new

        elapsed = np.maximum(frame.time_s - tracks["hit_s"][old], SHORTEST_S)[:, None]
        shift = _center(faces.boxes[old].astype(np.float64)) - _center(tracks["box"][old])
        gain = np.where(tracks["hits"][old] == 1, 1.0, GAIN)[:, None]
        velocity = tracks["velocity"][old]
        tracks["velocity"][old] = velocity + gain * (shift / elapsed - velocity)
        tracks["box"], tracks["score"] = faces.boxes, faces.scores
        tracks["best"] = np.maximum(tracks["best"], faces.scores)
        tracks["who"] = faces.data.get("who", 0)
        tracks["hits"] += 1
        tracks["first_s"][~old] = frame.time_s
        tracks["hit_s"], tracks["missed_s"] = frame.time_s, np.nan
        return tracks

    def _miss(self, tracks: Array, predicted: Array, frame: Frame) -> tuple[Array, Faces]:
        """Those of the tracks not found that are still held, and their faces. A frame not looked at misses none."""
        if frame.examined:
            tracks["missed_s"] = np.where(np.isnan(tracks["missed_s"]), frame.time_s, tracks["missed_s"])
        there_s = np.where(tracks["best"] >= WEAK, tracks["hit_s"] - tracks["first_s"], 0)
        hold_s = np.minimum(self._hold_s, np.maximum(there_s, ONCE_S))
        alive = np.isnan(tracks["missed_s"]) | (frame.time_s - tracks["missed_s"] < hold_s)
        tracks, predicted = tracks[alive], predicted[alive]
        age = frame.time_s - tracks["hit_s"]
        held = Faces.of(
            _enlarged(predicted, np.minimum(GROWTH * age, GROWN)[:, None] / 2),
            tracks["score"] * 0.5 ** (age / HALF_LIFE_S),
            tracks=tracks["number"],
            seen=np.zeros(len(tracks)),
            data={"hit_box": tracks["box"].astype(np.float32), "age": age.astype(np.float32)},
        )
        return tracks, held

    def settle(self, frame: Frame, ahead: Sequence[Frame]) -> Frame:
        """The frame with its faces put right by what came after; depends on nothing else.

        Predicted faces that are seen again move to where they must have been in between. Faces that are seen first
        in `ahead`, not later than `back_ms`, are added where they probably were.
        """
        # Frames that nobody looked at say nothing.
        ahead = [later for later in _same_run(frame, ahead) if later.examined or later.faces.seen.any()]
        faces = frame.faces
        boxes = faces.boxes.copy()
        predicted = np.isfinite(faces.data.get("age", np.full(len(faces), np.nan)))
        for row in np.flatnonzero(predicted).tolist():
            sighting = next(_sightings(ahead, int(faces.tracks[row])), None)
            if sighting is not None:
                boxes[row] = _between(faces, row, sighting[0] - frame.time_s, sighting[1])
        settled = replace(frame, faces=replace(faces, boxes=boxes))
        found = self._found_later(settled, ahead)
        return replace(settled, faces=settled.faces + found) if len(found) else settled

    def _found_later(self, frame: Frame, ahead: Sequence[Frame]) -> Faces:
        known = set(frame.faces.tracks.tolist())
        examined = frame.examined
        boxes, numbers, scores = [], [], []
        for position, later in enumerate(ahead):
            before_s = later.time_s - frame.time_s
            if before_s > self._back_s and examined:
                break
            for row, number in later.detections:
                if number in known:
                    continue
                known.add(number)
                if examined and (_is_sudden(later.faces, row) or _is_weak(ahead[position:], number)):
                    continue
                box = _carried_back(later, row, ahead[position + 1 :], before_s)
                if not _covered(box, frame.faces.boxes):
                    boxes.append(_enlarged(box, BACK_MARGIN))
                    numbers.append(number)
                    scores.append(later.faces.scores[row] * 0.5 ** (before_s / HALF_LIFE_S))
            examined = examined or later.examined
        return Faces.of(boxes, scores, tracks=numbers, seen=np.zeros(len(boxes)))

    def snapshot(self, stream: str) -> bytes:
        state = self._streams.get(stream, _TrackerState())
        return HEADER.pack(VERSION, state.next_number, state.time_s, *state.size) + state.tracks.tobytes()

    def restore(self, stream: str, state: bytes) -> None:
        """Raises StreamError: the bytes are no snapshot of this version."""
        if len(state) < HEADER.size or state[0] != VERSION or (len(state) - HEADER.size) % TRACK.itemsize:
            got = f"{len(state)} bytes that begin with {state[:1].hex() or 'nothing'}"
            raise StreamError(f"track: expected a snapshot of version {VERSION}, got {got}; begin the stream anew")
        _, next_number, time_s, width, height = HEADER.unpack_from(state)
        tracks = np.frombuffer(state, TRACK, offset=HEADER.size).copy()
        self._streams[stream] = _TrackerState(next_number, time_s, (width, height), tracks)

    def forget(self, stream: str) -> None:
        self._streams.pop(stream, None)


def _predict(tracks: Array, time_s: float, size: tuple[int, int]) -> Array:
    """Boxes `(n, 4)` float64 at that time; centres stay in the picture."""
    return _moved(tracks["box"], tracks["velocity"], time_s - tracks["hit_s"], size)


def _moved(boxes: Array, velocity: Array, elapsed_s: Array, size: tuple[int, int]) -> Array:
    """Boxes `(n, 4)` after seconds `(n,)` at px/s `(n, 2)` that fade away; a negative time asks for the past."""
    reach = np.sign(elapsed_s) * FADE_S * (1 - np.exp(-np.abs(elapsed_s) / FADE_S))
    center = _center(boxes)
    # A box whose centre lies outside already is not drawn in: it is where the detector put it.
    low, high = np.minimum(center, 0), np.maximum(center, size)
    return np.asarray(boxes + np.tile(np.clip(center + velocity * reach[:, None], low, high) - center, 2))


def _same_run(frame: Frame, ahead: Sequence[Frame]) -> Iterator[Frame]:
    """The frames ahead up to a cut, a new size or a clock that runs back: what lies beyond is another scene."""
    shape = frame.picture.planes[0].shape
    for before, later in pairwise([frame, *ahead]):
        if later.cut or later.picture.planes[0].shape != shape or later.time_s < before.time_s:
            return
        yield later


def _sightings(ahead: Sequence[Frame], track: int) -> Iterator[tuple[float, Array]]:
    """Time and box of each detection of that track."""
    for later in ahead:
        for row, number in later.detections:
            if number == track:
                yield later.time_s, later.faces.boxes[row]


def _between(faces: Faces, row: int, until_s: float, box: Array) -> Array:
    """The box of a face between its last detection and the next, `until_s` from now."""
    age = float(faces.data["age"][row])
    part = age / max(age + until_s, 1e-9)
    filled = (1 - part) * faces.data["hit_box"][row] + part * box
    predicted = faces.boxes[row]
    if iou(filled[None], predicted[None])[0, 0] >= DISAGREE_IOU:
        return np.asarray(filled)
    return np.asarray(np.concatenate([np.minimum(filled[:2], predicted[:2]), np.maximum(filled[2:], predicted[2:])]))


def _carried_back(first: Frame, row: int, ahead: Sequence[Frame], before_s: float) -> Array:
    """The first box of a track, `before_s` earlier, by the velocity that its second one gives away."""
    box = first.faces.boxes[row].astype(np.float64)
    size = (first.picture.width, first.picture.height)
    second = next(_sightings(ahead, int(first.faces.tracks[row])), None)
    if second is None:
        return np.asarray(box)
    velocity = _center(second[1] - box) / max(second[0] - first.time_s, SHORTEST_S)
    return np.asarray(_moved(box[None], velocity[None], np.array([-before_s]), size)[0])


def _is_weak(ahead: Sequence[Frame], track: int) -> bool:
    """No sighting of that track scores enough."""
    scores = (later.faces.scores[row] for later in ahead for row, number in later.detections if number == track)
    return max(scores, default=0) < WEAK


def _is_sudden(faces: Faces, row: int) -> bool:
    """All of that face came in the frame in which it was found."""
    sudden = faces.data.get("sudden")
    return sudden is not None and sudden[row] == 1


def _covered(box: Array, boxes: Array) -> bool:
    return bool((intersection(box[None], boxes) >= WITHIN * area(box[None])).any())


def _enlarged(boxes: Array, parts: float | Array) -> Array:
    """Boxes `(..., 4)` whose sides have moved out by that part of their size."""
    out = parts * (boxes[..., 2:] - boxes[..., :2])
    return np.asarray(np.concatenate([boxes[..., :2] - out, boxes[..., 2:] + out], axis=-1))


def _center(boxes: Array) -> Array:
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2)


OPERATOR = Track
