"""The keep-list: faces that match given photos stay visible.

In doubt a face is covered: a track is kept only after several comparisons that all matched, and the first
one that does not match covers it again.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt

from engines import ConfigError, EngineError
from operators.arrays import Array
from operators.boxes import iou
from operators.frame import Faces, Frame
from operators.options import PositiveCount
from operators.stills import read_image
from operators.upright import boxes_to_upright, upright_bgr

PHOTO_PX = 1024
CHIP_PX, CHIP_PADDING = 150, 0.25
SAME_PLACE_IOU = 0.5
COMPARE_FRAMES = 5
"""A kept face that a detector follows, and that did not come at once, is compared every so many frames; in between it
is kept only if it is when it is compared next."""
FORGET_AFTER_FRAMES = 250


@dataclass(frozen=True, slots=True)
class TrackMatch:
    """What is known of one track.

    Attributes:
        matches: how many of the last comparisons matched without a miss between, up to `confirm`.
        compare_at: index of the frame from which on it may be compared again.
        box: x1 y1 x2 y2 where it was compared last, in pixels of the coded picture.
        met_at: index of the last frame that had it.
    """

    matches: int
    compare_at: int
    box: tuple[float, float, float, float]
    met_at: int


class Keep:
    """Marks faces as `kept`. Follows the tracker; faces without a track are never kept.

    Two faces are compared by dlib's 128 numbers. On 2000 LFW pairs, at the default distance, 1 of 1000 strangers
    matched, and 60 % of the pairs of one person (80 % at 0.5, with as few strangers; 94 % and 3 strangers at 0.55);
    with one face reduced to 48 pixels no stranger and 53 % (`python -m bench.bench_keep`).
    Successive frames resemble each other, so `confirm` guards against a bad frame, not against a double.

    Each comparison takes some 80 CPU-ms: a kept face that moves costs one in five frames, or in every frame with a
    detector that does not follow faces itself; others one in `retry` frames.

    Args:
        descriptor: dlib's `dlib_face_recognition_resnet_model_v1.dat`.
        landmarks: dlib's `shape_predictor_5_face_landmarks.dat`.
        photos: image files, each with exactly one face; several of one person make it known in more poses.
        distance: the largest distance to any photo that counts as a match; 0.6 is dlib's own, for sorting albums.
        confirm: a track is kept while its last `confirm` comparisons all matched.
        min_px: faces whose box has a shorter side are not compared. They, and faces that were not seen but
            predicted, stay as they are where they overlap their track's last comparison, else begin anew. One that
            was predicted stays visible only if its track is kept when it is found next.
        retry: after a miss the track is compared again this many frames later.

    Raises:
        ConfigError: dlib is not installed, a photo cannot be read, or holds no face or several.
        EngineError: a model is damaged.
    """

    def __init__(
        self,
        descriptor: Path,
        landmarks: Path,
        *,
        photos: Sequence[str],
        distance: Annotated[float, Field(gt=0, le=1)] = 0.45,
        confirm: PositiveCount = 3,
        min_px: NonNegativeInt = 48,
        retry: NonNegativeInt = 8,
    ) -> None:
        self._describe = Descriptor(descriptor, landmarks)
        self._known = np.array([self._describe.photo(Path(photo)) for photo in photos]).reshape(-1, 128)
        self._distance, self._confirm = distance, confirm
        self._min_px, self._retry = min_px, retry
        self._streams: defaultdict[str, dict[int, TrackMatch]] = defaultdict(dict)

    @staticmethod
    def check_options(*, photos: Sequence[str], **_: object) -> None:
        library = _dlib()
        for photo in photos:
            _the_face(library, Path(photo))

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._look(frame) for frame in frames]

    def settle(self, frame: Frame, ahead: Sequence[Frame]) -> Frame:
        """A face that was only predicted, or has changed since it was compared, stays visible if its track is kept as
        well when it is compared next."""
        faces = frame.faces
        unsure = faces.kept & (_is_predicted(faces) | (faces.data.get("compared", np.ones(len(faces))) == 0))
        if not unsure.any():
            return frame
        kept = faces.kept.copy()
        for row in np.flatnonzero(unsure).tolist():
            kept[row] = _next_is_kept(ahead, int(faces.tracks[row]))
        return replace(frame, faces=replace(faces, kept=kept))

    def snapshot(self, stream: str) -> bytes:
        return json.dumps({track: astuple(known) for track, known in self._streams[stream].items()}).encode()

    def restore(self, stream: str, state: bytes) -> None:
        rows = json.loads(state).items()
        self._streams[stream] = {
            int(track): TrackMatch(matches, compare_at, tuple(box), met_at)
            for track, (matches, compare_at, box, met_at) in rows
        }

    def forget(self, stream: str) -> None:
        self._streams.pop(stream, None)

    def _look(self, frame: Frame) -> Frame:
        tracks = self._streams[frame.stream]
        kept, compared = frame.faces.kept.copy(), np.ones(len(frame.faces), np.float32)
        for row, track in enumerate(frame.faces.tracks.tolist()):
            if track >= 0:
                before = tracks.get(track)
                tracks[track] = self._judge(frame, row, before)
                kept[row] |= tracks[track].matches >= self._confirm
                compared[row] = not (frame.faces.seen[row] and _is_to_be_left(frame, row, before))
        for track in [t for t, known in tracks.items() if known.met_at < frame.index - FORGET_AFTER_FRAMES]:
            del tracks[track]
        return replace(frame, faces=replace(frame.faces, kept=kept).with_data(compared=compared))

    def _judge(self, frame: Frame, row: int, known: TrackMatch | None) -> TrackMatch:
        """Where the track stands after this frame."""
        box = frame.faces.boxes[row]
        x1, y1, x2, y2 = box.tolist()
        here = (x1, y1, x2, y2)
        if _is_predicted(frame.faces)[row] or min(x2 - x1, y2 - y1) < self._min_px:
            if known is None or iou(np.array([here]), np.array([known.box]))[0, 0] < SAME_PLACE_IOU:
                return TrackMatch(0, frame.index, here, frame.index)
            return replace(known, met_at=frame.index)
        if known is not None and (_is_to_be_left(frame, row, known) or self._stands(frame, row, known)):
            return replace(known, met_at=frame.index)
        coded = frame.shown, frame.picture.width, frame.picture.height
        image, turned = upright_bgr(frame), boxes_to_upright(box[None], *coded)[0]
        distances = np.linalg.norm(self._known - self._describe.face(image, turned), axis=1)
        if distances.min(initial=np.inf) > self._distance:
            return TrackMatch(0, frame.index + self._retry, here, frame.index)
        matches = min(self._confirm, known.matches + 1 if known else 1)
        again_at = frame.index + COMPARE_FRAMES if matches == self._confirm else frame.index
        return TrackMatch(matches, again_at, here, frame.index)

    def _stands(self, frame: Frame, row: int, known: TrackMatch) -> bool:
        """The face is kept, and a detector knows by its pixels that it has not changed."""
        return known.matches == self._confirm and not frame.faces.seen[row]


class Descriptor:
    """dlib's face descriptor: 128 numbers that lie closer than about 0.6 for pictures of one person.

    Raises:
        ConfigError: dlib is not installed.
        EngineError: a model is damaged.
    """

    def __init__(self, descriptor: Path, landmarks: Path) -> None:
        self._dlib = _dlib()
        try:
            self._network = self._dlib.face_recognition_model_v1(str(descriptor))
            self._points = self._dlib.shape_predictor(str(landmarks))
        except RuntimeError as error:
            raise EngineError(
                f"{descriptor}, {landmarks}: dlib cannot open them ({error}); fetch them again"
            ) from error

    def face(self, image: Array, box: Array) -> NDArray[np.float64]:
        """`(128,)` of the face that a detector boxed (forehead to chin, xyxy) in a `(h, w, 3)` uint8 BGR picture."""
        side = box[3] - box[1]
        left, top = np.maximum(box[:2] - side / 2, 0).astype(int)
        right, bottom = (box[2:] + side / 2).astype(int) + 1
        # dlib's own detector, with which the aligner was trained, gives smaller squares, slightly lower.
        x, y, half = (box[0] + box[2]) / 2 - left, box[1] + 0.535 * side - top, 0.415 * side
        square = self._dlib.rectangle(int(x - half), int(y - half), int(x + half), int(y + half))
        return self._describe(np.ascontiguousarray(image[top:bottom, left:right, ::-1]), square)

    def photo(self, path: Path) -> NDArray[np.float64]:
        """`(128,)` of the one face in an image file.

        Raises:
            ConfigError: it cannot be read, or holds no face or several.
        """
        return self._describe(*_the_face(self._dlib, path))

    def _describe(self, rgb: Array, square: Any) -> NDArray[np.float64]:
        chip = self._dlib.get_face_chip(rgb, self._points(rgb, square), size=CHIP_PX, padding=CHIP_PADDING)
        return np.array(self._network.compute_face_descriptor(chip))


def _is_to_be_left(frame: Frame, row: int, known: TrackMatch | None) -> bool:
    """It is too early to compare a face again, unless a detector that would know says that it came at once, or no
    detector would know and it is kept."""
    if known is None or frame.index >= known.compare_at:
        return False
    sudden = frame.faces.data.get("sudden")
    return known.matches == 0 or (sudden is not None and sudden[row] == 0)


def _is_predicted(faces: Faces) -> NDArray[np.bool_]:
    """Which faces the tracker has added, that no detector knows of: `(n,)`."""
    return np.isfinite(faces.data.get("age", np.full(len(faces), np.nan)))


def _next_is_kept(ahead: Sequence[Frame], track: int) -> bool:
    for later in ahead:
        compared = later.faces.data.get("compared", np.ones(len(later.faces))) == 1
        rows = np.flatnonzero((later.faces.tracks == track) & ~_is_predicted(later.faces) & compared)
        if later.cut:
            return False
        if len(rows):
            return bool(later.faces.kept[rows[0]])
    return False


def _dlib() -> Any:
    try:
        import dlib
    except ModuleNotFoundError as error:
        raise ConfigError("keep: dlib is missing; pip install 'facewarden[keep]'") from error
    return dlib


def _the_face(library: Any, path: Path) -> tuple[Array, Any]:
    """A photo `(h, w, 3)` uint8 RGB, and dlib's square around the one face in it."""
    image = read_image(path)
    if image is None:
        raise ConfigError(f"keep: photos: {path}: expected a photo of one face, but it cannot be read as an image")
    scale = PHOTO_PX / max(image.shape)
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rgb = np.ascontiguousarray(image[:, :, ::-1])
    found = library.get_frontal_face_detector()(rgb, 1)
    if len(found) != 1:
        raise ConfigError(
            f"keep: photos: {path}: expected exactly one face, found {len(found)}; crop it, or take another photo"
        )
    return rgb, found[0]


OPERATOR = Keep
