"""Videos as they are shown: turned upright, in square pixels, at one size, whatever their files say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.detect.looks import upright_size
from operators.frame import Frame
from operators.shown import Shown
from operators.stills import frame_of
from operators.upright import upright_bgr
from pipeline.jail.parent import JailLimits
from pipeline.media.frames import VideoFrames
from pipeline.wire import Head

GLANCE = 48, 27
"""Width and height at which frames of two videos are paired."""


class ShownVideo:
    """The frames of a file as a viewer sees them, decoded in a jail, in order; may be gone through several times.

    Args:
        size: width and height to show them at; their own if None.

    Attributes:
        head: of the file; without a codec until its beginning was read.
        frames: how many the last pass showed.
        shown_size: width and height that its first frame has by itself, upright and in square samples.
        lost: frames that could not be decoded in the last pass.
        reason: why the last pass did not get to the end; empty if it did.
    """

    def __init__(self, path: Path, limits: JailLimits, size: tuple[int, int] | None = None) -> None:
        self.path, self.size = path, size
        self.head, self.frames, self.lost, self.reason = Head(), 0, 0, ""
        self.shown_size: tuple[int, int] | None = None
        self._limits = limits

    def __iter__(self) -> Iterator[Frame]:
        pictures = VideoFrames(self.path, "judged", self._limits)
        self.frames = 0
        for frame in pictures:
            self.head = pictures.head
            if self.shown_size is None:
                self.shown_size = upright_size(frame)
            yield as_shown(frame, self.size)
            self.frames += 1
        self.head = pictures.head
        self.lost, self.reason = sum(pictures.lost.values()), pictures.reason


def as_shown(frame: Frame, size: tuple[int, int] | None = None) -> Frame:
    """The frame upright, with square samples, at that width and height or its own; itself where nothing is to be done.

    >>> from operators.shown import Shown
    >>> lying = frame_of(np.zeros((4, 8, 3), np.uint8), shown=Shown.turned(90))
    >>> as_shown(lying).picture.planes[0].shape
    (8, 4)
    """
    wanted = size or upright_size(frame)
    if wanted == (frame.picture.width, frame.picture.height) and frame.shown == Shown():
        return frame
    turned = upright_bgr(frame)
    reduced = wanted[0] * wanted[1] < turned.shape[0] * turned.shape[1]
    how = cv2.INTER_AREA if reduced else cv2.INTER_LINEAR
    image = turned if wanted == turned.shape[1::-1] else cv2.resize(turned, wanted, interpolation=how)
    made = frame_of(np.ascontiguousarray(image)).picture.part(0, 0, *wanted)
    return Frame(frame.stream, frame.index, frame.time_s, made)


def luma8(frame: Frame) -> NDArray[np.uint8]:
    """Its luma `(h, w)`, of eight bits.

    >>> luma8(frame_of(np.full((2, 2, 3), 255, np.uint8))).tolist()
    [[235, 235], [235, 235]]
    """
    luma = frame.picture.planes[0]
    return np.asarray(luma >> (frame.picture.format.bits - 8), np.uint8)


def glance(luma: Array) -> NDArray[np.float32]:
    """A picture `(h, w)` at the size GLANCE with its light taken out: median 0, typical difference from it 1.

    >>> glance(np.arange(48 * 27, dtype=np.uint8).reshape(27, 48)).shape
    (27, 48)
    """
    small = cv2.resize(luma, GLANCE, interpolation=cv2.INTER_AREA).astype(np.float32)
    centred = small - np.median(small)
    return np.asarray(centred / max(float(np.median(np.abs(centred))), 1.0), np.float32)
