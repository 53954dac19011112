"""Two networks for little more than the cost of the quick one: the thorough one looks where it is needed.

CenterFace, thorough, sees the whole picture when a stream begins, after a cut and when the picture has come to show
something else; and at a slow period, a quarter at each of four looks, so that no live stream waits for it. In between
YuNet, quick, sees the reduced picture at a fast period. What it is sure of is believed. What it doubts, and a face of a
look before that it does not find, is shown to CenterFace in a small crop: so faces that only that one can tell, small,
turned aside or half-hidden, stay found at a two-hundredth of the cost. Frames between two looks are not examined:
`track` fills them from what was seen before and in the look-ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt

from engines import ConfigError, Engine
from operators.arrays import Array
from operators.boxes import iou
from operators.detect.finders import CenterFaceFinder, InputSide, YuNetFinder
from operators.detect.looks import square_around, suppress
from operators.frame import Faces, Frame, Picture
from operators.options import DetectionScore, Milliseconds, UnitInterval

GLANCE = 48, 27
"""Width and height of the picture in which cuts are noticed."""
CHANGE = 6.0
"""Glances whose samples differ by less than this on average, of 255, show the same."""
CUT, CHANGED = 0.5, 0.5
"""Below this correlation, two frames in a row are a cut, and a picture has changed since the last thorough look. In
the clips of `bench.bench_video_recall` cuts have 0 to 0.25, the fastest pans 0.7 and more."""
SAME = 0.3
"""Boxes of two looks are one face from this overlap on (IoU)."""
CROP_PX, CROP_FACES, CROP_LEAST_PX = 64, 2.0, 32
"""Crops are seen at this size, are so many face sizes wide, and never less than so many pixels of the picture."""
PARTS, LAP = 2, 1 / 32
"""At the slow period the picture is seen in so many parts down and across, which reach into each other by this much of
its sides."""
RETRY_S = 1.0
"""So long a face that is not found again is looked for."""
TOLERANCE_S = 0.002
"""Looks are due by this much early, for clocks that are rounded."""


@dataclass(slots=True)
class _CascadeState:
    """What is remembered of one stream."""

    time_s: float
    size: tuple[int, int]
    glance: NDArray[np.float32]  # of the last frame
    scene: NDArray[np.float32]  # the glance at the last thorough look
    quick_s: float
    thorough_s: float
    asked: bool = False  # for a look at the next frame
    parts: list[int] = field(default_factory=list)  # of the picture, that are to be seen thoroughly in the next looks
    boxes: Array = field(default_factory=lambda: np.zeros((0, 4), np.float32))  # faces known, where seen last
    seen_s: Array = field(default_factory=lambda: np.zeros(0))  # and when

    def remember(self, found: Array) -> None:
        """Takes faces found just now for known, as well as those of a while ago that are not among them."""
        old = _apart(self.boxes, found) & (self.time_s - self.seen_s < RETRY_S)
        self.boxes = np.concatenate([found, self.boxes[old]])
        self.seen_s = np.concatenate([np.full(len(found), self.time_s), self.seen_s[old]])


class Cascade:
    """Adds the faces of each frame it looks at, and marks the frame as examined; others pass as they came.

    Periods are in seconds of the stream's clock, so that any frame rate costs alike. Nothing of it is stored with a
    stream's state: who takes a stream over begins with a thorough look.

    Args:
        thorough: as `detect.centerface` takes it.
        quick: as `detect.yunet` takes it.
        quick_ms: how often a frame is looked at.
        thorough_ms: how often the thorough one looks at the whole picture at least.
        changed_ms: and how often at most, while the picture changes.
        quick_px: the longer side of what the quick one sees.
        max_px: the longer side of what the thorough one sees, at most.
        threshold: the lowest score of a face for the thorough one.
        sure: the score from which on the quick one is believed.
        weak: the score from which on it is looked at closely what it reports.
        crops: how many boxes are looked at closely at once, at most, besides those of faces seen in the last look.

    Raises:
        ConfigError: `weak` is above `sure`, or `quick_ms` above `thorough_ms`.
    """

    def __init__(
        self,
        thorough: Engine,
        quick: Engine,
        *,
        quick_ms: Milliseconds = 200.0,
        thorough_ms: Milliseconds = 10_000.0,
        changed_ms: Milliseconds = 500.0,
        quick_px: InputSide = 640,
        max_px: InputSide = 1280,
        threshold: DetectionScore = 0.2,
        sure: UnitInterval = 0.6,
        weak: DetectionScore = 0.12,
        crops: NonNegativeInt = 12,
    ) -> None:
        self.check_options(quick_ms=quick_ms, thorough_ms=thorough_ms, sure=sure, weak=weak)
        self._thorough = CenterFaceFinder(thorough, threshold=threshold, max_px=max_px, min_px=min(800, max_px))
        self._quick = YuNetFinder(quick, threshold=weak, px=quick_px)
        self._quick_s, self._thorough_s, self._changed_s = quick_ms / 1000, thorough_ms / 1000, changed_ms / 1000
        self._sure, self._crops = sure, crops
        self._streams: dict[str, _CascadeState] = {}

    @staticmethod
    def check_options(*, quick_ms: float, thorough_ms: float, sure: float, weak: float, **_: object) -> None:
        if quick_ms > thorough_ms:
            limit = f"thorough_ms, which is {thorough_ms:g}"
            raise ConfigError(f"detect.cascade: quick_ms: expected at most {limit}, got {quick_ms:g}")
        if weak > sure:
            raise ConfigError(f"detect.cascade: weak: expected at most sure, which is {sure:g}, got {weak:g}")

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._attend(frame) for frame in frames]

    def _attend(self, frame: Frame) -> Frame:
        glance = _glance(frame.picture)
        size = (frame.picture.width, frame.picture.height)
        state = self._streams.get(frame.stream)
        cut = state is not None and state.size == size and _differ(state.glance, glance, CUT)
        if state is None or state.size != size or frame.time_s < state.time_s or cut:
            state = _CascadeState(frame.time_s, size, glance, glance, frame.time_s, -np.inf)
        state.time_s, state.glance = frame.time_s, glance
        early = frame.time_s - state.quick_s < self._quick_s - TOLERANCE_S and state.thorough_s > -np.inf
        if early and not state.asked:
            return frame
        since_s = frame.time_s - state.thorough_s + TOLERANCE_S
        if since_s == np.inf or (since_s >= self._changed_s and _differ(state.scene, glance, CHANGED)):
            found = self._thorough.find([frame])[0]
            state.thorough_s, state.scene, state.parts = frame.time_s, glance, []
        else:
            if since_s >= self._thorough_s and not state.parts:
                state.thorough_s, state.scene, state.parts = frame.time_s, glance, list(range(PARTS * PARTS))
            found = self._look_quickly(frame, state)
        state.remember(found.boxes)
        state.quick_s, state.asked = frame.time_s, False
        self._streams[frame.stream] = state
        return replace(frame, faces=frame.faces + found, examined=True, cut=cut)

    def _look_quickly(self, frame: Frame, state: _CascadeState) -> Faces:
        found = self._quick.find(frame)
        sure = found[found.scores >= self._sure]
        weak = found[found.scores < self._sure]
        if state.parts:
            part = self._look_at_part(frame, state.parts.pop())
            sure += part[_apart(part.boxes, sure.boxes)]
        # Those seen in the last look, all of them; then what may be new, and those lost for longer.
        recent = state.seen_s >= state.quick_s
        known = state.boxes[recent]
        known = known[_apart(known, sure.boxes)]
        others = sure.boxes[:0]
        for boxes in (weak.boxes, state.boxes[~recent]):
            found_before = np.concatenate([sure.boxes, known, others])
            others = np.concatenate([others, boxes[_apart(boxes, found_before)]])
        doubtful = np.concatenate([known, others[: self._crops]])
        close = self._look_closely(frame, doubtful)
        return sure + close[_apart(close.boxes, sure.boxes)]

    def _look_closely(self, frame: Frame, boxes: Array) -> Faces:
        """The faces in crops around boxes `(n, 4)`."""
        crops = [_around(box, frame) for box in boxes]
        looked = self._thorough.find([crop for _, crop in crops], (CROP_PX, CROP_PX)) if crops else []
        found = Faces.of()
        for (corner, _), faces in zip(crops, looked, strict=True):
            found += _moved(faces, corner)
        return found[suppress(found.boxes, found.scores, SAME)]

    def _look_at_part(self, frame: Frame, number: int) -> Faces:
        """The faces in one of the picture's parts, seen as large as in a look at the whole of it."""
        row, column = divmod(number, PARTS)
        sides = frame.picture.width, frame.picture.height
        (x1, x2), (y1, y2) = (_span(part, side) for part, side in zip((column, row), sides, strict=True))
        part = replace(frame, picture=frame.picture.part(x1, y1, x2, y2))
        (found,) = self._thorough.find([part], self._thorough.size_of(part, within=frame))
        return _moved(found, np.array([x1, y1], np.float32))

    def look_next(self, stream: str) -> None:
        """Has the quick one see the next frame; a stream not seen yet is looked at thoroughly anyway."""
        if stream in self._streams:
            self._streams[stream].asked = True

    def snapshot(self, stream: str) -> bytes:  # noqa: ARG002 - nothing is stored
        return b""

    def restore(self, stream: str, state: bytes) -> None:  # noqa: ARG002
        self.forget(stream)

    def forget(self, stream: str) -> None:
        self._streams.pop(stream, None)


