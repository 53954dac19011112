"""Detectors are shown a face before they may watch over anybody.

One whose networks are damaged, exchanged or fed wrongly finds nothing, and nothing else would notice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engines import EngineError, FrameError
from operators import Operator, Remembers, find
from operators.boxes import iou
from operators.detect.known_face import BOX, known_face
from operators.frame import Frame

log = logging.getLogger(__name__)

STREAM = "self-test"
OVERLAP = 0.4
"""From this overlap (IoU) with the face's box on, it counts as found: detectors differ in where a face ends."""
MOST_BOXES = 10
"""Who finds more in a picture of one face finds faces everywhere."""
ALONE: Mapping[str, Mapping[str, str]] = {"detect.cascade": {"thorough": "detect.centerface", "quick": "detect.yunet"}}
"""Networks of a detector that stand in for each other, so that the loss of one would go unseen; each with the detector
that runs it by itself."""


def require_found(
    use: str, detector: Operator, engines: Mapping[str, Any], *, with_defaults: Callable[[], Operator]
) -> None:
    """Refuses a detector that does not find the known face, or in which a network does not that has to by itself.

    One that looks for something else than faces says `finds_faces = False` in its class, and is let through; so is one
    without networks. Where only its options keep it from finding the face, its networks are good: that is a warning.

    Args:
        use: the operator's name.
        engines: the detector's own, opened, or their files.
        with_defaults: the same detector with the same engines, and options as they are if nothing is said.

    Raises:
        EngineError: with what was found instead.
    """
    if not engines or not getattr(detector, "finds_faces", True):
        return
    for engine, single in ALONE.get(use, {}).items():
        alone: Any = find(single)
        _require(f"{use}: {engine}", alone(engines[engine]))
    if fault := _look(detector):
        usual = with_defaults()
        try:
            _require(use, usual)
        finally:
            give_back(usual)
        log.warning("%s: finds a drawn face as it is, but not with the options that it was given: %s", use, fault)


def give_back(operator: Operator) -> None:
    """Has an operator that is needed no more give back what it holds, such as MediaPipe's."""
    close: Any = getattr(operator, "close", None)
    if close is not None:
        close()


def _require(name: str, detector: Operator) -> None:
    if fault := _look(detector):
        raise EngineError(
            f"{name}: expected it to find the face in a drawn picture, got: {fault}; it would leave people in clear. "
            "`facewarden models verify` says which networks are damaged, `facewarden models pull` fetches them again"
        )


def _look(detector: Operator) -> str:
    """What is wrong with how it sees the known face; empty if it found it. It remembers nothing of it."""
    try:
        (seen,) = detector([known_face(STREAM)])
        return _fault(seen)
    except FrameError as error:
        return str(error)
    finally:
        if isinstance(detector, Remembers):
            detector.forget(STREAM)


def _fault(seen: Frame) -> str:
    """What is wrong with a look at the known face; empty if it was found."""
    if not seen.examined:
        return "the first frame of a stream passed without a look"
    if not len(seen.faces):
        return "no face"
    if len(seen.faces) > MOST_BOXES:
        return f"{len(seen.faces)} boxes for one face"
    overlap = float(iou(seen.faces.boxes, np.array([BOX], np.float32)).max())
    return "" if overlap >= OVERLAP else f"{len(seen.faces)} boxes elsewhere"
