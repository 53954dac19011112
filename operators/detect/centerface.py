"""CenterFace: finds faces, also small, many and half-hidden ones. The detector to hide people with.

Xu, Yan, Yang, Li, "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019. A face is one point of
a heat map at a quarter of the resolution; size, sub-cell offset and landmarks are read off at that point.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import ConfigError, Engine, FrameError
from operators.frame import Array, Faces, Frame
from operators.upright import boxes_to_coded, points_to_coded, upright

STRIDE = 32
CELL = 4
MAX_ENLARGEMENT = 2.0
INPUT, HEAT, SCALE, OFFSET, LANDMARKS = "input.1", "537", "538", "539", "540"


class CenterFace:
    """Adds the faces of each frame it looks at, and marks the frame as examined; others pass as they came.

    Pictures are turned upright first, so that a phone's portrait video is seen as it is shown.

    Args:
        detector: `input.1 (b, 3, h, w)` float32 RGB 0..255, h and w multiples of 32, to heat map
            `537 (b, 1, h/4, w/4)`, log sizes `538` and offsets `539 (b, 2, ..)` y first, landmarks `540 (b, 10, ..)`.
        threshold: the lowest score of a face, 0..1.
        every: only frames whose index is a multiple of it are looked at.
        max_px: pictures with a longer side are reduced to this, for the time is in proportion to the area.
        min_px: pictures whose longer side is below this are enlarged towards it, at most `MAX_ENLARGEMENT` times,
            for few faces below 16 pixels are found. Of the faces in the 400 x 300 pictures it was chosen on, 80 % were
            found as they are, 86 % at 640, 88 % at 800, for 19, 44 and 67 CPU-ms
            (`python -m bench.bench_recall --min-px N`).
        nms: of two boxes that overlap by more than this (IoU) the lesser is dropped.
        batch: how many frames of one size are looked at in one call; more than one pays on a GPU only.

    Raises:
        ConfigError: an option is out of its range.
    """

    def __init__(
        self,
        detector: Engine,
        *,
        threshold: float = 0.2,
        every: int = 1,
        max_px: int = 1920,
        min_px: int = 800,
        nms: float = 0.3,
        batch: int = 1,
    ) -> None:
        if not (0 < threshold < 1 and every >= 1 and batch >= 1 and STRIDE <= min_px <= max_px):
            raise ConfigError(
                f"detect.centerface: expected 0 < threshold < 1, every and batch from 1, {STRIDE} <= min_px <= max_px; "
                f"got {threshold=}, {every=}, {batch=}, {min_px=}, {max_px=}"
            )
        self._detector = detector
        self._threshold, self._nms = threshold, nms
        self._every, self._batch = every, batch
        self._max_px, self._min_px = max_px, min_px

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        done = list(frames)
        due = [i for i, frame in enumerate(frames) if frame.index % self._every == 0]
        for _, group in itertools.groupby(due, key=lambda i: _size(frames[i])):
            members = list(group)
            for first in range(0, len(members), self._batch):
                chosen = members[first : first + self._batch]
                for i, faces in zip(chosen, self._find([frames[i] for i in chosen]), strict=True):
                    done[i] = replace(frames[i], faces=faces, examined=True)
        return done

    def _find(self, frames: Sequence[Frame]) -> list[Faces]:
        """Faces of frames that have one size when upright."""
        images = [upright(frame.bgr, frame.rotation) for frame in frames]
        height, width = images[0].shape[:2]
        size = self._input_size(width, height)
        to_picture = np.array([width / size[0], height / size[1]], np.float32)
        found = self._detector(**{INPUT: _blob(images, size)})
        faces = []
        for row, frame in enumerate(frames):
            boxes, scores, landmarks = self._decode({name: array[row] for name, array in found.items()})
            boxes = np.clip(boxes * np.tile(to_picture, 2), 0, (width, height, width, height))
            coded = frame.rotation, frame.picture.width, frame.picture.height
            points = points_to_coded(landmarks * to_picture, *coded)
            faces.append(frame.faces + Faces.of(boxes_to_coded(boxes, *coded), scores, landmarks=points))
        return faces

    def _input_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that the network sees: stretched up to multiples of STRIDE, as by its authors."""
        longest = max(width, height)
        if longest > self._max_px:
            scale = self._max_px / longest
        else:
            scale = max(1.0, min(self._min_px / longest, MAX_ENLARGEMENT))
        return _stretched(width * scale), _stretched(height * scale)

    def _decode(self, maps: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Boxes `(n, 4)`, scores `(n,)` and landmarks `(n, 5, 2)` in the network's pixels."""
        heat = maps[HEAT][0]
        rows, columns = np.nonzero(heat > self._threshold)
        scores = heat[rows, columns]
        # exp(8) * CELL is larger than any picture; the limit keeps a wild value from overflowing.
        sizes = np.exp(np.minimum(maps[SCALE][:, rows, columns], 8)) * CELL
        centers = (np.stack([rows, columns]) + maps[OFFSET][:, rows, columns] + 0.5) * CELL
        y1, x1 = centers - sizes / 2
        height, width = sizes
        keep = _suppress(np.stack([x1, y1, width, height], axis=1), scores, self._nms)
        points = maps[LANDMARKS][:, rows, columns].reshape(5, 2, -1)
        landmarks = np.stack([points[:, 1] * width + x1, points[:, 0] * height + y1], axis=-1).transpose(1, 0, 2)
        boxes = np.stack([x1, y1, x1 + width, y1 + height], axis=1)
        if not (np.isfinite(heat).all() and np.isfinite(boxes).all()):
            raise FrameError("detect.centerface: the network's output is not finite, so faces may have been missed")
        return boxes[keep], scores[keep], _left_first(landmarks[keep])


def _size(frame: Frame) -> tuple[int, int, bool]:
    """Equal for frames that have the same size when upright."""
    return frame.picture.width, frame.picture.height, frame.rotation % 180 == 90


def _stretched(side: float) -> int:
    return max(1, -(-round(side) // STRIDE)) * STRIDE


def _blob(images: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> NDArray[np.float32]:
    """`(b, 3, h, w)` float32 RGB 0..255 of pictures `(.., .., 3)` uint8 BGR."""
    how = cv2.INTER_AREA if size[0] < images[0].shape[1] else cv2.INTER_LINEAR
    resized = [cv2.resize(image, size, interpolation=how) for image in images]
    return np.asarray(cv2.dnn.blobFromImages(resized, swapRB=True), np.float32)


def _suppress(boxes: Array, scores: Array, iou: float) -> NDArray[np.int64]:
    """Rows of the boxes `(n, 4)` x y width height to keep, best first."""
    return np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, iou), np.int64).reshape(-1)


def _left_first(landmarks: Array) -> Array:
    """Orders each pair of eyes and mouth corners `(n, 5, 2)` from left to right."""
    ordered = landmarks.copy()
    for left in (0, 3):
        pair = ordered[:, left : left + 2]
        swapped = pair[:, 0, 0] > pair[:, 1, 0]
        pair[swapped] = pair[swapped, ::-1]
    return ordered


OPERATOR = CenterFace
