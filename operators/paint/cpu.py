"""Applies covers to the decoder's own planes: `paint` refuses a frame that does not pass the gate."""

from __future__ import annotations

from dataclasses import replace

import cv2

from engines import FrameError
from operators.arrays import Array
from operators.frame import Cover, Frame, Picture
from operators.paint.colours import colour_of
from operators.paint.gate import check_covered
from operators.paint.geometry import region_of, steps_of, touched, window
from operators.paint.opacity import OPAQUE, weights_of
from operators.paint.patches import patches_of

LIGHT_LINES = 8
"""Of every so many lines of a picture one tells how bright it is."""


def paint(frame: Frame) -> None:
    """Writes the covers into the frame's planes, which must be the caller's own: writable, and nobody's reference.

    Raises:
        FrameError: a face is not covered (nothing has been painted), or a cover cannot be painted; the picture must
            then be covered whole or withheld.
    """
    check_covered(frame)
    if frame.covers:
        light = float(cv2.mean(frame.picture.planes[0][::LIGHT_LINES])[0])
        for cover in frame.covers:
            _paint(frame.picture, cover, light)


def plain(cover: Cover) -> Cover:
    """A cover that costs least and hides no less: a box of one colour with hard edges.

    >>> plain(Cover((0, 0, 9, 9), style="mosaic", feather=0.2)).style
    'solid'
    """
    return replace(cover, style="solid", shape="box", feather=0.0, pixels=None)


def cover_whole(picture: Picture) -> None:
    """Gives the whole picture its own average colour, so that nothing is left to be recognised.

    Raises:
        FrameError: the planes are read-only.
    """
    for plane in _writable(picture):
        plane[...] = round(float(cv2.mean(plane)[0]))


def _paint(picture: Picture, cover: Cover, light: float) -> None:
    region = region_of(picture, cover)
    if region is None:
        return
    box, _, outer = region
    steps = steps_of(picture)
    if cover.style == "solid" and cover.shape == "box" and not cover.feather:
        for plane, step, value in zip(_writable(picture), steps, colour_of(picture, cover), strict=True):
            plane[window(touched(box), step)] = value
        return
    luma, chroma = (weights_of(picture, box, cover, outer, step) for step in steps[:2])
    patches = patches_of(picture, cover, region, light)
    for plane, step, weights, patch in zip(_writable(picture), steps, (luma, chroma, chroma), patches, strict=True):
        under = plane[window(outer, step)]
        # Each rounded by itself: under the shape nothing of what is hidden shows through, not even in the last bit.
        painted = cv2.multiply(patch, weights[0], scale=1 / OPAQUE)
        cv2.add(painted, cv2.multiply(under, weights[1], scale=1 / OPAQUE), dst=under)


def _writable(picture: Picture) -> tuple[Array, Array, Array]:
    if not all(plane.flags.writeable for plane in picture.planes):
        raise FrameError("expected planes of our own to paint in, got read-only ones; copy the picture first")
    return picture.planes
