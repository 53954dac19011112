"""People of the test data in drawn rooms, with the truth of where their faces are. Nothing of it leaves the tests."""

from __future__ import annotations

import csv
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.arrays import Array
from operators.frame import Cover

CUT = slice(28, 222), slice(44, 206)
"""Rows and columns of a head in the pictures of `faces_lfw`."""
FACE = 0.54
"""A face is this much of the height of that cut."""

Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]


@lru_cache(maxsize=2)
def heads(folder: Path, count: int = 12) -> tuple[Image, ...]:
    """Heads of different people, `(194, 162, 3)` BGR."""
    files = defaultdict(list)
    with (folder / "labels.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            files[row["identity"]].append(row["file"])
    wanted = {files[name][0] for name in sorted(files)[:: len(files) // count][:count]}
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


def with_head(image: Image, head: Image, x: float, y: float, px: float) -> tuple[Image, Box]:
    """The picture with a head whose face is `px` high and lies around x, y; and the box of the face."""
    size = px / (FACE * head.shape[0])
    shown = cv2.resize(head, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    height, width = shown.shape[:2]
    across, down = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    opaque = np.clip((1 - across**2 - down**2) / 0.3, 0, 1)[..., None]
    made, left, top = image.copy(), round(x - width / 2), round(y - height / 2)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, image.shape[1]), min(top + height, image.shape[0])
    if x1 < x2 and y1 < y2:
        part = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
        under = made[y1:y2, x1:x2].astype(float)
        made[y1:y2, x1:x2] = np.rint(under + (shown[part] - under) * opaque[part])
    return made, (x - 0.37 * px, y - px / 2, x + 0.37 * px, y + px / 2)


def room(width: int, height: int, seed: int = 0) -> Image:
    """A drawn room with walls and panels, and nothing like a face."""
    rng = np.random.default_rng(seed)
    light = np.linspace(150, 105, height)[:, None] + np.linspace(-18, 22, width)[None]
    picture = np.repeat(light[..., None], 3, 2) * np.array([0.92, 1.0, 1.05])
    for _ in range(14):
        x, y = rng.integers(0, width), rng.integers(0, height)
        across, down = rng.integers(width // 16, width // 5), rng.integers(height // 12, height // 4)
        picture[y : y + down, x : x + across] += rng.uniform(-26, 26, 3)
    picture[int(0.86 * height) :] *= 0.7
    return np.asarray(np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255), np.uint8)


def open_share(box: Sequence[float] | Array, covers: Sequence[Cover]) -> float:
    """How much of the ellipse in a box lies under no cover: 0 hidden, 1 in clear."""
    grid = np.stack(np.meshgrid(*[np.linspace(-0.96, 0.96, 25)] * 2), axis=-1).reshape(-1, 2)
    grid = grid[(grid**2).sum(axis=1) <= 1]
    corners = np.asarray(box, float).reshape(2, 2)
    points = corners.mean(axis=0) + grid * (corners[1] - corners[0]) / 2
    hidden = np.zeros(len(points), np.bool_)
    for cover in covers:
        low, high = np.array(cover.box).reshape(2, 2)
        away = np.abs(points - (low + high) / 2) / np.maximum((high - low) / 2, 1e-6)
        hidden |= (away**2).sum(axis=1) <= 1 if cover.shape == "ellipse" else away.max(axis=1) <= 1
    return float(1 - hidden.mean())
