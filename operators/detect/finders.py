"""The networks that find faces: what each wants to see, and how its answer is read. Operators decide when they look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines import Engine, FrameError
from operators.arrays import Array
from operators.detect.looks import extent, left_first, on_grid, seen_upright, suppress, to_faces, upright_size
from operators.frame import Faces, Frame

STRIDE = 32
"""Both want sides that are multiples of it."""
InputSide = Annotated[int, Field(ge=STRIDE)]
"""A side of what they see, before it is stretched to a multiple."""
MAX_ENLARGEMENT = 2.0

CELL = 4
INPUT, HEAT, SCALE, OFFSET, LANDMARKS = "input.1", "537", "538", "539", "540"

STRIDES = (8, 16, 32)

ASPECTS = (0.5, 0.8, 1.0, 1.4, 2.0, 4.0)
"""How wide pictures packed into one may be against their height."""
RawFaces = tuple[Array, Array, Array]
"""Boxes `(n, 4)`, scores `(n,)` and landmarks `(n, 5, 2)` in a network's pixels."""


@dataclass(frozen=True, slots=True)
class CenterFaceFinder:
    """Xu, Yan, Yang, Li, "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019. A face is one
    point of a heat map at a quarter of the resolution; size, sub-cell offset and landmarks are read off at that point.

    Attributes: as the options of `detect.centerface`.
    """

    detector: Engine
    threshold: float = 0.2
    max_px: int = 1920
    min_px: int = 800
    nms: float = 0.3

    def find(self, frames: Sequence[Frame], size: tuple[int, int] | None = None) -> list[Faces]:
        """The faces in the pictures of frames that have one size when upright.

        Args:
            size: width and height that the network is to see, multiples of STRIDE; else as the options say.

        Raises:
            FrameError: the network's output is not finite.
        """
        size = size or self._input_size(*upright_size(frames[0]))
        images = [seen_upright(frame, size) for frame in frames]
        found = self.detector(**{INPUT: np.asarray(cv2.dnn.blobFromImages(images, swapRB=True), np.float32)})
        return [
            to_faces(frame, size, *self._decode({name: array[row] for name, array in found.items()}))
            for row, frame in enumerate(frames)
        ]

    def find_packed(self, frames: Sequence[Frame], sizes: Sequence[tuple[int, int]]) -> list[Faces]:
        """The faces in each of the pictures, which the network sees at these sizes next to each other in one."""

        def see(image: NDArray[np.uint8]) -> RawFaces:
            blob = np.asarray(cv2.dnn.blobFromImage(image, swapRB=True), np.float32)
            return self._decode({name: array[0] for name, array in self.detector(**{INPUT: blob}).items()})

        return _find_packed(see, frames, sizes)

    def size_of(self, part: Frame, *, within: Frame) -> tuple[int, int]:
        """Width and height in which a part of a frame is seen as large as in a look at the whole frame."""
        (width, height), (whole, _) = upright_size(part), upright_size(within)
        scale = self._input_size(*upright_size(within))[0] / whole
        return on_grid(width * scale, height * scale, STRIDE)

    def _input_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that the network sees: stretched up to multiples of STRIDE, as by its authors."""
        if (size := extent(width, height)) > self.max_px:
            scale = self.max_px / size
        else:
            scale = max(1.0, min(self.min_px / max(width, height), MAX_ENLARGEMENT))
        return on_grid(width * scale, height * scale, STRIDE)

    def _decode(self, maps: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Boxes `(n, 4)`, scores `(n,)` and landmarks `(n, 5, 2)` in the network's pixels."""
        heat = maps[HEAT][0]
        rows, columns = np.nonzero(heat > self.threshold)
        scores = heat[rows, columns]
        # exp(8) * CELL is larger than any picture; the limit keeps a wild value from overflowing.
        sizes = np.exp(np.minimum(maps[SCALE][:, rows, columns], 8)) * CELL
        centers = (np.stack([rows, columns]) + maps[OFFSET][:, rows, columns] + 0.5) * CELL
        y1, x1 = centers - sizes / 2
        height, width = sizes
        points = maps[LANDMARKS][:, rows, columns].reshape(5, 2, -1)
        landmarks = np.stack([points[:, 1] * width + x1, points[:, 0] * height + y1], axis=-1).transpose(1, 0, 2)
        boxes = np.stack([x1, y1, x1 + width, y1 + height], axis=1)
        if not (np.isfinite(heat).all() and np.isfinite(boxes).all()):
            raise FrameError("detect.centerface: the network's output is not finite, so faces may have been missed")
        keep = suppress(boxes, scores, self.nms)
        return boxes[keep], scores[keep], left_first(landmarks[keep])


