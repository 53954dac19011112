"""What a crop must be like for a detector to say anything about it: the reasons to keep silent.

A detector that has learned from sharp faces calls blurred ones forged, or genuine; it cannot know. So each crop is
measured, and what lies outside of the range that the card gives for the training data is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

MEASURES = ("sharpness", "flatness", "noise", "contrast", "brightness")

TOO_SMALL = "the face is too small"
BLURRED = "the face is blurred"
COMPRESSED = "the picture is strongly compressed"
HIDDEN = "the face is hidden or turned away"
UNLIKE = "the picture is unlike what the detector has learned from"
TOO_FEW = "too few frames"
BETWEEN = "the score lies between the two thresholds"
UNSKILLED = "on forgeries it has not learned from the detector did no better than chance"

UsualRange = tuple[float, float]
HeadTurn = Annotated[float, Field(ge=0, le=180)]
"""Degrees to the left or right, 0 towards the camera."""

_REASONS = {
    # measure: (below its range, above it)
    "sharpness": (BLURRED, UNLIKE), "flatness": (UNLIKE, COMPRESSED), "noise": (COMPRESSED, UNLIKE),
    "contrast": (UNLIKE, UNLIKE), "brightness": (UNLIKE, UNLIKE),
}  # fmt: skip


def measure(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """`(n, 5)` of crops `(n, s, s, 3)` RGB, in the order of MEASURES.

    sharpness: log of the Laplacian's variance. flatness: the part of the pixels that equal their neighbours to within a
    level, as where compression has left nothing but a block's mean. noise: its deviation, in levels (Immerkaer 1996).
    contrast and brightness: deviation and mean of the grey levels.

    >>> measure(np.full((1, 8, 8, 3), 100, np.uint8)).round(3).tolist()  # nothing but one flat grey
    [[0.0, 1.0, 0.0, 0.0, 100.0]]
    """
    rows = np.zeros((len(crops), len(MEASURES)))
    for row, crop in zip(rows, crops, strict=True):
        grey = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)
        here, left, above = grey[1:, 1:], grey[1:, :-1], grey[:-1, 1:]
        step = cv2.max(cv2.absdiff(here, left), cv2.absdiff(here, above))
        mean, deviation = cv2.meanStdDev(grey)
        _, fine = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
        grain = cv2.norm(cv2.filter2D(grey, cv2.CV_16S, _IMMERKAER), cv2.NORM_L1) / grey.size
        row[:] = (
            np.log(fine[0, 0] ** 2 + 1),
            cv2.countNonZero(cv2.inRange(step, 0, 1)) / step.size,
            grain / 6 * np.sqrt(np.pi / 2),
            deviation[0, 0],
            mean[0, 0],
        )
    return rows


_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def ranges(measured: NDArray[np.float64], *, outside: float = 0.005) -> dict[str, UsualRange]:
    """What of each measure `(n, 5)` is usual: all but a fraction `outside` at either end.

    >>> ranges(np.tile(np.arange(101.0)[:, None], 5), outside=0.1)["noise"]
    (10.0, 90.0)
    """
    low, high = np.quantile(measured, (outside, 1 - outside), axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(MEASURES, low, high, strict=True)}


def faults(measured: NDArray[np.float64], usual: Mapping[str, UsualRange]) -> list[str]:
    """For each crop, why it should not be judged by what was measured `(n, 5)`; empty if it may be.

    >>> faults(np.array([[1.0, 0, 0, 0, 0], [5.0, 0, 0, 0, 0]]), {"sharpness": (2.0, 8.0)})
    ['the face is blurred', '']
    """
    return [_fault(row, usual) for row in measured]


def _fault(row: Sequence[float] | NDArray[np.float64], usual: Mapping[str, UsualRange]) -> str:
    for name, value in zip(MEASURES, row, strict=True):
        low, high = usual.get(name, (-np.inf, np.inf))
        if not low <= value <= high:
            return _REASONS[name][int(value > high)]
    return ""


def placing_faults(
    boxes: NDArray[Any], meshes: NDArray[Any], poses: NDArray[Any] | None, *, min_px: float, max_yaw: float
) -> list[str]:
    """Why faces should not be judged by where they are: boxes `(n, 4)`, meshes `(n, 478, 3)`, poses `(n, 4, 4)`.

    Args:
        min_px: the shorter side of a box.
        max_yaw: how far the head may be turned, in degrees.

    >>> placing_faults(np.array([[0, 0, 20, 30]]), np.zeros((1, 478, 3)), None, min_px=24, max_yaw=60)
    ['the face is too small']
    """
    faults = []
    for row, (box, mesh) in enumerate(zip(boxes, meshes, strict=True)):
        if min(box[2] - box[0], box[3] - box[1]) < min_px:
            faults.append(TOO_SMALL)
        elif np.isnan(mesh).any() or (poses is not None and head_turn(poses[row]) > max_yaw):
            faults.append(HIDDEN)
        else:
            faults.append("")
    return faults


def head_turn(pose: NDArray[Any]) -> float:
    """Degrees between where a head `(4, 4)` faces, left or right, and the camera.

    >>> head_turn(np.eye(4)), head_turn(np.eye(4)[[2, 1, 0, 3]])
    (0.0, 90.0)
    """
    return float(np.degrees(np.arctan2(abs(pose[0, 2]), pose[2, 2])))
