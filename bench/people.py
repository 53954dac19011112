"""Heads of the test data pasted into pictures, with the truth of where their faces are. What is made so is published
nowhere: the people are those of Labeled Faces in the Wild."""

from __future__ import annotations

import csv
import tarfile
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from operators.arrays import Image

CUT = slice(28, 222), slice(44, 206)
"""Rows and columns of a head in the pictures of `faces_lfw`."""
FACE = 0.54
"""A face is this much of the height of that cut."""

Box = tuple[float, float, float, float]


@lru_cache(maxsize=2)
def heads(folder: Path, count: int = 12, first: int = 0) -> tuple[Image, ...]:
    """Heads of different people, `(194, 162, 3)` BGR, spread over the alphabet.

    Args:
        folder: `faces_lfw` of the test data.
        first: another number, smaller than a `count`-th of all people, gives others.
    """
    files = defaultdict(list)
    with (folder / "labels.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            files[row["identity"]].append(row["file"])
    wanted = {files[name][0] for name in sorted(files)[first :: len(files) // count][:count]}
    made = []
    with tarfile.open(folder / "lfw_subset.tar") as archive:
        for member in archive:
            if member.name.removeprefix("./") in wanted:
                content = archive.extractfile(member)
                assert content is not None
                picture = cv2.imdecode(np.frombuffer(content.read(), np.uint8), cv2.IMREAD_COLOR)
                assert picture is not None
                made.append(np.asarray(picture[CUT], np.uint8))
    return tuple(made)


def with_head(image: Image, head: Image, x: float, y: float, px: float, degrees: float = 0) -> tuple[Image, Box]:
    """The picture with a head whose face is `px` high and lies around x, y; and the box of the face.

    Args:
        degrees: by which it leans to its left.
    """
    size = px / (FACE * head.shape[0])
    shown = cv2.resize(head, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    height, width = shown.shape[:2]
    across, down = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    opaque = np.asarray(np.clip((1 - across**2 - down**2) / 0.3, 0, 1), np.float32)
    if degrees:
        side = int(np.hypot(width, height)) + 2
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        turn[:, 2] += side / 2 - width / 2, side / 2 - height / 2
        shown = cv2.warpAffine(shown, turn, (side, side))
        opaque = np.asarray(cv2.warpAffine(opaque, turn, (side, side)), np.float32)
        width = height = side
    made, left, top = image.copy(), round(x - width / 2), round(y - height / 2)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, image.shape[1]), min(top + height, image.shape[0])
    if x1 < x2 and y1 < y2:
        part = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
        under = made[y1:y2, x1:x2].astype(float)
        made[y1:y2, x1:x2] = np.rint(under + (shown[part] - under) * opaque[part][..., None])
    return made, (x - 0.37 * px, y - px / 2, x + 0.37 * px, y + px / 2)


def turned(image: Image, boxes: tuple[Box, ...], quarters: int) -> tuple[Image, tuple[Box, ...]]:
    """A picture and its boxes after so many quarters counter-clockwise.

    >>> image, boxes = turned(np.zeros((20, 40, 3), np.uint8), ((0, 0, 10, 5),), 1)
    >>> image.shape, boxes
    ((40, 20, 3), ((0, 30, 5, 40),))
    """
    for _ in range(quarters):
        side = image.shape[1]
        image = np.ascontiguousarray(np.rot90(image))
        boxes = tuple((y1, side - x2, y2, side - x1) for x1, y1, x2, y2 in boxes)
    return image, boxes
