"""Applies covers to the decoder's own planes: `paint` refuses a frame that does not pass the gate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from engines import FrameError
from operators.arrays import Array
from operators.frame import Cover, Frame, Picture
from operators.paint.colours import colour_of
from operators.paint.gate import check_covered
from operators.paint.geometry import steps_of, touched, window
from operators.paint.opacity import OPAQUE, weights_of
from operators.paint.patches import patches_of
from operators.paint.plan import PlacedCover, groups_in
from operators.paint.tones import sums_of, tone_of

TONED = ("blur", "mosaic")
"""Styles that are painted in a tone of the surroundings."""


def paint(frame: Frame) -> None:
    """Writes the covers into the frame's planes, which must be the caller's own: writable, and nobody's reference.

    What is under the shape of a cover has no part in what is painted there, nor anywhere else. Covers that overlap
    become one, which is soft only where the outline of all of them is.

    Raises:
        FrameError: a face is not covered (nothing has been painted), or a cover cannot be painted; the picture must
            then be covered whole or withheld.
    """
    check_covered(frame)
    groups = groups_in(frame)
    placed = [each for group in groups for each in group.covers]
    tone = None
    if any(each.cover.style in TONED for each in placed):
        tone = tone_of(frame.picture, sums_of(frame.picture, [each.region.outer for each in placed]))
    later = []
    for group in groups:
        for each in group.covers:
            patches: Iterable[Array] = patches_of(frame.picture, *each, tone)
            if len(group.covers) > 1:
                patches = list(patches)
                later.append((each, patches, group.blends))
            _paint(frame.picture, each, patches)
    for core in later:
        _paint_core(frame.picture, *core)


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


def _paint(picture: Picture, placed: PlacedCover, patches: Iterable[Array]) -> None:
    cover, (box, _, outer) = placed
    steps = steps_of(picture)
    if _is_plain(cover):
        for plane, step, value in zip(_writable(picture), steps, colour_of(picture, cover), strict=True):
            plane[window(touched(box), step)] = value
        return
    luma, chroma = (weights_of(picture, box, cover, outer, step) for step in steps[:2])
    for plane, step, weights, patch in zip(_writable(picture), steps, (luma, chroma, chroma), patches, strict=True):
        under = plane[window(outer, step)]
        # Each rounded by itself: under the shape nothing of what is hidden shows through, not even in the last bit.
        painted = cv2.multiply(patch, weights[0], scale=1 / OPAQUE)
        cv2.add(painted, cv2.multiply(under, weights[1], scale=1 / OPAQUE), dst=under)


def _paint_core(picture: Picture, placed: PlacedCover, patches: Iterable[Array], blends: bool) -> None:
    """Once more what is opaque, over the soft edges of others."""
    cover, (box, _, outer) = placed
    if _is_plain(cover):
        _paint(picture, placed, patches)
        return
    steps = steps_of(picture)
    luma, chroma = (_core(weights_of(picture, box, cover, outer, step)[0]) for step in steps[:2])
    for plane, step, core, patch in zip(picture.planes, steps, (luma, chroma, chroma), patches, strict=True):
        under = plane[window(outer, step)]
        brighter = blends and plane is picture.planes[0]
        cv2.copyTo(cv2.max(patch, under) if brighter else patch, core, dst=under)


def _core(opaque: Array) -> Array:
    return np.asarray(cv2.inRange(opaque, OPAQUE, OPAQUE))


def _is_plain(cover: Cover) -> bool:
    return cover.style == "solid" and cover.shape == "box" and not cover.feather


def _writable(picture: Picture) -> tuple[Array, Array, Array]:
    if not all(plane.flags.writeable for plane in picture.planes):
        raise FrameError("expected planes of our own to paint in, got read-only ones; copy the picture first")
    return picture.planes