@dataclass(frozen=True, slots=True)
class YuNetFinder:
    """Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023, in the OpenCV zoo's export of March 2023.
    Each cell of three grids tells how much it is a face, how far the box's centre lies from its corner, the box's size
    and five points.

    Attributes: as the options of `detect.yunet`.
    """

    detector: Engine
    threshold: float = 0.4
    px: int = 1280
    nms: float = 0.3

    def find(self, frame: Frame, size: tuple[int, int] | None = None) -> Faces:
        """The faces in its picture.

        Args:
            size: width and height that the network is to see, multiples of STRIDE; else as the options say.

        Raises:
            FrameError: the network's output is not finite.
        """
        width, height = upright_size(frame)
        scale = min(self.px / max(width, height), MAX_ENLARGEMENT)
        seen = size or on_grid(width * scale, height * scale, STRIDES[-1])
        image = seen_upright(frame, seen)
        return to_faces(frame, seen, *self._see(image))

    def find_packed(self, frames: Sequence[Frame], sizes: Sequence[tuple[int, int]]) -> list[Faces]:
        """The faces in each of the pictures, which the network sees at these sizes next to each other in one."""
        return _find_packed(self._see, frames, sizes)

    def _see(self, image: NDArray[np.uint8]) -> RawFaces:
        maps = self.detector(input=np.asarray(cv2.dnn.blobFromImage(image), np.float32))
        return self._decode(maps, image.shape[1])

    def _decode(self, maps: Mapping[str, Array], width: int) -> tuple[Array, Array, Array]:
        """Boxes `(n, 4)`, scores `(n,)` and landmarks `(n, 5, 2)` in the network's pixels."""
        parts = [self._read(maps, stride, width // stride) for stride in STRIDES]
        boxes, scores, landmarks = (np.concatenate(column) for column in zip(*parts, strict=True))
        if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
            raise FrameError("detect.yunet: the network's output is not finite, so faces may have been missed")
        keep = suppress(boxes, scores, self.nms)
        return boxes[keep], scores[keep], left_first(landmarks[keep])

    def _read(self, maps: Mapping[str, Array], stride: int, columns: int) -> tuple[Array, Array, Array]:
        """What one grid tells: boxes, scores and landmarks as `_decode` has them, not yet suppressed."""
        cls, obj = (np.clip(maps[f"{name}_{stride}"][0, :, 0], 0, 1) for name in ("cls", "obj"))
        scores = np.sqrt(cls * obj)
        cells = np.flatnonzero(~(scores <= self.threshold))  # NaN too, to be noticed
        corners = np.stack([cells % columns, cells // columns], axis=1)
        offsets = maps[f"bbox_{stride}"][0, cells]
        centers = (corners + offsets[:, :2]) * stride
        # exp(8) * 32 is larger than any picture; the limit keeps a wild value from overflowing.
        halves = np.exp(np.minimum(offsets[:, 2:], 8)) * stride / 2
        points = (corners[:, None] + maps[f"kps_{stride}"][0, cells].reshape(-1, 5, 2)) * stride
        boxes = np.concatenate([centers - halves, centers + halves], axis=1)
        return boxes, scores[cells], points


def packed(sizes: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Where pictures of these widths and heights lie next to each other in one, x y, and its width and height.

    >>> packed([(64, 32), (96, 64)])
    ([(0, 64), (0, 0)], (96, 96))
    """
    widest, total = max(width for width, _ in sizes), sum(width * height for width, height in sizes)
    widths = {max(widest, -(-int((total * by) ** 0.5) // STRIDE) * STRIDE) for by in ASPECTS}
    return min((_shelves(sizes, across) for across in sorted(widths)), key=lambda made: made[1][0] * made[1][1])


def _shelves(sizes: Sequence[tuple[int, int]], across: int) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """As `packed`, within that width: the highest first, in shelves; lower ones one upon the other."""
    corners = [(0, 0)] * len(sizes)
    x = y = shelf = column = filled = used = 0  # a column of the shelf is filled from its top
    for number in sorted(range(len(sizes)), key=lambda number: (-sizes[number][1], -sizes[number][0])):
        width, height = sizes[number]
        if filled + height > shelf or width > column:  # the next column
            x, column, filled = x + column, width, 0
        if x + width > across:  # the next shelf
            x, y, shelf, column, filled = 0, y + shelf, height, width, 0
        shelf = max(shelf, height)
        corners[number] = x, y + filled
        filled, used = filled + height, max(used, x + width)
    return corners, (used, y + shelf)


def _find_packed(
    see: Callable[[NDArray[np.uint8]], RawFaces], frames: Sequence[Frame], sizes: Sequence[tuple[int, int]]
) -> list[Faces]:
    if not frames:
        return []
    if len(frames) == 1:
        return [to_faces(frames[0], sizes[0], *see(seen_upright(frames[0], sizes[0])))]
    corners, (width, height) = packed(sizes)
    canvas = np.zeros((height, width, 3), np.uint8)
    for frame, (x, y), (across, down) in zip(frames, corners, sizes, strict=True):
        canvas[y : y + down, x : x + across] = seen_upright(frame, (across, down))
    boxes, scores, landmarks = see(canvas)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    found = []
    for frame, corner, size in zip(frames, np.array(corners, np.float32), sizes, strict=True):
        here = ((centers >= corner) & (centers < corner + np.array(size))).all(axis=1)
        placed = boxes[here] - np.tile(corner, 2), scores[here], landmarks[here] - corner
        found.append(to_faces(frame, size, *placed))
    return found