def _glance(picture: Picture) -> NDArray[np.float32]:
    """The picture's luma at the size GLANCE, 0..255; of large pictures only some samples are read."""
    luma = picture.planes[0]
    step = max(1, min(picture.width // (4 * GLANCE[0]), picture.height // (4 * GLANCE[1])))
    few = np.ascontiguousarray(luma[::step, ::step])
    glance = cv2.resize(few, GLANCE, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(glance / 2 ** (picture.format.bits - 8))


def _differ(one: Array, other: Array, likeness: float) -> bool:
    """Two glances show different things: their correlation, which a change of light leaves as it is, is below that."""
    if float(np.abs(one - other).mean()) <= CHANGE:
        return False
    covariance = ((one - one.mean()) * (other - other.mean())).mean()
    return float(covariance / max(float(one.std() * other.std()), 1.0)) < likeness


def _apart(boxes: Array, others: Array) -> NDArray[np.bool_]:
    """Which of the boxes `(n, 4)` are the same face as none of the others: `(n,)`."""
    return np.asarray(iou(boxes, others).max(axis=1, initial=0) < SAME)


def _moved(faces: Faces, corner: Array) -> Faces:
    """Faces of a piece of the picture whose upper left corner lies there, in the picture."""
    return replace(faces, boxes=faces.boxes + np.tile(corner, 2), landmarks=faces.landmarks + corner)


def _span(number: int, side: int) -> tuple[int, int]:
    """From where to where the part of that number reaches along a side."""
    low, high = number / PARTS - LAP, (number + 1) / PARTS + LAP
    return max(0, int(low * side) // 2 * 2), min(side, -int(-high * side // 1))


def _around(box: Array, frame: Frame) -> tuple[Array, Frame]:
    """Where the upper left corner of a square around a face lies, and the square as a frame."""
    return square_around(frame, box, sizes=CROP_FACES, least_px=CROP_LEAST_PX)


OPERATOR = Cascade
