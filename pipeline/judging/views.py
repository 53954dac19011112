"""Videos as they are shown: turned upright, in square pixels, at one size, whatever their files say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.frame import Frame
from operators.stills import frame_of
from operators.upright import upright
from pipeline.jail.parent import JailLimits
from pipeline.media.frames import VideoFrames
from pipeline.wire import Head, fraction

SQUARE = 0.03
"""Samples that are by no more than this wider than high, or higher than wide, count as square."""
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
                self.shown_size = size_shown(frame, sample_aspect(self.head))
            yield as_shown(frame, sample_aspect(self.head), self.size)
            self.frames += 1
        self.head = pictures.head
        self.lost, self.reason = sum(pictures.lost.values()), pictures.reason


def sample_aspect(head: Head) -> float:
    """How much wider than high a sample is; 1 where the file does not say.

    >>> sample_aspect(Head())
    1.0
    """
    return float(fraction(head.sample_aspect) or 1)


def size_shown(frame: Frame, aspect: float = 1.0) -> tuple[int, int]:
    """Width and height of a frame upright and with square samples.

    >>> size_shown(frame_of(np.zeros((4, 8, 3), np.uint8), rotation=90), aspect=2.0)
    (4, 16)
    """
    width, height = frame.picture.width, frame.picture.height
    if abs(aspect - 1) > SQUARE:
        width = round(width * aspect)
    return (height, width) if frame.rotation % 180 == 90 else (width, height)


def as_shown(frame: Frame, aspect: float = 1.0, size: tuple[int, int] | None = None) -> Frame:
    """The frame upright, with square samples, at that width and height or its own; itself where nothing is to be done.

    >>> lying = frame_of(np.zeros((4, 8, 3), np.uint8), rotation=90)
    >>> as_shown(lying).picture.planes[0].shape, as_shown(lying, aspect=2.0).picture.planes[0].shape
    ((8, 4), (16, 4))
    """
    shown = size or size_shown(frame, aspect)
    if shown == (frame.picture.width, frame.picture.height) and frame.rotation % 360 == 0:
        return frame
    turned = upright(frame.bgr, frame.rotation)
    reduced = shown[0] * shown[1] < turned.shape[0] * turned.shape[1]
    how = cv2.INTER_AREA if reduced else cv2.INTER_LINEAR
    image = turned if shown == turned.shape[1::-1] else cv2.resize(turned, shown, interpolation=how)
    made = frame_of(np.ascontiguousarray(image)).picture.part(0, 0, *shown)
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
