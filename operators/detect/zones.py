"""Places that are always hidden, such as a neighbour's windows or a screen: no network, no miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines import ConfigError
from operators.frame import Faces, Frame


class Zones:
    """Adds fixed boxes to the faces of every frame, so that covers and the painter treat them as such.

    Args:
        boxes: rows of x1 y1 x2 y2 as fractions of the coded picture's width and height, 0..1.

    Raises:
        ConfigError: a box is not four numbers in 0..1 that span an area.
    """

    def __init__(self, *, boxes: Sequence[Sequence[float]]) -> None:
        for box in boxes:
            if len(box) != 4 or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
                raise ConfigError(f"detect.zones: expected x1 y1 x2 y2 with 0 <= x1 < x2 <= 1, likewise y; got {box}")
        self._boxes = np.asarray(boxes, np.float32).reshape(-1, 4)

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._mark(frame) for frame in frames]

    def _mark(self, frame: Frame) -> Frame:
        size = (frame.picture.width, frame.picture.height)
        zones = Faces.of(self._boxes * np.array(size * 2, np.float32))
        return replace(frame, faces=frame.faces + zones, examined=True)


OPERATOR = Zones
