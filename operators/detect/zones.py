"""Places that are always hidden, such as a neighbour's windows or a screen: no network, no miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from operators.frame import ZONE, Faces, Frame
from operators.options import UnitInterval


def _with_area(box: Sequence[float]) -> Sequence[float]:
    x1, y1, x2, y2 = box
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f"expected x1 y1 x2 y2 with x1 < x2 and y1 < y2, got {list(box)}")
    return box


RelativeBox = Annotated[Sequence[UnitInterval], Field(min_length=4, max_length=4), AfterValidator(_with_area)]


class Zones:
    """Adds fixed boxes to what is to be covered in every frame: exactly as they are, and named as zones in reports.

    Args:
        boxes: rows of x1 y1 x2 y2 as fractions of the coded picture's width and height.
    """

    def __init__(self, *, boxes: Sequence[RelativeBox]) -> None:
        self._boxes = np.asarray(boxes, np.float32).reshape(-1, 4)

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [self._mark(frame) for frame in frames]

    def _mark(self, frame: Frame) -> Frame:
        size = (frame.picture.width, frame.picture.height)
        zones = Faces.of(self._boxes * np.array(size * 2, np.float32), data={ZONE: np.ones(len(self._boxes), np.bool_)})
        return replace(frame, faces=frame.faces + zones, examined=True)


OPERATOR = Zones
