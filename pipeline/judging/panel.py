"""The detectors that a judge believes, none of them the thorough one of a run.

YuNet looks at every frame at full size, where a run shows it a reduced picture a few times a second. BlazeFace, of
another maker and another kind, looks at pieces of the picture twice a second, and is asked in doubt. Faces on their
side or upside down are looked for at that period too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import open_engine
from operators.arrays import Array
from operators.boxes import iou
from operators.detect.blazeface import BlazeFace
from operators.detect.finders import YuNetFinder
from operators.frame import Frame
from operators.shown import Shown
from operators.stills import frame_of
from operators.upright import boxes_to_coded, upright
from pipeline.models.catalog import find_model

MODELS = ("yunet", "blazeface")
LEAST_PX, MOST_PX = 1280, 1600
"""Longer side of what YuNet sees of a frame of the original."""
MASKED_PX = 640
"""And of the masked one, where faces that should not be there are looked for."""
WEAK = 0.55
"""Sightings below this score are none."""
TURNED_PX, TURNED_SCORE = 640, 0.88
"""How faces are looked for that do not stand upright."""
TILE = 0.6
"""Side of the pieces that BlazeFace sees, of the picture's; five of them, and the whole picture."""
TILE_SCORE = 0.7
SAME_FACE = 0.25
"""Boxes of one face overlap by this much (IoU)."""
CROP_PX, CROP_FACES = 192, 2.0
"""What BlazeFace is shown in doubt: the size, and how many face heights it spans."""
CONFIRMED, CONFIRMED_IOU = 0.65, 0.3
"""What BlazeFace says of a face that is one, and how far its box overlaps with the one that it was asked about."""
UNSURE = 0.87
"""Faces that BlazeFace alone finds score no more: it is asked again, closely."""

ScoredBoxes = NDArray[np.float32]
"""Boxes and scores `(n, 5)`: x1 y1 x2 y2 in pixels, 0..1."""


class FacePanel(Protocol):
    """What a judge asks of detectors; `JudgePanel` is the real one."""

    def look(self, frame: Frame, *, closely: bool) -> ScoredBoxes: ...

    def look_at_masked(self, frame: Frame) -> ScoredBoxes: ...

    def confirms(self, crop: NDArray[np.uint8]) -> bool: ...


class JudgePanel:
    """The opened detectors. A context manager. Frames must be upright: see `views.as_shown`.

    Raises:
        ConfigError: a model has not been pulled.
        EngineError: a model does not open.
    """

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        network = open_engine(find_model("yunet"))
        self._full, self._few = (YuNetFinder(network, threshold=WEAK, px=px) for px in (LEAST_PX, MASKED_PX))
        self._turned = YuNetFinder(network, threshold=TURNED_SCORE, px=TURNED_PX)
        self._blaze = BlazeFace(find_model("blazeface"), threshold=CONFIRMED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._blaze.close()

    def look(self, frame: Frame, *, closely: bool) -> ScoredBoxes:
        """The faces of a frame of the original.

        Args:
            closely: let all look, BlazeFace at pieces of it, and turned to all sides.
        """
        px = min(max(frame.picture.width, frame.picture.height, LEAST_PX), MOST_PX)
        found = replace(self._full, px=px).find(frame)
        faces = np.column_stack([found.boxes, found.scores]).astype(np.float32)
        if closely:
            for others in (*self._turned_looks(frame), *self._tiles(frame)):
                faces = joined(faces, others)
        return faces

    def look_at_masked(self, frame: Frame) -> ScoredBoxes:
        """The faces of a frame of the masked video."""
        found = self._few.find(frame)
        return np.column_stack([found.boxes, found.scores]).astype(np.float32)

    def confirms(self, crop: NDArray[np.uint8]) -> bool:
        """BlazeFace sees a face in the middle of a crop that `crop_around` made."""
        half = CROP_PX / CROP_FACES / 2
        middle = np.array([[-half, -half, half, half]]) + CROP_PX / 2
        faces = self._blaze([frame_of(crop)])[0].faces
        return bool((iou(faces.boxes, middle) >= CONFIRMED_IOU).any())

    def _turned_looks(self, frame: Frame) -> Iterator[ScoredBoxes]:
        size = frame.picture.width, frame.picture.height
        scale = min(1.0, TURNED_PX / max(size))
        small = np.asarray(cv2.resize(frame.bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        height, width = small.shape[:2]
        for shown in map(Shown.turned, (90, 180, 270)):
            found = self._turned.find(frame_of(np.ascontiguousarray(upright(small, shown))))
            boxes = boxes_to_coded(found.boxes, shown, width, height) / scale
            yield np.column_stack([boxes, found.scores]).astype(np.float32)

    def _tiles(self, frame: Frame) -> Iterator[ScoredBoxes]:
        image = frame.bgr
        height, width = image.shape[:2]
        across, down = round(width * TILE), round(height * TILE)
        corners = [(x, y, across, down) for x in (0, width - across) for y in (0, height - down)]
        corners += [((width - across) // 2, (height - down) // 2, across, down), (0, 0, width, height)]
        for x, y, columns, rows in corners:
            found = self._blaze([frame_of(np.ascontiguousarray(image[y : y + rows, x : x + columns]))])[0].faces
            scores = np.minimum(found.scores, UNSURE)
            faces = np.column_stack([found.boxes + np.array([x, y, x, y]), scores])
            yield faces[found.scores >= TILE_SCORE].astype(np.float32)


def joined(faces: ScoredBoxes, others: ScoredBoxes) -> ScoredBoxes:
    """ScoredBoxes, and others that are none of the same faces.

    >>> one = np.array([[0, 0, 10, 10, 0.9]], np.float32)
    >>> joined(one, one + np.float32(1)).shape, joined(one, one + np.float32(20)).shape
    ((1, 5), (2, 5))
    """
    return np.concatenate([faces, others[iou(others[:, :4], faces[:, :4]).max(axis=1, initial=0) < SAME_FACE]])


def crop_around(image: NDArray[np.uint8], box: Array) -> NDArray[np.uint8]:
    """A square around a face of a BGR picture `(h, w, 3)`, of CROP_PX; what lies outside repeats the border.

    >>> crop_around(np.zeros((40, 60, 3), np.uint8), np.array([10, 10, 20, 20])).shape
    (192, 192, 3)
    """
    x1, y1, x2, y2 = (float(side) for side in box)
    scale = CROP_FACES * max(x2 - x1, y2 - y1, 2.0) / CROP_PX
    x, y = (x1 + x2) / 2 - scale * CROP_PX / 2, (y1 + y2) / 2 - scale * CROP_PX / 2
    to_picture = np.array([[scale, 0, x], [0, scale, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = CROP_PX, CROP_PX
    return np.asarray(cv2.warpAffine(image, to_picture, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)
