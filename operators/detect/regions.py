"""Which parts of a picture are to be looked at: boxes around what has changed, with enough around it to tell a face."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.detect.evidence import TILE, tiles_of

AROUND = 0.25
"""A region reaches out of what changed by this part of its size, and by a tile at least."""
WASTE = 1.1
"""Two regions become one where that is at most so many times as large as both."""
SPECK_PX = 16
"""What has changed in less than this squared is not looked at until it grows: no face can be told in it."""
ONES = np.ones((TILE, TILE), np.int32)
SMALL, FULL = 6, 0.6
"""A region is split in two while it is wider or higher than so many tiles and less than this part of them changed."""
WHOLE = 0.7
"""Regions that are more than this part of the picture are all of it."""

Region = tuple[int, int, int, int]
"""x1 y1 x2 y2 in pixels of the coded picture; x1 and y1 are even."""


def regions_of(changed: NDArray[np.bool_], scale: int, size: tuple[int, int]) -> list[Region]:
    """Regions around samples that changed, largest first.

    Args:
        changed: `(h, w)`, in samples of `scale` pixels squared.
        size: width and height of the picture.

    >>> changed = np.zeros((40, 40), bool); changed[16:24, 16:24] = True
    >>> regions_of(changed, 4, (160, 160))
    [(32, 32, 128, 128)]
    """
    tiles = tiles_of(changed)
    if not tiles.any():
        return []
    _, labels = cv2.connectedComponents(cv2.dilate(tiles.astype(np.uint8), np.ones((3, 3), np.uint8)))
    side = TILE * scale
    boxes = []
    samples = np.bincount(np.kron(labels, ONES)[: len(changed), : changed.shape[1]][changed], minlength=2)
    for number in 1 + np.flatnonzero(samples[1:] * scale**2 >= SPECK_PX**2):
        for x1, y1, x2, y2 in _split((labels == number) & tiles):
            boxes.append(_widened((x1 * side, y1 * side, x2 * side, y2 * side), side, size))
    merged = _merged(boxes)
    if sum(map(_area, merged)) > WHOLE * size[0] * size[1]:
        return [(0, 0, *size)]
    return sorted(merged, key=_area, reverse=True)


def _split(tiles: NDArray[np.bool_], at: tuple[int, int] = (0, 0)) -> list[Region]:
    """Boxes, in tiles, around all tiles that are set: one, or where much of it would be empty, two that are halves of
    it, and so on."""
    rows, columns = np.flatnonzero(tiles.any(axis=1)), np.flatnonzero(tiles.any(axis=0))
    if not len(rows):
        return []
    y1, y2, x1, x2 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    within = tiles[y1:y2, x1:x2]
    x, y = at[0] + x1, at[1] + y1
    if max(within.shape) <= SMALL or within.mean() >= FULL:
        return [(x, y, x + x2 - x1, y + y2 - y1)]
    if within.shape[0] > within.shape[1]:
        half = within.shape[0] // 2
        return _split(within[:half], (x, y)) + _split(within[half:], (x, y + half))
    half = within.shape[1] // 2
    return _split(within[:, :half], (x, y)) + _split(within[:, half:], (x + half, y))


def _widened(box: Region, side: int, size: tuple[int, int]) -> Region:
    x1, y1, x2, y2 = box
    out_x, out_y = (max(side, int(AROUND * length)) for length in (x2 - x1, y2 - y1))
    left, top = max(0, x1 - out_x) // 2 * 2, max(0, y1 - out_y) // 2 * 2
    return left, top, min(size[0], x2 + out_x), min(size[1], y2 + out_y)


def _merged(boxes: list[Region]) -> list[Region]:
    """The same, those put together that nearly are one."""
    boxes = list(boxes)
    while True:
        pair = next(
            (
                (i, j)
                for i in range(len(boxes))
                for j in range(i + 1, len(boxes))
                if _area(_union(boxes[i], boxes[j])) <= WASTE * (_area(boxes[i]) + _area(boxes[j]))
            ),
            None,
        )
        if pair is None:
            return boxes
        other = boxes.pop(pair[1])
        boxes[pair[0]] = _union(boxes[pair[0]], other)


def _union(one: Region, other: Region) -> Region:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _area(box: Region) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
