"""YuNet: a tenth of CenterFace's cost, for faces that are not far away, turned aside or half-hidden.

Alone it misses faces that `detect.centerface` finds; `detect.cascade` lets both work together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engines import Engine
from operators.detect.finders import InputSide, YuNetFinder
from operators.frame import Frame
from operators.options import DetectionScore, UnitInterval


class YuNet:
    """Adds the faces of each frame, and marks it as examined.

    Args:
        detector: `input (1, 3, h, w)` float32 BGR 0..255, h and w multiples of 32, to `cls_S (1, n, 1)`,
            `obj_S (1, n, 1)`, `bbox_S (1, n, 4)` and `kps_S (1, n, 10)` for the strides S of 8, 16 and 32.
        threshold: the lowest score of a face.
        px: the longer side of what the network sees; no picture is enlarged more than twice for it.
        nms: of two boxes that overlap by more than this (IoU) the lesser is dropped.
    """

    def __init__(
        self,
        detector: Engine,
        *,
        threshold: DetectionScore = 0.4,
        px: InputSide = 1280,
        nms: UnitInterval = 0.3,
    ) -> None:
        self._finder = YuNetFinder(detector, threshold, px, nms)

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return [replace(frame, faces=frame.faces + self._finder.find(frame), examined=True) for frame in frames]


OPERATOR = YuNet
