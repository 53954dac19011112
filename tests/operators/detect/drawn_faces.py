"""Drawn faces, and networks that see them: a face is a square, its upper half bright, its lower half less so. What is
seen depends on the picture alone, wherever and how large a network is shown it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

UPPER, LOWER = 235, 165
GREY = 96
SMALLEST = 7
"""Squares of less are not told from noise by any network."""


def scene(width: int = 640, height: int = 360, seed: int = 0) -> NDArray[np.uint8]:
    """`(h, w, 3)` a grey room with structure, but nothing like a face."""
    rough = np.random.default_rng(seed).normal(0, 1, (height // 8 + 1, width // 8 + 1)).astype(np.float32)
    smooth = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.clip(GREY + 14 * smooth, 40, 140).astype(np.uint8)[..., None], 3, axis=2)


def with_face(
    image: NDArray[np.uint8], x: float, y: float, px: int, *, turns: int = 0, only_thorough: bool = False
) -> NDArray[np.uint8]:
    """The picture with a face of that size around x, y, turned by quarters counter-clockwise."""
    face = np.full((px, px, 3), UPPER, np.uint8)
    face[px // 2 :] = LOWER
    if only_thorough:
        face[..., 2] //= 3
    face = np.rot90(face, turns)
    made = image.copy()
    left, top = round(x - px / 2), round(y - px / 2)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + px, image.shape[1]), min(top + px, image.shape[0])
    if x1 < x2 and y1 < y2:
        made[y1:y2, x1:x2] = face[y1 - top : y2 - top, x1 - left : x2 - left]
    return made


def drawn_in(image: NDArray[Any], *, coloured: bool) -> list[tuple[float, float, float, float]]:
    """Boxes of the faces that stand upright in a `(3, h, w)` picture, B first; the coloured ones if asked for."""
    green, red = image[1], image[2]
    bright = (green > (LOWER + GREY) / 2 + 8).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=4)
    found = []
    for x, y, w, h, _ in stats[1:].tolist():
        if min(w, h) < SMALLEST or not 0.6 < w / h < 1.7:
            continue
        upper, lower = green[y + 1 : y + h // 2 - 1, x : x + w], green[y + h // 2 + 1 : y + h - 1, x : x + w]
        is_grey = red[y : y + h, x : x + w].mean() > 0.7 * green[y : y + h, x : x + w].mean()
        if upper.size and lower.size and upper.mean() > lower.mean() + 25 and (is_grey or coloured):
            found.append((x, y, x + w, y + h))
    return found


class ThoroughEngine:
    """Looks like CenterFace, and sees all drawn faces.

    Attributes:
        shapes: batch, height and width of all that it was shown.
        score: of its faces.
        blind: it sees none.
    """

    def __init__(self, score: float = 0.9) -> None:
        self.score, self.blind = score, False
        self.shapes: list[tuple[int, int, int]] = []

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        images = inputs["input.1"][:, ::-1]
        b, _, h, w = images.shape
        self.shapes.append((b, h, w))
        maps = {name: np.zeros((b, n, h // 4, w // 4), np.float32) for name, n in HEADS.items()}
        for row, image in enumerate(images):
            for x1, y1, x2, y2 in [] if self.blind else drawn_in(image, coloured=True):
                x, y = (x1 + x2) / 8, (y1 + y2) / 8
                cell = row, slice(None), min(int(y), h // 4 - 1), min(int(x), w // 4 - 1)
                maps["537"][cell] = self.score
                maps["538"][cell] = np.log((y2 - y1) / 4), np.log((x2 - x1) / 4)
                maps["539"][cell] = y - int(y) - 0.5, x - int(x) - 0.5
        return maps


HEADS = {"537": 1, "538": 2, "539": 2, "540": 10}


class QuickEngine:
    """Looks like YuNet, and sees drawn faces that are grey.

    Attributes: as those of ThoroughEngine.
    """

    def __init__(self, score: float = 0.9) -> None:
        self.score, self.blind = score, False
        self.shapes: list[tuple[int, int, int]] = []

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        (image,) = inputs["input"]
        _, h, w = image.shape
        self.shapes.append((1, h, w))
        maps = {
            f"{name}_{stride}": np.zeros((1, h // stride * (w // stride), width), np.float32)
            for stride in (8, 16, 32)
            for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        }
        for x1, y1, x2, y2 in [] if self.blind else drawn_in(image, coloured=False):
            x, y = (x1 + x2) / 16, (y1 + y2) / 16
            cell = int(y) * (w // 8) + int(x)
            maps["cls_8"][0, cell] = maps["obj_8"][0, cell] = self.score
            maps["bbox_8"][0, cell] = x - int(x), y - int(y), np.log((x2 - x1) / 8), np.log((y2 - y1) / 8)
        return maps
