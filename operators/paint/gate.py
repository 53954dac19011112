"""The last gate before the encoder: a frame with a face that is neither covered nor kept does not pass."""

from __future__ import annotations

import numpy as np

from engines import FrameError
from operators.arrays import Array
from operators.frame import Cover, Frame

TOLERANCE_PX = 0.5
"""A face may reach out of its cover by this much, for rounding."""


def check_covered(frame: Frame) -> None:
    """The gate: every face that is not kept lies, as far as it is in the picture, within the box of one cover.

    Raises:
        FrameError: one does not, or a box is not four finite numbers in order.

    >>> from operators.frame import Faces
    >>> from operators.stills import picture_of
    >>> shown = Frame("walk", 0, 0.0, picture_of(np.zeros((40, 40, 3), np.uint8)), Faces.of([[4, 4, 9, 9]]))
    >>> check_covered(shown)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    engines.FrameError: walk, frame 0: expected a cover over the face at 4.0 4.0 9.0 9.0, got 0 covers elsewhere; ...
    """
    if not frame.covers and frame.faces.kept.all():
        return
    faces = frame.faces.boxes[~frame.faces.kept].astype(np.float64)
    covers = np.array([_checked(cover).box for cover in frame.covers], np.float64).reshape(-1, 4)
    _check_boxes("face", faces)
    _check_boxes("cover", covers)
    seen = np.clip(faces, 0, (frame.picture.width, frame.picture.height) * 2)
    outside = (seen[:, :2] >= seen[:, 2:]).any(axis=1)
    before, after = seen[:, None, :2] - covers[:, :2], covers[:, 2:] - seen[:, None, 2:]
    covered = np.any(np.all(np.minimum(before, after) >= -TOLERANCE_PX, axis=2), axis=1)
    for face in seen[~(covered | outside)]:
        raise FrameError(
            f"{frame.stream}, frame {frame.index}: expected a cover over the face at {_numbers(face)}, "
            f"got {len(covers)} covers elsewhere; end the steps with a deidentify operator"
        )


def _checked(cover: Cover) -> Cover:
    if cover.style not in ("blur", "mosaic", "solid", "image") or cover.shape not in ("ellipse", "box"):
        raise FrameError(f"no cover of style {cover.style!r} and shape {cover.shape!r}")
    if cover.style == "image" and (cover.pixels is None or cover.pixels.ndim != 3 or cover.pixels.shape[2] != 3):
        raise FrameError("a cover of style 'image' needs pixels (h, w, 3)")
    if cover.cells < 1 or not 0 <= cover.feather <= 1:
        raise FrameError(f"expected cells >= 1 and feather in 0..1, got {cover.cells} and {cover.feather}")
    return cover


def _check_boxes(what: str, boxes: Array) -> None:
    wrong = ~(np.isfinite(boxes).all(axis=1) & (boxes[:, :2] <= boxes[:, 2:]).all(axis=1))
    for box in boxes[wrong]:
        raise FrameError(f"{what}: expected finite x1 <= x2 and y1 <= y2, got {_numbers(box)}")


def _numbers(box: Array) -> str:
    return " ".join(f"{float(value):.1f}" for value in box)
