"""YuNet: a tenth of CenterFace's cost, for faces that are not far away, turned aside or half-hidden.

Alone it misses faces that `detect.centerface` finds; `detect.cascade` lets both work together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engines import Engine
from operators.detect.finders import InputSide, YuNetFinder
from operators.detect.looks import Period
from operators.frame import Frame
from operators.options import DetectionScore, PositiveCount, UnitInterval


class YuNet:
    """Adds the faces of each frame it looks at, and marks the frame as examined; others pass as they came.

    Args:
        detector: `input (1, 3, h, w)` float32 BGR 0..255, h and w multiples of 32, to `cls_S (1, n, 1)`,
            `obj_S (1, n, 1)`, `bbox_S (1, n, 4)` and `kps_S (1, n, 10)` for the strides S of 8, 16 and 32.
        threshold: the lowest score of a face.
        every: only frames whose index is a multiple of it are looked at.
        px: the longer side of what the network sees; no picture is enlarged more than twice for it.
        nms: of two boxes that overlap by more than this (IoU) the lesser is dropped.
    """

    def __init__(
        self,
        detector: Engine,
        *,
        threshold: DetectionScore = 0.4,
        every: PositiveCount = 1,
        px: InputSide = 1280,
        nms: UnitInterval = 0.3,
    ) -> None:
        self._finder = YuNetFinder(detector, threshold, px, nms)
        self._period = Period(every)
        self.look_next = self._period.look_next

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [
            replace(frame, faces=frame.faces + self._finder.find(frame), examined=True)
            if self._period.due(frame)
            else frame
            for frame in frames
        ]


OPERATOR = YuNet
