"""Drawn crops for the tests of detectors: smooth noise as faces, and forgeries that anybody sees."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.cropset import CropSet
from operators.forge.regions import LEFT_EYE, OVAL, RIGHT_EYE
from operators.frame import PIXEL_FORMATS, Faces, Frame, Picture


def crop_set(n: int = 8, size: int = 40, *, seed: int = 0, kinds: tuple[str, ...] = ("stripes",)) -> CropSet:
    """For each split of train and val, n genuine crops and a forgery of each, with masks."""
    rng = np.random.default_rng(seed)
    rows = 2 * n
    genuine = np.stack([smooth(rng, size) for _ in range(rows)])
    forged = genuine.copy()
    half = size // 2
    forged[:, :half] = 255 - forged[:, :half] // 4
    masks = np.zeros((2 * rows, size // 4, size // 4), np.uint8)
    masks[rows:, : size // 8] = 255
    splits = np.array(["train"] * n + ["val"] * n)
    names = np.array([f"p{row}" for row in range(rows)])
    return CropSet(
        pixels=np.concatenate([genuine, forged]),
        points=np.tile(mesh(size), (2 * rows, 1, 1)),
        labels=np.repeat(np.array([0, 1], np.int8), rows),
        groups=np.tile(names, 2),
        clips=np.concatenate([names, np.char.add(names, "f")]),
        frames=np.zeros(2 * rows, np.int64),
        splits=np.tile(splits, 2),
        kinds=np.array(["real"] * rows + [kinds[row % len(kinds)] for row in range(rows)]),
        masks=masks,
        origins=np.concatenate([np.full(rows, -1), np.arange(rows)]),
    )


def smooth(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """`(size, size, 3)` of soft blots."""
    coarse = rng.integers(40, 200, (5, 5, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


def mesh(size: int) -> NDArray[np.float32]:
    """`(478, 2)` with what matters in its place: an oval, two eyes with irises in their middle, a mouth."""
    rng = np.random.default_rng(1)
    points = rng.uniform(0.35, 0.65, (478, 2))
    eyes = {
        (0.35, 0.42): (RIGHT_EYE, range(468, 473)),
        (0.65, 0.42): (LEFT_EYE, range(473, 478)),
    }
    turn = np.linspace(0, 2 * np.pi, len(OVAL), endpoint=False)
    points[list(OVAL)] = np.stack([0.5 + 0.38 * np.sin(turn), 0.5 - 0.45 * np.cos(turn)], 1)
    for (x, y), (outline, iris) in eyes.items():
        # The first point is the outer corner, the ninth the inner one.
        side = np.sign(x - 0.5)
        way = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)
        points[list(outline)] = np.stack([x + side * 0.08 * np.cos(way), y + 0.035 * np.sin(way)], 1)
        middle, *ring = iris
        points[middle] = x, y
        points[ring] = [(x + 0.03, y), (x, y - 0.03), (x - 0.03, y), (x, y + 0.03)]
    return np.asarray(points * size, np.float32)


def frame_of(
    *meshes: NDArray[np.float32], index: int = 0, tracks: tuple[int, ...] | None = None, size: int = 200, seed: int = 0
) -> Frame:
    """A frame of `size` pixels with faces of these meshes; the picture changes with the seed."""
    bgr = smooth(np.random.default_rng(seed), size)
    flat = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    luma, chroma = size * size, size * size // 4
    half = size // 2
    planes = (
        flat[:luma].reshape(size, size),
        flat[luma : luma + chroma].reshape(half, half),
        flat[luma + chroma :].reshape(half, half),
    )
    picture = Picture(planes, PIXEL_FORMATS["yuv420p"])
    boxes = [(*points.min(axis=0), *points.max(axis=0)) for points in meshes]
    deep = [np.column_stack([points, np.zeros(len(points))]) for points in meshes]
    faces = Faces.of(
        boxes,
        tracks=tracks if tracks is not None else range(1, len(meshes) + 1),
        data={"mesh": np.asarray(deep, np.float32).reshape(-1, 478, 3)},
    )
    return Frame("s", index, index / 25, picture, faces)
